import { isTemporarySet, type Ownership } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import { isPolicyJump } from './forward-chain.ts';
import { isPolicyChain } from './policy-names.ts';

/** What the policies part owns: all chains of Weir's own name, which are in the filter table alone, and the sets that these look into. */
export function policyOwnership(family: Family): Ownership {
  const digit = family === 'IPv4' ? 4 : 6;
  const own = new RegExp(`^WEIR-${digit}-(INGRESS|EGRESS|KNOWN|CLOSED|PODS|NETS|PORTS)(-|$)`);
  return {
    tables: ['filter'],
    chain: (table, name) => (isPolicyChain(table, name) ? 'own' : 'foreign'),
    jump: (_, rule) => isPolicyJump(rule),
    // No rule looks into what was left half filled.
    set: (name) => own.test(name) || (isTemporarySet(name) && name.startsWith(`WEIR-${digit}-`)),
  };
}
