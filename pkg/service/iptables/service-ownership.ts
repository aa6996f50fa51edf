import type { Ownership, TableName } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import { chains, isPerServiceChain } from './service-names.ts';

const ownChains: Readonly<Record<string, ReadonlySet<string>>> = {
  nat: new Set([chains.services, chains.nodePorts, chains.postrouting, chains.markMasq, 'KUBE-PROXY-CANARY']),
  filter: new Set([
    chains.services,
    chains.externalServices,
    chains.forward,
    chains.nodePorts,
    chains.proxyFirewall,
    'KUBE-PROXY-CANARY',
  ]),
};

/**
 * The chains that kube-proxy would call its own, which are Weir's while Weir serves the node, and the sets by Weir's prefix.
 */
export function serviceOwnership(family: Family): Ownership {
  const prefix = `WEIR-${family === 'IPv4' ? 4 : 6}-`;
  return {
    chain: (table: TableName, name: string) => {
      if (ownChains[table]?.has(name) === true || (table === 'nat' && isPerServiceChain(name))) return 'own';
      return name === chains.firewall ? 'shared' : 'foreign';
    },
    set: (name: string) => name.startsWith(prefix),
  };
}
