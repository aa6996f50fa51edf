import { canonicalCidr, type Family, familyOf } from '../../net/index.ts';

/** How traffic of this cluster's (or node's) pods is told from other traffic. */
export type LocalDetector =
  | { readonly kind: 'cidr'; readonly cidr: string }
  | { readonly kind: 'bridge'; readonly name: string }
  | { readonly kind: 'interface-prefix'; readonly prefix: string };

export type DetectLocalMode = 'ClusterCIDR' | 'NodeCIDR' | 'BridgeInterface' | 'InterfaceNamePrefix';

export interface DetectLocalOptions {
  readonly detectLocalMode: DetectLocalMode;
  readonly clusterCIDRs: readonly string[];
  readonly bridgeInterface: string;
  readonly interfaceNamePrefix: string;
}

/**
 * The detector for one family, or `undefined` when the mode has no value for it: then off-cluster traffic to cluster IPs is
 * not masqueraded and pods get no short cut (kube-proxy's behaviour). Only the first CIDR of a family counts.
 * A /0 says that everything is local: nothing is off-cluster, and nothing tells a pod from a client whose replies would not come
 * back through this node, so no client gets the short cut either. iptables-nft refuses the negated match (projectcalico/calico#6545).
 */
export function localDetector(
  options: DetectLocalOptions,
  podCIDRs: readonly string[],
  family: Family,
): LocalDetector | undefined {
  switch (options.detectLocalMode) {
    case 'ClusterCIDR':
      return firstOf(options.clusterCIDRs, family);
    case 'NodeCIDR':
      return firstOf(podCIDRs, family);
    case 'BridgeInterface':
      return options.bridgeInterface === '' ? undefined : { kind: 'bridge', name: options.bridgeInterface };
    case 'InterfaceNamePrefix':
      // An empty prefix would take everything for local.
      return options.interfaceNamePrefix === ''
        ? undefined
        : { kind: 'interface-prefix', prefix: options.interfaceNamePrefix };
  }
}

function firstOf(cidrs: readonly string[], family: Family): LocalDetector | undefined {
  const first = cidrs.find((candidate) => familyOf(candidate) === family);
  const cidr = first === undefined ? undefined : canonicalCidr(first);
  return cidr === undefined || cidr.endsWith('/0') ? undefined : { kind: 'cidr', cidr };
}
