import type { Labels, Pod } from '../../api/index.ts';
import type { RuleState, SetName } from '../../kernel/index.ts';
import type { FollowedPeers, PeerSource } from './peer-source.ts';
import type { PodIndex } from './pod-index.ts';

interface UsedSet {
  readonly source: PeerSource;
  users: number;
}

/**
 * The sets that profile chains look into, each as long as a chain needs it, whichever asked first. Members follow the
 * pods: a change costs a match for each set that is about pods of that namespace, however many policies use it.
 */
export class PeerSets {
  readonly #state: RuleState;
  readonly #pods: PodIndex;
  readonly #used = new Map<SetName, UsedSet>();
  readonly #followed = new Set<FollowedPeers>();
  /** Sets about pods of a namespace, for namespaces that have pods; made when first asked for. */
  readonly #byNamespace = new Map<string, Set<FollowedPeers>>();

  constructor(state: RuleState, pods: PodIndex) {
    this.#state = state;
    this.#pods = pods;
  }

  /** One more chain looks into the set. */
  acquire(source: PeerSource): void {
    const used = this.#used.get(source.spec.name);
    if (used !== undefined) {
      used.users += 1;
      return;
    }
    this.#used.set(source.spec.name, { source, users: 1 });
    this.#state.defineSet({ ...source.spec, joinLast: true });
    if (source.kind === 'fixed') this.#add(source, source.members);
    else this.#follow(source);
  }

  /** One chain less does. */
  release(set: SetName): void {
    const used = this.#used.get(set);
    if (used === undefined) return;
    used.users -= 1;
    if (used.users > 0) return;
    this.#used.delete(set);
    this.#state.removeSet(set);
    if (used.source.kind === 'fixed') return;
    this.#followed.delete(used.source);
    for (const sets of this.#byNamespace.values()) sets.delete(used.source);
  }

  /** Where the members of a set that some chain looks into come from. */
  sourceOf(set: SetName): PeerSource | undefined {
    return this.#used.get(set)?.source;
  }

  /** A pod of the index changed; `undefined`: it was not, or is not, one that counts. */
  podChanged(before: Pod | undefined, after: Pod | undefined): void {
    const pod = after ?? before;
    if (pod === undefined) return;
    const labels = this.#pods.labelsOf(pod.namespace);
    for (const source of this.#about(pod, labels)) {
      if (after !== undefined) this.#add(source, source.membersOf(after, labels));
      if (before !== undefined) this.#remove(source, source.membersOf(before, labels));
    }
    if (this.#pods.podsOf(pod.namespace) === undefined) this.#byNamespace.delete(pod.namespace);
  }

  /** A namespace of the index has other labels; `undefined`: it was not known. */
  namespaceChanged(namespace: string, labelsBefore: Labels | undefined): void {
    const pods = [...(this.#pods.podsOf(namespace)?.values() ?? [])];
    const [any] = pods;
    if (any === undefined) return;
    const labels = this.#pods.labelsOf(namespace);
    const before = this.#about(any, labelsBefore);
    this.#byNamespace.delete(namespace);
    const after = this.#about(any, labels);
    for (const source of after)
      if (!before.has(source)) for (const pod of pods) this.#add(source, source.membersOf(pod, labels));
    for (const source of before)
      if (!after.has(source))
        for (const pod of pods) this.#remove(source, source.membersOf(pod, labelsBefore));
  }

  #follow(source: FollowedPeers): void {
    this.#followed.add(source);
    for (const namespace of this.#pods.namespaces()) {
      const pods = [...(this.#pods.podsOf(namespace)?.values() ?? [])];
      const [any] = pods;
      const labels = this.#pods.labelsOf(namespace);
      if (any === undefined || !source.wantsNamespaceOf(any, labels)) continue;
      this.#byNamespace.get(namespace)?.add(source);
      for (const pod of pods) this.#add(source, source.membersOf(pod, labels));
    }
  }

  #about(pod: Pod, labels: Labels | undefined): ReadonlySet<FollowedPeers> {
    const known = this.#byNamespace.get(pod.namespace);
    if (known !== undefined) return known;
    const sets = new Set<FollowedPeers>();
    for (const source of this.#followed) if (source.wantsNamespaceOf(pod, labels)) sets.add(source);
    this.#byNamespace.set(pod.namespace, sets);
    return sets;
  }

  #add({ spec }: PeerSource, members: readonly string[]): void {
    for (const member of members) this.#state.addMember(spec.name, member);
  }

  #remove({ spec }: PeerSource, members: readonly string[]): void {
    for (const member of members) this.#state.removeMember(spec.name, member);
  }
}
