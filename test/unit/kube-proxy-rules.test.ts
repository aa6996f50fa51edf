import { expect, test } from 'vitest';
import { kubeProxyStaleChains, kubeProxySync } from '../support/kube-proxy-rules.ts';

test('writes the chains of a Service with a local external policy and no local endpoint as kube-proxy does', () => {
  const text = kubeProxySync(
    [
      {
        id: 'ns2/svc2:p80',
        protocol: 'tcp',
        clusterIP: '172.30.0.42',
        port: 80,
        nodePort: 3001,
        loadBalancerIPs: ['1.2.3.4'],
        externalIPs: ['192.168.99.22'],
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: 30_000,
        endpoints: [{ address: '10.180.0.2', port: 80 }],
      },
    ],
    { family: 'IPv4', clusterCidr: '10.0.0.0/8' },
  );
  const external = text.split('\n').filter((line) => line.startsWith('-A KUBE-EXT-'));
  expect(external).toHaveLength(3);
  expect(external[0]).toMatch(
    /"pod traffic for ns2\/svc2:p80 external destinations" -s 10\.0\.0\.0\/8 -j KUBE-SVC-/,
  );
  expect(external[1]).toMatch(/--src-type LOCAL -j KUBE-MARK-MASQ$/);
  expect(external[2]).toMatch(/--src-type LOCAL -j KUBE-SVC-/);
  expect(text.match(/ns2\/svc2:p80 has no local endpoints/g)).toHaveLength(3);
  expect(text).toContain(':KUBE-SEP-RS4RBKLTHTF2IUXJ - [0:0]');
  expect(text).toContain('-m tcp -p tcp --dport 30000 -j ACCEPT');
});

test('deletes per-service chains by their prefix and nothing else', () => {
  const existing = [
    'PREROUTING',
    'KUBE-SERVICES',
    'KUBE-SVC-tABC',
    'KUBE-SVC-OLD',
    'KUBE-SEP-NEW',
    'WEIR-X',
    'KUBE-MARK-MASQ',
  ];
  expect(kubeProxyStaleChains(existing, ['KUBE-SEP-NEW'])).toEqual(['KUBE-SVC-OLD', 'KUBE-SVC-tABC']);
});
