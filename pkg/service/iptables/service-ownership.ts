import { type Ownership, type SetSpec, type TableName, temporarySet } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import { isServiceJump } from './service-jumps.ts';
import { chains, ipvsChains, ipvsSets, isPerServiceChain, serviceSets } from './service-names.ts';

/** The chains that are Weir's whatever Services there are, by table. */
export const staticChainNames = {
  nat: [
    chains.services,
    chains.nodePorts,
    chains.postrouting,
    chains.markMasq,
    ipvsChains.nodePort,
    ipvsChains.loadBalancer,
    'KUBE-PROXY-CANARY',
  ],
  filter: [
    chains.services,
    chains.externalServices,
    chains.forward,
    chains.nodePorts,
    chains.proxyFirewall,
    ipvsChains.nodePort,
    ipvsChains.sourceRangesFirewall,
    ipvsChains.filter,
    ipvsChains.outFilter,
    'KUBE-PROXY-CANARY',
  ],
} as const;

const ownChains: Readonly<Record<string, ReadonlySet<string>>> = {
  nat: new Set(staticChainNames.nat),
  filter: new Set(staticChainNames.filter),
};

/**
 * What the Services part owns: the chains and sets that kube-proxy would call its own, in iptables and in IPVS mode, which are Weir's while
 * Weir serves the node, and the sets that Weir's own rules look into.
 */
export function serviceOwnership(family: Family): Ownership {
  const specs = Object.values(serviceSets(family)) as readonly SetSpec[];
  const sets = new Set<string>(specs.flatMap((spec) => [spec.name, temporarySet(spec)]));
  const kubeProxySets = ipvsSets(family);
  return {
    chain: (table: TableName, name: string) => {
      if (ownChains[table]?.has(name) === true || (table === 'nat' && isPerServiceChain(name))) return 'own';
      return name === chains.firewall ? 'shared' : 'foreign';
    },
    jump: (_, rule) => isServiceJump(rule),
    set: (name: string) => sets.has(name) || kubeProxySets.has(name),
  };
}
