/**
 * Members of one set: wanted by any number of owners (two Services may share an endpoint), and as the kernel has them.
 * The difference is always at hand.
 */
export class MemberTracker {
  readonly #wanted = new Map<string, number>();
  #applied: Set<string>;
  readonly #toAdd = new Set<string>();
  readonly #toRemove = new Set<string>();

  constructor(applied: Iterable<string> = []) {
    this.#applied = new Set(applied);
    for (const member of this.#applied) this.#toRemove.add(member);
  }

  /** One more owner wants `member`. */
  add(member: string): void {
    const owners = this.#wanted.get(member) ?? 0;
    this.#wanted.set(member, owners + 1);
    if (owners > 0) return;
    if (this.#applied.has(member)) this.#toRemove.delete(member);
    else this.#toAdd.add(member);
  }

  /** One owner less wants `member`. */
  remove(member: string): void {
    const owners = this.#wanted.get(member) ?? 0;
    if (owners > 1) {
      this.#wanted.set(member, owners - 1);
      return;
    }
    this.#wanted.delete(member);
    if (this.#applied.has(member)) this.#toRemove.add(member);
    else this.#toAdd.delete(member);
  }

  /** Nobody wants anything any more. */
  clear(): void {
    this.#wanted.clear();
    this.#toAdd.clear();
    for (const member of this.#applied) this.#toRemove.add(member);
  }

  replaceApplied(applied: Iterable<string>): void {
    this.#applied = new Set(applied);
    this.#toAdd.clear();
    this.#toRemove.clear();
    for (const member of this.#wanted.keys()) if (!this.#applied.has(member)) this.#toAdd.add(member);
    for (const member of this.#applied) if (!this.#wanted.has(member)) this.#toRemove.add(member);
  }

  /** The kernel has taken these members in. */
  added(members: readonly string[]): void {
    for (const member of members) {
      this.#applied.add(member);
      this.#toAdd.delete(member);
      if (!this.#wanted.has(member)) this.#toRemove.add(member);
    }
  }

  /** The kernel has let these members go. */
  removed(members: readonly string[]): void {
    for (const member of members) {
      this.#applied.delete(member);
      this.#toRemove.delete(member);
      if (this.#wanted.has(member)) this.#toAdd.add(member);
    }
  }

  toAdd(): ReadonlySet<string> {
    return this.#toAdd;
  }

  toRemove(): ReadonlySet<string> {
    return this.#toRemove;
  }

  applied(): ReadonlySet<string> {
    return this.#applied;
  }

  wanted(): IterableIterator<string> {
    return this.#wanted.keys();
  }
}
