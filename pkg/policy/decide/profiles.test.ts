import { describe, expect, it } from 'vitest';
import { pod, policy } from '../../../test/support/policy-world.ts';
import type { NetworkPolicy, Pod } from '../../api/index.ts';
import { profilesOf } from './profiles.ts';

const pods = [
  pod('shop/web-2', ['10.0.0.2'], { labels: { app: 'web' } }),
  pod('shop/web-1', ['10.0.0.1'], { labels: { app: 'web' } }),
  pod('shop/api', ['10.0.0.3']),
  pod('bank/web', ['10.0.1.1']),
];
const web = { podSelector: { matchLabels: { app: 'web' } } };

function summary(
  direction: 'Ingress' | 'Egress',
  some: readonly Pod[],
  policies: readonly NetworkPolicy[],
): unknown {
  return profilesOf(direction, some, policies).map((profile) => [
    profile.key,
    profile.pods.map(({ name }) => name),
  ]);
}

describe('profilesOf', () => {
  const policies = [
    policy('shop/zz-web', web),
    policy('shop/all', {}),
    policy('bank/all', {}),
    policy('shop/out', { ...web, policyTypes: ['Egress'] }),
  ];

  it('puts pods that the same policies select into one profile, everything in order', () => {
    expect(summary('Ingress', pods, policies)).toEqual([
      ['Ingress bank: all', ['web']],
      ['Ingress shop: all', ['api']],
      ['Ingress shop: all zz-web', ['web-1', 'web-2']],
    ]);
  });

  it('looks at policies of the direction only, and leaves out pods that none selects', () => {
    expect(summary('Egress', pods, policies)).toEqual([['Egress shop: out', ['web-1', 'web-2']]]);
  });

  it('leaves out pods that do not count', () => {
    const others = [
      pod('shop/host', ['192.0.2.1'], { hostNetwork: true }),
      pod('shop/done', ['10.0.0.9'], { phase: 'Succeeded' }),
      pod('shop/new', []),
      pod('shop/leaving', ['10.0.0.8'], { terminating: true }),
    ];
    expect(summary('Ingress', others, policies)).toEqual([['Ingress shop: all', ['leaving']]]);
  });

  it('does not depend on the order in which things arrived', () => {
    expect(profilesOf('Ingress', pods.toReversed(), policies.toReversed())).toEqual(
      profilesOf('Ingress', pods, policies),
    );
  });
});
