import type { Node } from '../../pkg/api/index.ts';
import { type Family, familyOf } from '../../pkg/net/index.ts';
import type { NodeAddresses, Topology } from '../../pkg/service/decide/index.ts';

/** What the rules need to know of the node this process runs on. */
export interface NodeView extends NodeAddresses {
  readonly topology: Topology;
  readonly podCIDRs: readonly string[];
}

/**
 * Puts the Node object (which may be missing) and the addresses of the interfaces together. The node's address in each
 * family is the first InternalIP, or else the first ExternalIP, of that family. `bindAddress`, unless it means all addresses, counts
 * before those of its family, as in kube-proxy; the node's address only decides whether a load balancer's source ranges take
 * the node in, and where node ports answer when they are to on the primary address.
 */
export function nodeView(
  nodeName: string,
  node: Node | undefined,
  interfaceAddresses: readonly string[],
  bindAddress = '',
): NodeView {
  const nodeIPs: Partial<Record<Family, string>> = {};
  const bound = isUnspecified(bindAddress) ? [] : [bindAddress];
  for (const address of [...bound, ...(node?.addresses ?? [])]) {
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

function isUnspecified(address: string): boolean {
  return address === '' || address === '0.0.0.0' || address === '::';
}
