import { describe, expect, test } from 'vitest';
import { service, servicePort } from '../../../test/support/service-objects.ts';
import type { Service } from '../../api/index.ts';
import { type RoutedPort, routedPorts } from './routed-port.ts';

function first(changes: Partial<Service>, family: 'IPv4' | 'IPv6' = 'IPv4'): RoutedPort {
  const [port] = routedPorts(service(changes), family);
  if (port === undefined) throw new Error('no port');
  return port;
}

describe('a Service has no routed ports', () => {
  test.each<[string, Partial<Service>]>([
    ['when it is headless', { headless: true, clusterIPs: {} }],
    ['when it is headless, though an address is left', { headless: true }],
    ['when it is of type ExternalName, though a cluster IP is left', { type: 'ExternalName' }],
    ['without a cluster IP of the family', { clusterIPs: { IPv6: 'fd00:96::10' } }],
    ['when another proxy serves it', { otherProxy: true }],
    ['without ports', { ports: [] }],
  ])('%s', (_, changes) => {
    expect(routedPorts(service(changes), 'IPv4')).toEqual([]);
  });
});

describe('routedPorts', () => {
  test('gives one for each port, with the cluster IP of the family', () => {
    const ports = [
      servicePort({ name: 'dns', protocol: 'UDP', port: 53 }),
      servicePort({ name: 'dns-tcp', port: 53 }),
    ];
    expect(
      routedPorts(service({ ports }), 'IPv6').map(({ id, clusterIP, protocol, port, family }) => ({
        id,
        clusterIP,
        protocol,
        port,
        family,
      })),
    ).toEqual([
      { id: 'ns1/svc1:dns', clusterIP: 'fd00:96::10', protocol: 'UDP', port: 53, family: 'IPv6' },
      { id: 'ns1/svc1:dns-tcp', clusterIP: 'fd00:96::10', protocol: 'TCP', port: 53, family: 'IPv6' },
    ]);
  });

  test('leaves the colon out of the id of a port without a name', () => {
    expect(first({ ports: [servicePort({ name: '' })] }).id).toBe('ns1/svc1');
  });

  test('keeps addresses and source ranges of its own family only', () => {
    const changes: Partial<Service> = {
      type: 'LoadBalancer',
      externalIPs: ['192.0.2.1', '2001:db8::1'],
      loadBalancerIPs: ['198.51.100.1', '2001:db8::2'],
      loadBalancerSourceRanges: ['203.0.113.0/24', '2001:db8:1::/48'],
    };
    expect(first(changes, 'IPv4')).toMatchObject({
      externalIPs: ['192.0.2.1'],
      loadBalancerIPs: ['198.51.100.1'],
      sourceRanges: ['203.0.113.0/24'],
    });
    expect(first(changes, 'IPv6')).toMatchObject({
      externalIPs: ['2001:db8::1'],
      loadBalancerIPs: ['2001:db8::2'],
      sourceRanges: ['2001:db8:1::/48'],
    });
  });

  test('lets everybody in where all source ranges are of the other family', () => {
    const changes: Partial<Service> = {
      type: 'LoadBalancer',
      loadBalancerIPs: ['198.51.100.1'],
      loadBalancerSourceRanges: ['2001:db8:1::/48'],
    };
    expect(first(changes).sourceRanges).toEqual([]);
  });

  test('honours a node port and load-balancer addresses whatever the type says', () => {
    const port = first({ ports: [servicePort({ nodePort: 30_080 })], loadBalancerIPs: ['198.51.100.1'] });
    expect(port).toMatchObject({
      nodePort: 30_080,
      loadBalancerIPs: ['198.51.100.1'],
      externallyAccessible: true,
    });
  });

  test('hands the affinity time-out on', () => {
    expect(first({ affinitySeconds: 60 }).affinitySeconds).toBe(60);
    expect(first({}).affinitySeconds).toBeUndefined();
  });

  test('knows internal policy Local', () => {
    expect(first({}).internalPolicyLocal).toBe(false);
    expect(first({ internalTrafficPolicy: 'Local' }).internalPolicyLocal).toBe(true);
  });
});

describe('externallyAccessible', () => {
  test.each<[string, Partial<Service>, boolean]>([
    ['not by a cluster IP alone', {}, false],
    ['by a node port', { type: 'NodePort', ports: [servicePort({ nodePort: 30_080 })] }, true],
    ['by a load-balancer address', { type: 'LoadBalancer', loadBalancerIPs: ['198.51.100.1'] }, true],
    ['by an external IP', { externalIPs: ['192.0.2.1'] }, true],
    ['not by addresses of the other family', { externalIPs: ['2001:db8::1'] }, false],
    ['not by a type LoadBalancer that waits for its address', { type: 'LoadBalancer' }, false],
  ])('%s', (_, changes, expected) => {
    expect(first(changes).externallyAccessible).toBe(expected);
  });
});

describe('external policy Local counts', () => {
  test.each<[string, Partial<Service>, boolean]>([
    ['for type NodePort', { type: 'NodePort' }, true],
    ['for type LoadBalancer', { type: 'LoadBalancer' }, true],
    ['for type ClusterIP with external IPs', { externalIPs: ['192.0.2.1'] }, true],
    ['for type ClusterIP with external IPs of the other family', { externalIPs: ['2001:db8::1'] }, true],
    ['not for type ClusterIP alone', {}, false],
  ])('%s', (_, changes, expected) => {
    expect(first({ externalTrafficPolicy: 'Local', ...changes }).externalPolicyLocal).toBe(expected);
    expect(first(changes).externalPolicyLocal).toBe(false);
  });
});

describe('healthCheckNodePort', () => {
  test.each<[string, Partial<Service>, number]>([
    [
      'for type LoadBalancer with policy Local',
      { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
      31_000,
    ],
    ['not with policy Cluster', { type: 'LoadBalancer' }, 0],
    ['not for type NodePort', { type: 'NodePort', externalTrafficPolicy: 'Local' }, 0],
  ])('%s', (_, changes, expected) => {
    expect(first({ healthCheckNodePort: 31_000, ...changes }).healthCheckNodePort).toBe(expected);
  });
});
