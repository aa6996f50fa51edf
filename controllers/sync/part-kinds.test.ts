import { expect, test } from 'vitest';
import { kindsOf } from './part-kinds.ts';

test('policies do without Services and their endpoints, Services without pods and policies', () => {
  const policies = ['Node', 'Namespace', 'NetworkPolicy', 'Pod', 'ServiceCIDR'] as const;
  expect(kindsOf(['policies'])).toEqual(new Set(policies));
  expect(kindsOf(['services'])).toEqual(new Set(['Node', 'Service', 'EndpointSlice']));
  expect(kindsOf(['policies', 'services'])).toEqual(new Set([...policies, 'Service', 'EndpointSlice']));
});
