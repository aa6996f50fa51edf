import { describe, expect, test } from 'vitest';
import { endpointSlice, service, servicePort } from '../../test/support/service-objects.ts';
import { leaveOut } from './leave-out.ts';
import type { Origin, ServiceOrigin } from './origin.ts';
import type { Service } from './service.ts';

const balanced = service({
  ports: [servicePort({ nodePort: 30_080 }), servicePort({ name: 'dns', port: 53 })],
  externalIPs: ['192.0.2.1', '2001:db8::1'],
  loadBalancerIPs: ['198.51.100.1', '2001:db8::2'],
  loadBalancerSourceRanges: ['203.0.113.0/24', '10.0.0.0/8', '2001:db8:1::/48'],
  affinitySeconds: 60,
  healthCheckNodePort: 31_000,
});

function of(field: ServiceOrigin['field'], value = ''): ServiceOrigin {
  return { kind: 'Service', namespace: 'ns1', name: 'svc1', field, value };
}

describe('of a Service', () => {
  test.each<[ServiceOrigin, Partial<Service>]>([
    [of('spec.clusterIPs', '10.96.0.10'), { clusterIPs: { IPv6: 'fd00:96::10' } }],
    [of('spec.externalIPs', '192.0.2.1'), { externalIPs: ['2001:db8::1'] }],
    [of('status.loadBalancer.ingress', '2001:db8::2'), { loadBalancerIPs: ['198.51.100.1'] }],
    [
      of('spec.loadBalancerSourceRanges', '10.0.0.0/8'),
      { loadBalancerSourceRanges: ['203.0.113.0/24', '2001:db8:1::/48'] },
    ],
    [of('spec.ports', 'p80'), { ports: [servicePort({ name: 'dns', port: 53 })] }],
    [of('spec.ports.nodePort', '30080'), { ports: [servicePort(), servicePort({ name: 'dns', port: 53 })] }],
    [of('spec.healthCheckNodePort', '31000'), { healthCheckNodePort: 0 }],
    [of('spec.sessionAffinity'), { affinitySeconds: undefined }],
  ])('$0.field $0.value goes, and nothing else', (origin, expected) => {
    expect(leaveOut(balanced, origin)).toEqual({ ...balanced, ...expected });
  });

  test('the last source range of a family leaves a block that nobody is in, not everybody', () => {
    const origin = of('spec.loadBalancerSourceRanges', '2001:db8:1::/48');
    const after = leaveOut(balanced, origin);
    expect(after).toMatchObject({ loadBalancerSourceRanges: ['203.0.113.0/24', '10.0.0.0/8', '::/128'] });
    const nobody = leaveOut(after ?? balanced, of('spec.loadBalancerSourceRanges', '::/128'));
    expect(nobody).toMatchObject({ loadBalancerIPs: ['198.51.100.1'] });
  });

  test.each<Origin>([
    of('spec.externalIPs', '192.0.2.9'),
    of('spec.clusterIPs', '10.96.0.99'),
    of('spec.ports', 'other'),
    of('spec.ports.nodePort', '30081'),
    of('spec.loadBalancerSourceRanges', '10.0.0.0/9'),
    { ...of('spec.externalIPs', '192.0.2.1'), name: 'svc2' },
    { ...of('spec.externalIPs', '192.0.2.1'), namespace: 'ns2' },
    { kind: 'Pod', namespace: 'ns1', name: 'svc1', field: 'status.podIPs', value: '192.0.2.1' },
  ])('$kind $namespace/$name $field $value is nothing that it has', (origin) => {
    expect(leaveOut(balanced, origin)).toBeUndefined();
  });
});

test('an EndpointSlice keeps its other endpoints', () => {
  const slice = endpointSlice(['10.0.0.1', '10.0.0.2']);
  const origin: Origin = {
    kind: 'EndpointSlice',
    namespace: slice.namespace,
    name: slice.name,
    field: 'endpoints.addresses',
    value: '10.0.0.1',
  };
  const after = leaveOut(slice, origin);
  expect(after).toEqual(endpointSlice(['10.0.0.2']));
  expect(leaveOut(after ?? slice, origin)).toBeUndefined();
});
