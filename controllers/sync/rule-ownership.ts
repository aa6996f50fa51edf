import type { Ownership } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { isPolicyChain } from '../../pkg/policy/iptables/index.ts';
import { serviceOwnership } from '../../pkg/service/iptables/index.ts';

/** Which chains and sets of one family are Weir's: those of the Services and those of the policies. */
export function ruleOwnership(family: Family): Ownership {
  const services = serviceOwnership(family);
  return {
    chain: (table, name) => (isPolicyChain(table, name) ? 'own' : services.chain(table, name)),
    set: (name) => services.set(name),
  };
}
