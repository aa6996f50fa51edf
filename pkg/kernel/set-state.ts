import { DeltaTracker } from './delta-tracker.ts';
import { MemberTracker } from './member-tracker.ts';
import type { SetName } from './names.ts';
import type { MemberChange, Plan } from './plan.ts';
import type { SetSpec } from './set.ts';
import type { SetSnapshot } from './snapshot.ts';

/** The sets of one family and their members: as they should be and as they are in the kernel. */
export class SetState {
  readonly #isOwn: (name: string) => boolean;
  readonly #sets = new DeltaTracker<SetName, SetSpec, true>(() => true);
  readonly #members = new Map<SetName, MemberTracker>();
  /** Sets of which the members may differ. */
  readonly #changed = new Set<SetName>();

  constructor(isOwn: (name: string) => boolean) {
    this.#isOwn = isOwn;
  }

  define(spec: SetSpec): void {
    this.#sets.setDesired(spec.name, spec);
    this.#tracker(spec.name);
  }

  /** Nobody needs the set any more; its members go with it. */
  undefine(set: SetName): void {
    this.#sets.removeDesired(set);
    this.#members.get(set)?.clear();
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

  replaceApplied(snapshots: ReadonlyMap<SetName, SetSnapshot>): void {
    const sets = new Map<SetName, true>();
    for (const tracker of this.#members.values()) tracker.replaceApplied([]);
    for (const [name, set] of snapshots) {
      if (!this.#isOwn(name)) continue;
      sets.set(name, true);
      this.#tracker(name).replaceApplied(set.members);
    }
    this.#sets.replaceApplied(sets);
    for (const name of this.#members.keys()) this.#changed.add(name);
  }

  changes(): Pick<Plan, 'createSets' | 'addMembers' | 'removeMembers' | 'destroySets'> {
    const createSets: SetSpec[] = [];
    const destroySets: SetName[] = [];
    for (const name of this.#sets.pending()) {
      const spec = this.#sets.desired(name);
      if (spec === undefined) destroySets.push(name);
      else createSets.push(spec);
    }
    const dying = new Set(destroySets);
    return {
      createSets: createSets.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      addMembers: this.#memberChanges((tracker) => tracker.toAdd())
        .filter((change) => !dying.has(change.set))
        .map((change) => (this.#joinsLast(change.set) ? { ...change, last: true } : change)),
      removeMembers: this.#memberChanges((tracker) => tracker.toRemove()).filter(
        (change) => !dying.has(change.set),
      ),
      destroySets: destroySets.toSorted(),
    };
  }

  /** These changes are in the kernel now. */
  applied(plan: Plan): void {
    for (const spec of plan.createSets) this.#sets.setApplied(spec.name, true);
    for (const change of plan.addMembers) this.#tracker(change.set).added(change.members);
    for (const change of plan.removeMembers) this.#tracker(change.set).removed(change.members);
    for (const name of plan.destroySets) {
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

  /** Sets of policies come and go for as long as the process lives. */
  #forgetIfGone(set: SetName): void {
    if (this.#sets.desired(set) !== undefined || this.#sets.applied(set) !== undefined) return;
    this.#members.delete(set);
    this.#changed.delete(set);
  }

  /** No rule looks into a set that is yet to be created: it is filled before the rules that will. */
  #joinsLast(set: SetName): boolean {
    return this.#sets.desired(set)?.joinLast === true && !this.#sets.pending().has(set);
  }

  #memberChanges(pick: (tracker: MemberTracker) => ReadonlySet<string>): readonly MemberChange[] {
    const changes: MemberChange[] = [];
    for (const set of [...this.#changed].toSorted()) {
      const tracker = this.#members.get(set);
      const members = tracker === undefined ? [] : [...pick(tracker)];
      if (members.length > 0) changes.push({ set, members: members.toSorted() });
    }
    return changes;
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
