import { expect, test } from 'vitest';
import { namespacedName } from '../../pkg/api/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { endpoint, endpointSlice, service, servicePort } from '../../test/support/service-objects.ts';
import { LocalEndpoints } from './local-endpoints.ts';

const name = namespacedName('ns1', 'svc1');
const remote = endpoint('10.0.2.1', { nodeName: 'node-b' });
const local = endpoint('10.0.1.1', { nodeName: 'node-a' });
const balanced = service({
  type: 'LoadBalancer',
  loadBalancerIPs: ['198.51.100.1'],
  externalTrafficPolicy: 'Local',
  internalTrafficPolicy: 'Local',
  healthCheckNodePort: 31_000,
  ports: [servicePort({ nodePort: 30_080 }), servicePort({ name: 'unused', port: 81 })],
});

function localEndpoints(store: Store): LocalEndpoints {
  return new LocalEndpoints({ store, nodeName: 'node-a', families: ['IPv4', 'IPv6'] });
}

test('looks at every Service at first, then at those that changed', () => {
  const store = new Store();
  store.upsert(balanced);
  store.upsert(endpointSlice([remote]));
  const counts = localEndpoints(store);
  counts.update([]);
  expect([...counts.healthPorts('IPv4')]).toEqual([[name, { port: 31_000, localEndpoints: 0 }]]);
  // The port without any endpoint is none of them: it is refused everywhere.
  expect(counts.withoutLocalEndpoints('IPv4')).toEqual({ internal: 1, external: 1 });
  expect(counts.withoutLocalEndpoints('IPv6')).toEqual({ internal: 0, external: 0 });

  store.upsert(endpointSlice([remote, local]));
  counts.update([]);
  expect(counts.healthPorts('IPv4').get(name)?.localEndpoints).toBe(0);
  counts.update([name]);
  expect(counts.healthPorts('IPv4').get(name)?.localEndpoints).toBe(1);
  expect(counts.withoutLocalEndpoints('IPv4')).toEqual({ internal: 0, external: 0 });
});

test('forgets a Service that is gone or does not care any more', () => {
  const store = new Store();
  store.upsert(balanced);
  store.upsert(endpointSlice([remote]));
  const counts = localEndpoints(store);
  counts.update([]);
  const kept = counts.healthPorts('IPv4');
  store.upsert(service());
  counts.update([name]);
  expect(counts.healthPorts('IPv4').size).toBe(0);
  expect(counts.withoutLocalEndpoints('IPv4')).toEqual({ internal: 0, external: 0 });
  expect(kept.size).toBe(1);
  store.upsert(balanced);
  counts.update([name]);
  store.remove('Service', 'ns1', 'svc1');
  counts.update([name]);
  expect(counts.healthPorts('IPv4').size).toBe(0);
});
