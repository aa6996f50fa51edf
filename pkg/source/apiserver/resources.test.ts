import { expect, test } from 'vitest';
import { qualifiedName, requestPath, watchedResources } from './resources.ts';

const byPlural = new Map(watchedResources('node-1').map((resource) => [resource.plural, resource]));

test.each([
  [
    'services',
    '/api/v1/services?labelSelector=%21service.kubernetes.io%2Fservice-proxy-name&fieldSelector=spec.clusterIP%21%3DNone',
  ],
  [
    'endpointslices',
    '/apis/discovery.k8s.io/v1/endpointslices?labelSelector=%21service.kubernetes.io%2Fheadless',
  ],
  ['nodes', '/api/v1/nodes?fieldSelector=metadata.name%3Dnode-1'],
  ['namespaces', '/api/v1/namespaces'],
  ['networkpolicies', '/apis/networking.k8s.io/v1/networkpolicies'],
  ['pods', '/api/v1/pods'],
  ['servicecidrs', '/apis/networking.k8s.io/v1/servicecidrs'],
])('asks for %s with the selectors of kube-proxy', (plural, path) => {
  const resource = byPlural.get(plural);
  expect(resource && requestPath(resource, {})).toBe(path);
});

test('puts the selectors into every request', () => {
  const services = byPlural.get('services');
  const query = new URLSearchParams(
    services && requestPath(services, { limit: '500', continue: 'a=b&c' }).split('?')[1],
  );
  expect(Object.fromEntries(query)).toEqual({
    limit: '500',
    continue: 'a=b&c',
    labelSelector: '!service.kubernetes.io/service-proxy-name',
    fieldSelector: 'spec.clusterIP!=None',
  });
});

test('can do without ServiceCIDRs only', () => {
  const optional = [...byPlural.values()].filter((resource) => resource.optional);
  expect(optional.map(qualifiedName)).toEqual(['servicecidrs.networking.k8s.io']);
});
