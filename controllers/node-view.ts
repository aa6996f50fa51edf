import type { Node } from '../pkg/api/index.ts';
import { type Family, familyOf } from '../pkg/net/index.ts';
import type { NodeAddresses, Topology } from '../pkg/service/decide/index.ts';

/** What the rules need to know of the node this process runs on. */
export interface NodeView extends NodeAddresses {
  readonly topology: Topology;
  readonly podCIDRs: readonly string[];
}

/**
 * Puts the Node object (which may be missing) and the addresses of the interfaces together. The node's address in each
 * family is the first InternalIP, or else the first ExternalIP, of that family.
 */
export function nodeView(
  nodeName: string,
  node: Node | undefined,
  interfaceAddresses: readonly string[],
): NodeView {
  const nodeIPs: Partial<Record<Family, string>> = {};
  for (const address of node?.addresses ?? []) {
    const family = familyOf(address);
    if (family !== undefined) nodeIPs[family] ??= address;
  }
  return {
    topology: { nodeName, zone: node?.zone },
    podCIDRs: node?.podCIDRs ?? [],
    nodeIPs,
    interfaceAddresses,
  };
}
