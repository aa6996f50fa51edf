import { DeltaTracker } from './delta-tracker.ts';
import type { MemberElement } from './kernel-element.ts';
import { MemberTracker } from './member-tracker.ts';
import type { SetName } from './names.ts';
import type { SetSizes } from './parse-ipset-list.ts';
import type { MemberChange, Plan } from './plan.ts';
import type { AppliedSetSpec, SetCreation, SetSpec } from './set.ts';
import type { SetSnapshot } from './snapshot.ts';

/** The sets of one family and their members: as they should be and as they are in the kernel. */
export class SetState {
  readonly #isOwn: (name: string) => boolean;
  readonly #sets = new DeltaTracker<SetName, SetSpec, AppliedSetSpec>(
    (desired, applied) => isSameKind(desired, applied) && applied.maxElements >= desired.maxElements,
  );
  readonly #members = new Map<SetName, MemberTracker>();
  /** Sets that could not be destroyed, because something beyond the rules that were read looks into them. */
  readonly #stuck = new Set<SetName>();
  /** Sets of which the members may differ. */
  readonly #changed = new Set<SetName>();
  /** Members that sets do without, whatever is wanted. */
  readonly #leftOut = new Map<SetName, Set<string>>();

  constructor(isOwn: (name: string) => boolean) {
    this.#isOwn = isOwn;
  }

  define(spec: SetSpec): void {
    this.#sets.setDesired(spec.name, spec);
    this.#stuck.delete(spec.name);
    this.#tracker(spec.name);
  }

  /** Nobody needs the set any more; its members go with it. */
  undefine(set: SetName): void {
    this.#sets.removeDesired(set);
    this.#members.get(set)?.clear();
    this.#leftOut.delete(set);
    this.#forgetIfGone(set);
  }

  add(set: SetName, member: string): void {
    this.#tracker(set).add(member);
    this.#changed.add(set);
  }

  remove(set: SetName, member: string): void {
    this.#tracker(set).remove(member);
    this.#changed.add(set);
  }

  spec(set: SetName): SetSpec | undefined {
    return this.#sets.desired(set);
  }

  /** For as long as the set is wanted it does without this member. */
  leaveOut(set: SetName, member: string): void {
    this.#leftOut.set(set, new Set([...(this.#leftOut.get(set) ?? []), member]));
  }

  leaveNothingOut(): void {
    this.#leftOut.clear();
  }

  /** Members that sets do without and should have. */
  leftOut(): readonly MemberElement[] {
    return [...this.#leftOut].flatMap(([set, members]) =>
      [...members]
        .filter((member) => this.#members.get(set)?.toAdd().has(member) === true)
        .map((member) => ({ kind: 'member', set, member }) as const),
    );
  }

  replaceApplied(snapshots: ReadonlyMap<SetName, SetSnapshot>): void {
    const sets = new Map<SetName, AppliedSetSpec>();
    for (const tracker of this.#members.values()) tracker.replaceApplied([]);
    for (const [name, set] of snapshots) {
      if (!this.#isOwn(name)) continue;
      sets.set(name, set.spec);
      this.#tracker(name).replaceApplied(set.members);
    }
    this.#sets.replaceApplied(sets);
    for (const name of this.#stuck) if (!sets.has(name)) this.#stuck.delete(name);
    for (const name of this.#members.keys()) this.#changed.add(name);
  }

  /** The kernel has it and nobody wants it. */
  isUnwanted(set: SetName): boolean {
    return this.#sets.applied(set) !== undefined && this.#sets.desired(set) === undefined;
  }

  /** `held`: sets that rules of others refer to, which the kernel would refuse to destroy. */
  changes(
    held: ReadonlySet<string>,
  ): Pick<Plan, 'createSets' | 'addMembers' | 'removeMembers' | 'destroySets'> {
    const createSets: SetCreation[] = [];
    const destroySets: SetName[] = [];
    for (const name of this.#sets.pending()) {
      const spec = this.#sets.desired(name);
      if (spec === undefined) {
        if (!held.has(name) && !this.#stuck.has(name)) destroySets.push(name);
      } else createSets.push(this.#creation(spec));
    }
    // Their members count for nothing, whether they differ or not.
    const emptied = new Set(createSets.filter(({ name }) => this.#isEmptied(name)).map(({ name }) => name));
    // A set that nobody wants goes with its members. Where it has to stay, whoever looks into it may let members pass or all others: it stays as it is.
    const changed = [...new Set([...this.#changed, ...emptied])]
      .filter((name) => !this.isUnwanted(name))
      .toSorted();
    return {
      createSets: createSets.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      addMembers: memberChanges(changed, (set) => {
        const tracker = this.#tracker(set);
        const members = emptied.has(set) ? tracker.wanted() : tracker.toAdd();
        const leftOut = this.#leftOut.get(set);
        return leftOut === undefined ? members : [...members].filter((member) => !leftOut.has(member));
      }).map((change) => (this.#joinsLast(change.set) ? { ...change, last: true } : change)),
      removeMembers: memberChanges(changed, (set) => (emptied.has(set) ? [] : this.#tracker(set).toRemove())),
      destroySets: destroySets.toSorted(),
    };
  }

  /** These changes are in the kernel now, but for sets that could not be destroyed. */
  applied(plan: Plan, heldSets: ReadonlySet<SetName>): void {
    for (const { replaces, ...spec } of plan.createSets) {
      this.#sets.setApplied(spec.name, spec);
      if (replaces?.how === 'destroy') this.#tracker(spec.name).replaceApplied([]);
    }
    for (const change of plan.addMembers) this.#tracker(change.set).added(change.members);
    for (const change of plan.removeMembers) this.#tracker(change.set).removed(change.members);
    for (const name of plan.destroySets) {
      if (heldSets.has(name)) {
        this.#stuck.add(name);
        continue;
      }
      this.#sets.setApplied(name, undefined);
      this.#members.get(name)?.replaceApplied([]);
      this.#forgetIfGone(name);
    }
    for (const name of this.#changed) {
      const tracker = this.#members.get(name);
      if (tracker === undefined || tracker.toAdd().size + tracker.toRemove().size === 0)
        this.#changed.delete(name);
    }
  }

  /**
   * Wanted sets that have another number of members than was left in them, or that are gone; for people. `sizes`: of all sets in the kernel, where it
   * says so.
   */
  ofOtherSize(sizes: SetSizes): readonly string[] {
    const others: string[] = [];
    for (const name of this.#sets.appliedKeys()) {
      if (this.isUnwanted(name)) continue;
      const left = this.#members.get(name)?.applied().size ?? 0;
      const size = sizes.get(name);
      if (!sizes.has(name)) others.push(`${name} is gone`);
      else if (size !== undefined && size !== left) others.push(`${name} has ${size} members, not ${left}`);
    }
    return others.toSorted();
  }

  #creation(spec: SetSpec): SetCreation {
    const applied = this.#sets.applied(spec.name);
    if (applied === undefined) return spec;
    if (!isSameKind(spec, applied)) {
      const reason = `was ${applied.type} for ${applied.family}`;
      return { ...spec, replaces: { how: 'destroy', reason, members: [] } };
    }
    const reason = `had room for ${applied.maxElements} member${applied.maxElements === 1 ? '' : 's'}`;
    const members = [...this.#tracker(spec.name).applied()].toSorted();
    return { ...spec, replaces: { how: 'swap', reason, members } };
  }

  /** Whether the kernel has a set of that name that can't become the one that is wanted. */
  #isEmptied(set: SetName): boolean {
    const [desired, applied] = [this.#sets.desired(set), this.#sets.applied(set)];
    return desired !== undefined && applied !== undefined && !isSameKind(desired, applied);
  }

  /** Sets of policies come and go for as long as the process lives. */
  #forgetIfGone(set: SetName): void {
    if (this.#sets.desired(set) !== undefined || this.#sets.applied(set) !== undefined) return;
    this.#members.delete(set);
    this.#changed.delete(set);
  }

  /** No rule looks into a set that is yet to be created: it is filled before the rules that will. */
  #joinsLast(set: SetName): boolean {
    const isThere = this.#sets.applied(set) !== undefined && !this.#isEmptied(set);
    return isThere && this.#sets.desired(set)?.joinLast === true;
  }

  #tracker(set: SetName): MemberTracker {
    let tracker = this.#members.get(set);
    if (tracker === undefined) {
      tracker = new MemberTracker();
      this.#members.set(set, tracker);
    }
    return tracker;
  }
}

/** Only such sets can be swapped. */
function isSameKind(desired: SetSpec, applied: AppliedSetSpec): boolean {
  return applied.type === desired.type && applied.family === desired.family;
}

function memberChanges(
  sets: readonly SetName[],
  pick: (set: SetName) => Iterable<string>,
): readonly MemberChange[] {
  return sets
    .map((set) => ({ set, members: [...pick(set)].toSorted() }))
    .filter(({ members }) => members.length > 0);
}
