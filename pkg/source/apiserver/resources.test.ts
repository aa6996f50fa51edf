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
  expect(resource && requestPath({ resource, withFieldSelector: true }, {})).toBe(path);
});

test.each([
  ['services', '/api/v1/services?labelSelector=%21service.kubernetes.io%2Fservice-proxy-name'],
  ['nodes', '/api/v1/nodes'],
])('asks for all %s that labels select where the server refuses the field', (plural, path) => {
  const resource = byPlural.get(plural);
  expect(resource && requestPath({ resource, withFieldSelector: false }, {})).toBe(path);
});

test('puts the selectors into every request', () => {
  const resource = byPlural.get('services');
  if (resource === undefined) throw new Error('no Services');
  const path = requestPath({ resource, withFieldSelector: true }, { limit: '500', continue: 'a=b&c' });
  const query = new URLSearchParams(path.split('?')[1]);
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

test('only the kinds that are asked for are watched', () => {
  const kinds = new Set(['Pod', 'Node'] as const);
  expect(watchedResources('node-1', kinds).map(({ kind }) => kind)).toEqual(['Node', 'Pod']);
});
