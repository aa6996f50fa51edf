import type { Landmarks } from '../../pkg/apply/index.ts';
import type { Ownership } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { forwardJump, isPolicyChain, policyOwnership } from '../../pkg/policy/iptables/index.ts';
import { serviceJumps, serviceOwnership, staticChainNames } from '../../pkg/service/iptables/index.ts';

/**
 * What Weir writes, in parts that stand and fail alone. In the order in which they are written: policies hold before Services
 * send packets to pods, and their jump stands first.
 */
export const parts = ['policies', 'services'] as const;
export type Part = (typeof parts)[number];

/** Which chains and sets of one family belong to a part: each of Weir's to exactly one. */
export function partOwnership(part: Part, family: Family): Ownership {
  const services = serviceOwnership(family);
  const policies = policyOwnership(family);
  const isPolicySet = (name: string): boolean => policies.set(name) && !services.set(name);
  switch (part) {
    case 'policies':
      return { ...policies, set: isPolicySet };
    case 'services':
      return {
        ...services,
        // Sets of an older Weir that nobody knows any more, too.
        set: (name) =>
          services.set(name) || (name.startsWith(`WEIR-${family === 'IPv4' ? 4 : 6}-`) && !isPolicySet(name)),
        staysAhead: (target) => isPolicyChain('filter', target),
      };
  }
}

/**
 * Where to look for Weir's rules, and kube-proxy's, in a table that iptables cannot print whole: the same for both families. In the order
 * in which the jumps stand.
 */
export const ruleLandmarks: Landmarks = {
  jumps: [forwardJump, ...serviceJumps(true)],
  chains: staticChainNames,
};
