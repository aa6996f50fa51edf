import { describe, expect, test } from 'vitest';
import {
  RenderedNode,
  type ServiceObjects,
  serviceOptions,
} from '../../../test/support/rendered-snapshot.ts';
import { endpoint, endpointSlice, service, servicePort } from '../../../test/support/service-objects.ts';
import type { Service } from '../../api/index.ts';
import type { KernelSnapshot, TableName } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import type { ServiceRulesOptions } from './service-rules.ts';

const topology = { nodeName: 'node-a', zone: undefined };
const slices = {
  IPv4: endpointSlice([endpoint('10.0.1.1', { nodeName: 'node-a' }), endpoint('10.0.2.1')]),
  IPv6: endpointSlice([endpoint('fd00:10::1:1', { nodeName: 'node-a' }), endpoint('fd00:10::2:1')]),
};
const addresses = {
  IPv4: { external: '192.0.2.1', loadBalancer: '198.51.100.1' },
  IPv6: { external: '2001:db8::1', loadBalancer: '2001:db8::2' },
};

function kernelWith(
  objects: readonly ServiceObjects[],
  family: Family = 'IPv4',
  options: Partial<ServiceRulesOptions> = {},
): KernelSnapshot {
  const node = new RenderedNode(serviceOptions(family, options), topology);
  for (const one of objects) node.set(one);
  node.sync();
  return node.kernel();
}

/** The rules of chains as `iptables-save` shows them, and the members of sets as `ipset save` does. */
function show(kernel: KernelSnapshot, table: TableName, ...names: readonly RegExp[]): string {
  const lines: string[] = [];
  for (const [name, rules] of kernel.tables.get(table)?.chains ?? []) {
    if (names.some((one) => one.test(name)))
      lines.push(...rules.split('\n').map((rule) => `-A ${name} ${rule}`.trimEnd()));
  }
  return lines.join('\n');
}

function showMembers(kernel: KernelSnapshot): string {
  return [...kernel.sets]
    .flatMap(([name, { members }]) => Array.from(members, (one) => `${name} ${one}`))
    .join('\n');
}

const text = (strings: TemplateStringsArray): string =>
  (strings[0] ?? '')
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .join('\n');

function loadBalancer(family: Family, changes: Partial<Service> = {}): ServiceObjects {
  const { external, loadBalancer: vip } = addresses[family];
  return {
    service: service({
      type: 'LoadBalancer',
      ports: [servicePort({ nodePort: 30_080 })],
      externalIPs: [external],
      loadBalancerIPs: [vip],
      ...changes,
    }),
    slices: [slices[family]],
  };
}

describe('a node without Services', () => {
  test('has the static chains and jumps of kube-proxy', () => {
    const kernel = kernelWith([]);
    expect(show(kernel, 'nat', /./u)).toBe(
      text`
      -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
      -A KUBE-NODEPORTS
      -A KUBE-POSTROUTING -m conntrack --ctstate DNAT -m set --match-set WEIR-4-HAIRPIN src,dst,dst -j MASQUERADE --random-fully
      -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
      -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
      -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
      -A KUBE-SERVICES ! -s 10.0.0.0/8 -m set --match-set WEIR-4-CLUSTER-IPS dst,dst -j KUBE-MARK-MASQ
      -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
    `,
    );
    expect(show(kernel, 'filter', /./u)).toBe(text`
      -A KUBE-EXTERNAL-SERVICES -m set --match-set WEIR-4-REJECT-EXTERNAL dst,dst -j REJECT --reject-with icmp-port-unreachable
      -A KUBE-EXTERNAL-SERVICES -m set --match-set WEIR-4-DROP-EXTERNAL dst,dst -j DROP
      -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL -m set --match-set WEIR-4-REJECT-NODEPORTS dst,dst -j REJECT --reject-with icmp-port-unreachable
      -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL -m set --match-set WEIR-4-DROP-NODEPORTS dst,dst -j DROP
      -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
      -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
      -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
      -A KUBE-FORWARD -m conntrack --ctstate DNAT -m set --match-set WEIR-4-HAIRPIN src,dst,dst -j ACCEPT
      -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      -A KUBE-NODEPORTS -p tcp -m set --match-set WEIR-4-HEALTH-CHECK-PORTS dst,dst -j ACCEPT
      -A KUBE-PROXY-FIREWALL -m set --match-set WEIR-4-FIREWALLED dst,dst -j DROP
      -A KUBE-SERVICES -m set --match-set WEIR-4-REJECT-INTERNAL dst,dst -j REJECT --reject-with icmp-port-unreachable
      -A KUBE-SERVICES -m set --match-set WEIR-4-DROP-INTERNAL dst,dst -j DROP
      -A KUBE-SERVICES -s 127.0.0.0/8 -m conntrack --ctstate DNAT -j RETURN
    `);
    expect(kernel.tables.get('filter')?.builtins).toEqual(
      new Map([
        [
          'INPUT',
          [
            '-j KUBE-FIREWALL',
            '-m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
            '-m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS',
            '-m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
          ],
        ],
        [
          'FORWARD',
          [
            '-m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
            '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
            '-m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
            '-m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
          ],
        ],
        [
          'OUTPUT',
          [
            '-j KUBE-FIREWALL',
            '-m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
            '-m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
          ],
        ],
      ]),
    );
    const dispatch = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES';
    expect(kernel.tables.get('nat')?.builtins).toEqual(
      new Map([
        ['PREROUTING', [dispatch]],
        ['INPUT', []],
        ['OUTPUT', [dispatch]],
        ['POSTROUTING', ['-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING']],
      ]),
    );
  });

  test('IPv6: no localhost node ports and no guard for them, and its own kind of reject', () => {
    const kernel = kernelWith([], 'IPv6');
    expect(show(kernel, 'nat', /^KUBE-SERVICES$/u)).toBe(text`
      -A KUBE-SERVICES ! -s fd00:10::/32 -m set --match-set WEIR-6-CLUSTER-IPS dst,dst -j KUBE-MARK-MASQ
      -A KUBE-SERVICES ! -d ::1/128 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
    `);
    expect(show(kernel, 'filter', /^KUBE-(SERVICES|FIREWALL)$/u)).toBe(text`
      -A KUBE-SERVICES -m set --match-set WEIR-6-REJECT-INTERNAL dst,dst -j REJECT --reject-with icmp6-port-unreachable
      -A KUBE-SERVICES -m set --match-set WEIR-6-DROP-INTERNAL dst,dst -j DROP
    `);
    expect(JSON.stringify([...(kernel.tables.get('filter')?.builtins ?? [])])).not.toContain('KUBE-FIREWALL');
  });

  test.each<[string, Partial<ServiceRulesOptions>, string]>([
    [
      'masqueradeAll',
      { masqueradeAll: true },
      '-m set --match-set WEIR-4-CLUSTER-IPS dst,dst -j KUBE-MARK-MASQ',
    ],
    [
      'a bridge',
      { detector: { kind: 'bridge', name: 'cbr0' } },
      '! -i cbr0 -m set --match-set WEIR-4-CLUSTER-IPS dst,dst -j KUBE-MARK-MASQ',
    ],
    [
      'an interface prefix',
      { detector: { kind: 'interface-prefix', prefix: 'cali' } },
      '! -i cali+ -m set --match-set WEIR-4-CLUSTER-IPS dst,dst -j KUBE-MARK-MASQ',
    ],
    [
      'no detector: nothing is masqueraded at the cluster IP',
      { detector: undefined },
      '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
    ],
  ])('begins the dispatch by what is masqueraded: %s', (_, options, rule) => {
    const rules = kernelWith([], 'IPv4', options).tables.get('nat')?.chains;
    expect(new Map<string, string>(rules).get('KUBE-SERVICES')?.split('\n')[0]).toBe(rule);
  });

  test('sends single addresses to the node ports where only these serve them', () => {
    const nodePorts = { kind: 'some', addresses: ['192.168.0.2', '192.168.1.2'] } as const;
    expect(
      show(kernelWith([], 'IPv4', { nodePorts, detector: undefined }), 'nat', /^KUBE-SERVICES$/u),
    ).toBe(text`
      -A KUBE-SERVICES -d 192.168.0.2/32 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -j KUBE-NODEPORTS
      -A KUBE-SERVICES -d 192.168.1.2/32 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -j KUBE-NODEPORTS
    `);
  });

  test('marks with the bit that is configured', () => {
    const kernel = kernelWith([], 'IPv4', { masqueradeBit: 31 });
    expect(show(kernel, 'nat', /^KUBE-MARK-MASQ$/u)).toBe(
      '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x80000000/0x80000000',
    );
  });

  test('lets INVALID packets pass where the kernel is told to be liberal', () => {
    expect(show(kernelWith([], 'IPv4', { tcpBeLiberal: true }), 'filter', /^KUBE-FORWARD$/u)).not.toContain(
      'INVALID',
    );
  });
});

describe('type ClusterIP', () => {
  const perService = [/^KUBE-(SVC|SVL|EXT|FW|SEP)-/u, /^KUBE-SERVICES$/u];

  test('IPv4', () => {
    const kernel = kernelWith([{ service: service(), slices: [slices.IPv4] }], 'IPv4', {
      detector: undefined,
    });
    expect(show(kernel, 'nat', ...perService)).toBe(text`
      -A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
      -A KUBE-SVC-XPGD46QRK7WJZT7O -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.0.1.1:8080
      -A KUBE-SVC-XPGD46QRK7WJZT7O -p tcp -j DNAT --to-destination 10.0.2.1:8080
    `);
    expect(showMembers(kernel)).toBe(text`
      WEIR-4-CLUSTER-IPS 10.96.0.10,tcp:80
      WEIR-4-HAIRPIN 10.0.1.1,tcp:8080,10.0.1.1
      WEIR-4-HAIRPIN 10.0.2.1,tcp:8080,10.0.2.1
    `);
  });

  test('IPv6', () => {
    const kernel = kernelWith([{ service: service(), slices: [slices.IPv6] }], 'IPv6');
    expect(show(kernel, 'nat', ...perService)).toBe(text`
      -A KUBE-SERVICES ! -s fd00:10::/32 -m set --match-set WEIR-6-CLUSTER-IPS dst,dst -j KUBE-MARK-MASQ
      -A KUBE-SERVICES -d fd00:96::10/128 -p tcp -m tcp --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES ! -d ::1/128 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
      -A KUBE-SVC-XPGD46QRK7WJZT7O -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination [fd00:10::1:1]:8080
      -A KUBE-SVC-XPGD46QRK7WJZT7O -p tcp -j DNAT --to-destination [fd00:10::2:1]:8080
    `);
    expect(showMembers(kernel)).toBe(text`
      WEIR-6-CLUSTER-IPS fd00:96::10,tcp:80
      WEIR-6-HAIRPIN fd00:10::1:1,tcp:8080,fd00:10::1:1
      WEIR-6-HAIRPIN fd00:10::2:1,tcp:8080,fd00:10::2:1
    `);
  });

  test('with internal policy Local: the endpoints of this node', () => {
    const objects = { service: service({ internalTrafficPolicy: 'Local' }), slices: [slices.IPv4] };
    const kernel = kernelWith([objects], 'IPv4', { detector: undefined });
    expect(show(kernel, 'nat', /^KUBE-(SVC|SVL|EXT)-/u, /^KUBE-SERVICES$/u)).toBe(text`
      -A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVL-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
      -A KUBE-SVL-XPGD46QRK7WJZT7O -p tcp -j DNAT --to-destination 10.0.1.1:8080
    `);
    expect(showMembers(kernel)).toBe(text`
      WEIR-4-CLUSTER-IPS 10.96.0.10,tcp:80
      WEIR-4-HAIRPIN 10.0.1.1,tcp:8080,10.0.1.1
    `);
  });

  test('without endpoints: no chain, only a refusal', () => {
    const kernel = kernelWith([{ service: service() }]);
    expect(show(kernel, 'nat', /^KUBE-(SVC|SVL|EXT|FW)-/u)).toBe('');
    expect(showMembers(kernel)).toBe('WEIR-4-REJECT-INTERNAL 10.96.0.10,tcp:80');
  });

  test('with internal policy Local and endpoints elsewhere: silence', () => {
    const objects = {
      service: service({ internalTrafficPolicy: 'Local' }),
      slices: [endpointSlice(['10.0.2.1'])],
    };
    expect(showMembers(kernelWith([objects]))).toBe('WEIR-4-DROP-INTERNAL 10.96.0.10,tcp:80');
  });

  test('with affinity, IPv6: the mask of the lists is of the family', () => {
    const objects = {
      service: service({ affinitySeconds: 10_800 }),
      slices: [endpointSlice(['fd00:10:180::1'])],
    };
    const ports = [{ name: 'p80', protocol: 'TCP', port: 80 } as const];
    const kernel = kernelWith(
      [{ ...objects, slices: [{ ...objects.slices[0], ports } as (typeof slices)['IPv6']] }],
      'IPv6',
    );
    expect(show(kernel, 'nat', /^KUBE-SVC-/u)).toBe(text`
      -A KUBE-SVC-XPGD46QRK7WJZT7O -p tcp -m recent --update --seconds 10800 --reap --name KUBE-SEP-OGYCNMB4EMRUSJ6N --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource -j DNAT --to-destination [fd00:10:180::1]:80
      -A KUBE-SVC-XPGD46QRK7WJZT7O -p tcp -m recent --set --name KUBE-SEP-OGYCNMB4EMRUSJ6N --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource -j DNAT --to-destination [fd00:10:180::1]:80
    `);
  });
});

describe('types NodePort and LoadBalancer', () => {
  const perService = [/^KUBE-(SVC|SVL|EXT|FW|NODEPORTS)/u, /^KUBE-SERVICES$/u];

  test('policy Cluster, IPv4: everything external is masqueraded', () => {
    const kernel = kernelWith([loadBalancer('IPv4')], 'IPv4', { detector: undefined });
    expect(show(kernel, 'nat', ...perService)).toBe(text`
      -A KUBE-EXT-XPGD46QRK7WJZT7O -j KUBE-MARK-MASQ
      -A KUBE-EXT-XPGD46QRK7WJZT7O -j KUBE-SVC-XPGD46QRK7WJZT7O
      -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES -d 192.0.2.1/32 -p tcp -m tcp --dport 80 -j KUBE-EXT-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES -d 198.51.100.1/32 -p tcp -m tcp --dport 80 -j KUBE-EXT-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
      -A KUBE-SVC-XPGD46QRK7WJZT7O -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.0.1.1:8080
      -A KUBE-SVC-XPGD46QRK7WJZT7O -p tcp -j DNAT --to-destination 10.0.2.1:8080
    `);
  });

  test('policy Local with source ranges and a health check, IPv6', () => {
    const objects = loadBalancer('IPv6', {
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 31_000,
      loadBalancerSourceRanges: ['2001:db8:1::/48', '2001:db8:2::5/128', 'fd00:192::/64'],
    });
    const kernel = kernelWith([objects], 'IPv6');
    expect(show(kernel, 'nat', ...perService)).toBe(text`
      -A KUBE-EXT-XPGD46QRK7WJZT7O -s fd00:10::/32 -j KUBE-SVC-XPGD46QRK7WJZT7O
      -A KUBE-EXT-XPGD46QRK7WJZT7O -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
      -A KUBE-EXT-XPGD46QRK7WJZT7O -m addrtype --src-type LOCAL -j KUBE-SVC-XPGD46QRK7WJZT7O
      -A KUBE-EXT-XPGD46QRK7WJZT7O -j KUBE-SVL-XPGD46QRK7WJZT7O
      -A KUBE-FW-XPGD46QRK7WJZT7O -m set --match-set WEIR-6-SOURCE-RANGES dst,dst,src -j KUBE-EXT-XPGD46QRK7WJZT7O
      -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES ! -s fd00:10::/32 -m set --match-set WEIR-6-CLUSTER-IPS dst,dst -j KUBE-MARK-MASQ
      -A KUBE-SERVICES -d 2001:db8::1/128 -p tcp -m tcp --dport 80 -j KUBE-EXT-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES -d 2001:db8::2/128 -p tcp -m tcp --dport 80 -j KUBE-FW-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES -d fd00:96::10/128 -p tcp -m tcp --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O
      -A KUBE-SERVICES ! -d ::1/128 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
      -A KUBE-SVC-XPGD46QRK7WJZT7O -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination [fd00:10::1:1]:8080
      -A KUBE-SVC-XPGD46QRK7WJZT7O -p tcp -j DNAT --to-destination [fd00:10::2:1]:8080
      -A KUBE-SVL-XPGD46QRK7WJZT7O -p tcp -j DNAT --to-destination [fd00:10::1:1]:8080
    `);
    expect(showMembers(kernel)).toBe(text`
      WEIR-6-CLUSTER-IPS fd00:96::10,tcp:80
      WEIR-6-FIREWALLED 2001:db8::2,tcp:80
      WEIR-6-HAIRPIN fd00:10::1:1,tcp:8080,fd00:10::1:1
      WEIR-6-HAIRPIN fd00:10::2:1,tcp:8080,fd00:10::2:1
      WEIR-6-HEALTH-CHECK-PORTS 8000::/1,tcp:31000
      WEIR-6-HEALTH-CHECK-PORTS ::/1,tcp:31000
      WEIR-6-SOURCE-RANGES 2001:db8::2,tcp:80,2001:db8:1::/48
      WEIR-6-SOURCE-RANGES 2001:db8::2,tcp:80,2001:db8:2::5
      WEIR-6-SOURCE-RANGES 2001:db8::2,tcp:80,2001:db8::2
      WEIR-6-SOURCE-RANGES 2001:db8::2,tcp:80,fd00:192::/64
    `);
  });

  test('policy Local with endpoints elsewhere: routed for pods and the node, silence for others', () => {
    const objects = {
      ...loadBalancer('IPv4', { externalTrafficPolicy: 'Local' }),
      slices: [endpointSlice(['10.0.2.1'])],
    };
    const kernel = kernelWith([objects]);
    expect(show(kernel, 'nat', /^KUBE-(EXT|SVL)-/u)).toBe(text`
      -A KUBE-EXT-XPGD46QRK7WJZT7O -s 10.0.0.0/8 -j KUBE-SVC-XPGD46QRK7WJZT7O
      -A KUBE-EXT-XPGD46QRK7WJZT7O -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
      -A KUBE-EXT-XPGD46QRK7WJZT7O -m addrtype --src-type LOCAL -j KUBE-SVC-XPGD46QRK7WJZT7O
    `);
    expect(showMembers(kernel)).toBe(text`
      WEIR-4-CLUSTER-IPS 10.96.0.10,tcp:80
      WEIR-4-DROP-EXTERNAL 192.0.2.1,tcp:80
      WEIR-4-DROP-EXTERNAL 198.51.100.1,tcp:80
      WEIR-4-DROP-NODEPORTS 0.0.0.0/1,tcp:30080
      WEIR-4-DROP-NODEPORTS 128.0.0.0/1,tcp:30080
      WEIR-4-HAIRPIN 10.0.2.1,tcp:8080,10.0.2.1
    `);
  });

  test('without endpoints: refused everywhere, and no firewall, whatever the source ranges', () => {
    const objects = loadBalancer('IPv4', {
      loadBalancerSourceRanges: ['203.0.113.0/24'],
      healthCheckNodePort: 31_000,
    });
    expect(showMembers(kernelWith([{ service: objects.service }]))).toBe(text`
      WEIR-4-REJECT-EXTERNAL 192.0.2.1,tcp:80
      WEIR-4-REJECT-EXTERNAL 198.51.100.1,tcp:80
      WEIR-4-REJECT-INTERNAL 10.96.0.10,tcp:80
      WEIR-4-REJECT-NODEPORTS 0.0.0.0/1,tcp:30080
      WEIR-4-REJECT-NODEPORTS 128.0.0.0/1,tcp:30080
    `);
  });
});

describe('ServiceRules', () => {
  test('leaves nothing of a Service that is gone', () => {
    const objects = loadBalancer('IPv4', {
      externalTrafficPolicy: 'Local',
      loadBalancerSourceRanges: ['203.0.113.0/24'],
    });
    const node = new RenderedNode(serviceOptions('IPv4'), topology);
    node.sync();
    const before = node.kernel();
    node.set(objects);
    node.sync();
    expect(node.kernel()).not.toEqual(before);
    node.set({ service: service({ headless: true }) });
    node.sync();
    expect(node.kernel()).toEqual(before);
  });

  test('keeps what two Services share until both are gone', () => {
    const node = new RenderedNode(serviceOptions('IPv4'), topology);
    const twin = service({ name: 'svc2', clusterIPs: { IPv4: '10.96.0.11' } });
    node.set({ service: service(), slices: [endpointSlice(['10.0.1.1'])] });
    node.set({ service: twin, slices: [endpointSlice(['10.0.1.1'])] });
    node.sync();
    node.set({ service: service({ headless: true }) });
    node.sync();
    expect(showMembers(node.kernel())).toBe(text`
      WEIR-4-CLUSTER-IPS 10.96.0.11,tcp:80
      WEIR-4-HAIRPIN 10.0.1.1,tcp:8080,10.0.1.1
    `);
  });

  test('reports an address that two Services claim, and keeps a cluster IP from an external IP', () => {
    const node = new RenderedNode(serviceOptions('IPv4'), topology);
    const thief = service({
      namespace: 'a',
      clusterIPs: { IPv4: '10.96.0.11' },
      externalIPs: ['10.96.0.10'],
    });
    node.set({ service: thief, slices: [endpointSlice(['10.0.1.1'])] });
    node.set({ service: service(), slices: [endpointSlice(['10.0.1.2'])] });
    node.sync();
    expect(show(node.kernel(), 'nat', /^KUBE-SERVICES$/u)).toContain(
      '-d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O',
    );
    expect(node.rules.conflicts()).toEqual([
      { holder: 'ns1/svc1:p80', loser: 'a/svc1:p80', what: 'TCP 10.96.0.10:80' },
    ]);
  });

  test('an external IP that is a load-balancer address as well is not behind its firewall', () => {
    const objects = loadBalancer('IPv4', {
      externalIPs: ['198.51.100.1'],
      loadBalancerSourceRanges: ['203.0.113.0/24'],
    });
    expect(show(kernelWith([objects]), 'nat', /^KUBE-SERVICES$/u)).toContain(
      '-d 198.51.100.1/32 -p tcp -m tcp --dport 80 -j KUBE-EXT-',
    );
  });

  test('says for which port each chain is', () => {
    const node = new RenderedNode(serviceOptions('IPv4'), topology);
    node.set({ service: service(), slices: [endpointSlice(['10.0.1.1'])] });
    expect(node.rules.chainOwners()).toEqual(new Map([['KUBE-SVC-XPGD46QRK7WJZT7O', 'ns1/svc1:p80']]));
  });

  test('follows a change of the node ports’ addresses without the Services', () => {
    const node = new RenderedNode(serviceOptions('IPv4'), topology);
    node.set(loadBalancer('IPv4'));
    node.sync();
    node.rules.setOptions(
      serviceOptions('IPv4', { nodePorts: { kind: 'some', addresses: ['192.168.0.9'] } }),
    );
    expect(node.sync().writeChains.map((write) => write.name)).toEqual(['KUBE-SERVICES']);
  });
});
