import type { Landmarks } from '../../pkg/apply/index.ts';
import type { Part } from '../../pkg/config/index.ts';
import type { Ownership, TableName } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { isPolicyChain, policyJumps, policyOwnership } from '../../pkg/policy/iptables/index.ts';
import { serviceJumps, serviceOwnership, staticChainNames } from '../../pkg/service/iptables/index.ts';

export { type Part, parts } from '../../pkg/config/index.ts';

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
 * Where to look for the rules of these parts, and with Services for kube-proxy's, in a table that iptables cannot print whole: the same for
 * both families. In the order in which the jumps stand.
 */
export function ruleLandmarks(parts: readonly Part[]): Landmarks {
  const hasServices = parts.includes('services');
  return {
    jumps: [
      ...(parts.includes('policies') ? policyJumps({ besideProxy: true }) : []),
      ...(hasServices ? serviceJumps(true) : []),
    ],
    chains: hasServices ? staticChainNames : {},
  };
}

/** Tables in which these parts have chains. */
export function tablesOf(parts: readonly Part[], family: Family): readonly TableName[] {
  const tables = parts.flatMap((part) => partOwnership(part, family).tables ?? (['filter', 'nat'] as const));
  return [...new Set(tables)];
}
