import { cidrContains, type Family, familyOf, parseAddress, parseCidr } from '../../net/index.ts';

/** On which addresses of the node its node ports answer, in one family. */
export type NodePortAddresses =
  | { readonly kind: 'all'; readonly exceptLoopback: boolean }
  | { readonly kind: 'some'; readonly addresses: readonly string[] };

export interface NodePortOptions {
  /** CIDRs and the words `primary`, `localhost` and `all`, in any combination; empty: all addresses. */
  readonly nodePortAddresses: readonly string[];
  readonly localhostNodePorts: boolean;
}

export interface NodeAddresses {
  /** The node's own address in each family, where known. */
  readonly nodeIPs: Readonly<Partial<Record<Family, string>>>;
  /** Addresses on any interface of the node. */
  readonly interfaceAddresses: readonly string[];
}

const families = ['IPv4', 'IPv6'] as const;
const loopback = { IPv4: '127.0.0.0/8', IPv6: '::1/128' } as const;

/**
 * kube-proxy's rules: all addresses when the option names none of this family, or a /0; otherwise the addresses that
 * the interfaces carry now and a CIDR covers. IPv6 has no loopback node ports; IPv4 has them on request.
 */
export function nodePortAddresses(
  options: NodePortOptions,
  node: NodeAddresses,
  family: Family,
): NodePortAddresses {
  const cidrs = cidrsOf(options, node.nodeIPs, family);
  const allowsLoopback = family === 'IPv4' && options.localhostNodePorts;
  if (cidrs.length === 0 || cidrs.some((cidr) => cidr.endsWith('/0'))) {
    return { kind: 'all', exceptLoopback: !allowsLoopback };
  }
  const addresses = node.interfaceAddresses.filter(
    (address) =>
      familyOf(address) === family &&
      cidrs.some((cidr) => covers(cidr, address)) &&
      (allowsLoopback || !covers(loopback[family], address)),
  );
  return { kind: 'some', addresses: [...new Set(addresses)].toSorted() };
}

/**
 * Whether node ports answer on 127.0.0.1. Then the node routes loopback addresses, and needs the guard against neighbours
 * who would reach its loopback services that way (CVE-2020-8558).
 */
export function servesLocalhostNodePorts(
  options: NodePortOptions,
  node: NodeAddresses,
  family: Family,
): boolean {
  if (family !== 'IPv4' || !options.localhostNodePorts) return false;
  const cidrs = cidrsOf(options, node.nodeIPs, family);
  return (
    cidrs.length === 0 || cidrs.some((cidr) => covers(cidr, '127.0.0.0') || isWithin(cidr, loopback.IPv4))
  );
}

/**
 * The CIDRs of both families that the option stands for, as kube-proxy 1.37 expands its words. `primary` is the node's own address of
 * each family, if it has one other than loopback. Empty where nothing limits node ports.
 */
export function expandNodePortAddresses(
  nodePortAddresses: readonly string[],
  nodeIPs: NodeAddresses['nodeIPs'],
): readonly string[] {
  return nodePortAddresses.flatMap((entry) => {
    switch (entry) {
      case 'primary':
        return families.flatMap((family) => {
          const nodeIP = nodeIPs[family];
          if (nodeIP === undefined || covers(loopback[family], nodeIP)) return [];
          return [`${nodeIP}/${family === 'IPv4' ? 32 : 128}`];
        });
      case 'localhost':
        return [loopback.IPv4, loopback.IPv6];
      case 'all':
        return ['0.0.0.0/0', '::/0'];
      default:
        return [entry];
    }
  });
}

function cidrsOf(
  { nodePortAddresses }: NodePortOptions,
  nodeIPs: NodeAddresses['nodeIPs'],
  family: Family,
): readonly string[] {
  return expandNodePortAddresses(nodePortAddresses, nodeIPs).filter((cidr) => familyOf(cidr) === family);
}

function covers(cidr: string, address: string): boolean {
  const range = parseCidr(cidr);
  const parsed = parseAddress(address);
  return range !== undefined && parsed !== undefined && cidrContains(range, parsed);
}

function isWithin(cidr: string, outer: string): boolean {
  return covers(outer, cidr.slice(0, cidr.indexOf('/')));
}
