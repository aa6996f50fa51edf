import type { NamespacedName, PolicyType } from '../../api/index.ts';
import { type ChainName, type Match, printRule, type RuleState, type SetSpec } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import {
  type ChainAndSet,
  dispatchChains,
  groupNames,
  isolatedPodsSet,
  profileNames,
  stages,
} from './policy-names.ts';

/** The pods that the same policies isolate in one direction. */
export interface IsolationProfile {
  readonly key: string;
  readonly names: ChainAndSet;
  /** In order of name; at least one. */
  readonly policies: readonly NamespacedName[];
  /** The pods' addresses. */
  readonly pods: Map<NamespacedName, readonly string[]>;
}

/** Where a pod belongs. */
export interface Placement {
  /** Equal keys are one profile. */
  readonly key: string;
  readonly policies: readonly NamespacedName[];
  readonly addresses: readonly string[];
}

interface Group {
  readonly names: ChainAndSet;
  readonly profiles: Set<IsolationProfile>;
  /** Its set and, after `finish`, its chain shall exist. */
  isUsed: boolean;
}

/** A group gets this many profiles on average, at most … */
const mostProfilesPerGroup = 8;
/** … and at least, so that one profile more or less does not divide them all anew. */
const fewestProfilesPerGroup = 2;

/**
 * The way of isolated pods' packets to the chain of their profile, in one direction: a set of all isolated pods, which the
 * forward chain asks for, then groups of profiles, then profiles. A pod that changes its profile touches sets only; a
 * profile that comes or goes touches its own group.
 *
 * All are jumps and not gotos: two pods that have one address for a moment must both agree.
 */
export class ProfileDispatch {
  readonly direction: PolicyType;
  readonly #state: RuleState;
  readonly #family: Family;
  readonly #isolated: SetSpec;
  readonly #chain: ChainName;
  readonly #profiles = new Map<string, IsolationProfile>();
  readonly #profileOf = new Map<NamespacedName, IsolationProfile>();
  /** As many as there can be; without a chain where no profile is in it. */
  #groups: readonly Group[] = [];
  readonly #groupOf = new Map<IsolationProfile, Group>();
  readonly #changedGroups = new Set<Group>();

  constructor(state: RuleState, family: Family, direction: PolicyType) {
    this.#state = state;
    this.#family = family;
    this.direction = direction;
    this.#isolated = isolatedPodsSet(family, direction);
    this.#chain = dispatchChains[direction];
  }

  /** Those without pods go in `finish`. */
  profiles(): Iterable<IsolationProfile> {
    return this.#profiles.values();
  }

  /** Puts a pod where it belongs; `undefined`: nothing isolates it. */
  place(pod: NamespacedName, placement: Placement | undefined): void {
    const before = this.#profileOf.get(pod);
    const addresses = before?.pods.get(pod) ?? [];
    if (before?.key === placement?.key && sameTexts(addresses, placement?.addresses ?? [])) return;
    if (before !== undefined) {
      before.pods.delete(pod);
      for (const set of this.#setsOf(before))
        for (const address of addresses) this.#state.removeMember(set.name, address);
    }
    if (placement === undefined) {
      this.#profileOf.delete(pod);
      return;
    }
    const profile = this.#profile(placement);
    profile.pods.set(pod, placement.addresses);
    this.#profileOf.set(pod, profile);
    for (const set of this.#setsOf(profile))
      for (const address of placement.addresses) this.#state.addMember(set.name, address);
  }

  /** There are policies: the sets and chains that stand for the direction shall exist. */
  open(): void {
    this.#state.defineSet(this.#isolated);
  }

  /** There are no policies any more, and so no profiles. */
  close(): void {
    this.#state.removeChain('filter', this.#chain);
    this.#state.removeSet(this.#isolated.name);
  }

  /** Takes profiles without pods away and brings the chains up to date. The chains of the profiles are not its own. */
  finish(): void {
    for (const profile of this.#profiles.values()) if (profile.pods.size === 0) this.#forget(profile);
    const count = this.#countGroups();
    if (count !== this.#groups.length) this.#divideInto(count);
    for (const profile of this.#profiles.values()) if (!this.#groupOf.has(profile)) this.#joinGroup(profile);
    for (const group of this.#changedGroups) this.#writeGroup(group);
    this.#changedGroups.clear();
    const used = this.#groups.filter((group) => group.isUsed);
    this.#state.setChain('filter', this.#chain, this.#jumps(used), stages.dispatch);
  }

  #profile({ key, policies }: Placement): IsolationProfile {
    let profile = this.#profiles.get(key);
    if (profile === undefined) {
      const names = profileNames(this.#family, this.direction, key);
      profile = { key, names, policies, pods: new Map() };
      this.#profiles.set(key, profile);
      this.#state.defineSet(names.set);
    }
    return profile;
  }

  #setsOf(profile: IsolationProfile): readonly SetSpec[] {
    const group = this.#groupOf.get(profile);
    const sets = [this.#isolated, profile.names.set];
    return group === undefined ? sets : [...sets, group.names.set];
  }

  #forget(profile: IsolationProfile): void {
    this.#profiles.delete(profile.key);
    this.#state.removeSet(profile.names.set.name);
    const group = this.#groupOf.get(profile);
    if (group === undefined) return;
    group.profiles.delete(profile);
    this.#groupOf.delete(profile);
    this.#changedGroups.add(group);
  }

  /** A power of two. After a restart the kernel tells how many there were. */
  #countGroups(): number {
    const profiles = this.#profiles.size;
    if (profiles === 0) return 0;
    const now = this.#groups.length === 0 ? this.#appliedGroups() : this.#groups.length;
    const isEnough = profiles <= now * mostProfilesPerGroup;
    if (isEnough && (now === 1 || profiles > now * fewestProfilesPerGroup)) return now;
    return 2 ** Math.max(0, Math.ceil(Math.log2(profiles / mostProfilesPerGroup)));
  }

  #appliedGroups(): number {
    const rules = this.#state.appliedChain('filter', this.#chain) ?? '';
    return Number(/ -j WEIR-[A-Z]+-(\d+)-\d+$/m.exec(rules)?.[1] ?? 0);
  }

  /** The old groups stay as they are in the kernel until the dispatch leads to the new ones. */
  #divideInto(count: number): void {
    for (const group of this.#groups) if (group.isUsed) this.#removeGroup(group);
    this.#groupOf.clear();
    this.#changedGroups.clear();
    this.#groups = Array.from({ length: count }, (_, index) => ({
      names: groupNames(this.#family, this.direction, count, index),
      profiles: new Set(),
      isUsed: false,
    }));
  }

  /** Which group is up to the profile alone. */
  #joinGroup(profile: IsolationProfile): void {
    const group = this.#groups[hashNumber(profile.names.chain) % this.#groups.length];
    if (group === undefined) return;
    if (!group.isUsed) this.#state.defineSet(group.names.set);
    group.isUsed = true;
    group.profiles.add(profile);
    this.#groupOf.set(profile, group);
    this.#changedGroups.add(group);
    for (const addresses of profile.pods.values())
      for (const address of addresses) this.#state.addMember(group.names.set.name, address);
  }

  #writeGroup(group: Group): void {
    if (group.profiles.size === 0) this.#removeGroup(group);
    else this.#state.setChain('filter', group.names.chain, this.#jumps([...group.profiles]), stages.group);
  }

  #removeGroup(group: Group): void {
    group.isUsed = false;
    this.#state.removeChain('filter', group.names.chain);
    this.#state.removeSet(group.names.set.name);
  }

  #jumps(to: readonly { readonly names: ChainAndSet }[]): string {
    const flags = this.direction === 'Ingress' ? 'dst' : 'src';
    return to
      .map(({ names: { chain, set } }) => {
        const inSet: Match = { kind: 'set', set: set.name, flags };
        return printRule({ matches: [inSet], target: { kind: 'jump', chain } });
      })
      .toSorted()
      .join('\n');
  }
}

/** Chain names end in a hash, so anything that uses all of it will do. */
function hashNumber(chain: ChainName): number {
  let number = 0;
  for (let index = 0; index < chain.length; index += 1)
    number = (Math.imul(number, 31) + chain.charCodeAt(index)) >>> 0;
  return number;
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}
