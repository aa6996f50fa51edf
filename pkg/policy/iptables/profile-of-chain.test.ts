import { expect, test } from 'vitest';
import { dispatchChains, forwardChain, groupNames, profileNames } from './policy-names.ts';
import { profileOfChain } from './profile-of-chain.ts';

test('names the profile of the chains that profiles get', () => {
  for (const direction of ['Ingress', 'Egress'] as const) {
    for (const key of ['a/b', 'x', '']) {
      const { chain } = profileNames('IPv4', direction, key);
      const found = profileOfChain(chain);
      expect(found?.direction).toBe(direction);
      expect(chain.endsWith(`-${found?.profile}`)).toBe(true);
    }
  }
});

test('a profile has one name in both families', () => {
  const names = (['IPv4', 'IPv6'] as const).map((family) => profileNames(family, 'Egress', 'a/b').chain);
  expect(names.map(profileOfChain)).toEqual([profileOfChain(names[0] ?? ''), profileOfChain(names[0] ?? '')]);
});

test('no other chain has a profile', () => {
  const others = [
    forwardChain,
    dispatchChains.Ingress,
    dispatchChains.Egress,
    groupNames('IPv4', 'Ingress', 64, 63).chain,
    'KUBE-SERVICES',
    'FORWARD',
  ];
  expect(others.map(profileOfChain)).toEqual(others.map(() => undefined));
});
