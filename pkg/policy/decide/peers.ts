import type { LabelSelector, Labels, NetworkPolicy, Pod, PodAddress, PolicyPeer } from '../../api/index.ts';
import {
  type Cidr,
  cidrContains,
  formatCidr,
  mergeCidrs,
  parseAddress,
  parseCidr,
  subtractCidrs,
} from '../../net/index.ts';
import type { PodDirectory } from './pod-directory.ts';
import { canonicalSelector, selects } from './selectors.ts';

/** Addresses that a rule means. Two sets with equal keys have the same members, whichever policies they come from. */
export type PeerSet = PodPeers | BlockPeers;

/** The pods of some namespaces that have some labels. */
export interface PodPeers {
  readonly kind: 'pods';
  readonly key: string;
  readonly namespaces: NamespaceChoice;
  readonly podSelector: LabelSelector;
}

export type NamespaceChoice =
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'selected'; readonly selector: LabelSelector };

/** Blocks of addresses, of both families, holes cut out; sorted and minimal, never empty. */
export interface BlockPeers {
  readonly kind: 'blocks';
  readonly key: string;
  readonly cidrs: readonly Cidr[];
}

const everyPod: LabelSelector = { matchLabels: {}, matchExpressions: [] };

/** The pods that a policy selects, as a set that others can refer to. */
export function subjectsOf(policy: NetworkPolicy): PodPeers {
  return podPeers({ kind: 'named', name: policy.namespace }, policy.podSelector);
}

/**
 * The peers of one rule as sets, sorted by key: one set for each distinct selection of pods, one for all blocks together. A
 * block's exceptions are holes in that block only, so they are cut out of it before the blocks are joined.
 */
export function peerSetsOf(policy: NetworkPolicy, peers: readonly PolicyPeer[]): readonly PeerSet[] {
  const sets = new Map<string, PeerSet>();
  const blocks: Cidr[] = [];
  for (const peer of peers) {
    if (peer.kind === 'ipBlock') {
      blocks.push(...blockWithoutHoles(peer));
    } else {
      const selection = podPeers(namespacesOf(policy, peer.namespaceSelector), peer.podSelector ?? everyPod);
      sets.set(selection.key, selection);
    }
  }
  const cidrs = mergeCidrs(blocks);
  const all = cidrs.length > 0 ? [...sets.values(), blockPeers(cidrs)] : [...sets.values()];
  return all.toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

function namespacesOf(policy: NetworkPolicy, selector: LabelSelector | undefined): NamespaceChoice {
  return selector === undefined ? { kind: 'named', name: policy.namespace } : { kind: 'selected', selector };
}

function podPeers(namespaces: NamespaceChoice, podSelector: LabelSelector): PodPeers {
  const where =
    namespaces.kind === 'named'
      ? `namespace ${namespaces.name}`
      : `namespaces {${canonicalSelector(namespaces.selector)}}`;
  return {
    kind: 'pods',
    key: `pods {${canonicalSelector(podSelector)}} in ${where}`,
    namespaces,
    podSelector,
  };
}

function blockPeers(cidrs: readonly Cidr[]): BlockPeers {
  return { kind: 'blocks', key: `blocks ${cidrs.map(formatCidr).join(' ')}`, cidrs };
}

function blockWithoutHoles(peer: PolicyPeer & { readonly kind: 'ipBlock' }): readonly Cidr[] {
  const [block] = parseAll([peer.cidr]);
  return block === undefined ? [] : subtractCidrs(block, parseAll(peer.except));
}

function parseAll(texts: readonly string[]): readonly Cidr[] {
  return texts.map((text) => parseCidr(text)).filter((cidr) => cidr !== undefined);
}

/** Whether a selection means this pod, which must be one that counts. `namespaceLabels` is `undefined` for a namespace that is not known: no selector means it. */
export function podPeersMatch(peers: PodPeers, pod: Pod, namespaceLabels: Labels | undefined): boolean {
  return (
    namespaceMatches(peers.namespaces, pod.namespace, namespaceLabels) &&
    selects(peers.podSelector, pod.labels)
  );
}

function namespaceMatches(choice: NamespaceChoice, name: string, labels: Labels | undefined): boolean {
  if (choice.kind === 'named') return choice.name === name;
  return labels !== undefined && selects(choice.selector, labels);
}

/** The pods that a selection means, in order of namespace and name. */
export function selectPods(peers: PodPeers, directory: PodDirectory): readonly Pod[] {
  const selected: Pod[] = [];
  for (const [namespace, pods] of directory.podsByNamespace) {
    if (!namespaceMatches(peers.namespaces, namespace, directory.namespaceLabels.get(namespace))) continue;
    selected.push(...pods.filter((pod) => selects(peers.podSelector, pod.labels)));
  }
  return selected;
}

/** The addresses of these pods that lie in the set; all addresses of pods that a selection means. */
export function addressesIn(
  peers: PeerSet | undefined,
  directory: PodDirectory,
): readonly { readonly pod: Pod; readonly address: PodAddress }[] {
  const pods =
    peers?.kind === 'pods' ? selectPods(peers, directory) : [...directory.podsByNamespace.values()].flat();
  const pairs = pods.flatMap((pod) => pod.addresses.map((address) => ({ pod, address })));
  return peers?.kind === 'blocks' ? pairs.filter(({ address }) => blocksContain(peers, address)) : pairs;
}

function blocksContain(peers: BlockPeers, { ip }: PodAddress): boolean {
  const address = parseAddress(ip);
  return address !== undefined && peers.cidrs.some((cidr) => cidrContains(cidr, address));
}
