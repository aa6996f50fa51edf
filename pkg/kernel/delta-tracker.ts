/**
 * What should be there and what is there, for one kind of kernel object, with the difference always at hand: asking for
 * it costs as much as the difference is long, however many objects there are.
 */
export class DeltaTracker<Key, Desired, Applied> {
  readonly #same: (desired: Desired, applied: Applied) => boolean;
  readonly #desired = new Map<Key, Desired>();
  #applied = new Map<Key, Applied>();
  readonly #pending = new Set<Key>();

  /** `same` tells whether the kernel's object is what is desired. */
  constructor(same: (desired: Desired, applied: Applied) => boolean) {
    this.#same = same;
  }

  setDesired(key: Key, value: Desired): void {
    this.#desired.set(key, value);
    this.#compare(key);
  }

  removeDesired(key: Key): void {
    this.#desired.delete(key);
    this.#compare(key);
  }

  /** The kernel now holds `value` under `key`; `undefined`: nothing. */
  setApplied(key: Key, value: Applied | undefined): void {
    if (value === undefined) this.#applied.delete(key);
    else this.#applied.set(key, value);
    this.#compare(key);
  }

  /** Replaces all that was known of the kernel, after it was read. */
  replaceApplied(applied: Map<Key, Applied>): void {
    this.#applied = applied;
    this.#pending.clear();
    for (const key of this.#desired.keys()) this.#compare(key);
    for (const key of applied.keys()) this.#compare(key);
  }

  desired(key: Key): Desired | undefined {
    return this.#desired.get(key);
  }

  desiredEntries(): IterableIterator<[Key, Desired]> {
    return this.#desired.entries();
  }

  applied(key: Key): Applied | undefined {
    return this.#applied.get(key);
  }

  appliedKeys(): IterableIterator<Key> {
    return this.#applied.keys();
  }

  /** Keys whose desired and applied values differ. */
  pending(): ReadonlySet<Key> {
    return this.#pending;
  }

  #compare(key: Key): void {
    const desired = this.#desired.get(key);
    const applied = this.#applied.get(key);
    const differs =
      desired === undefined ? applied !== undefined : applied === undefined || !this.#same(desired, applied);
    if (differs) this.#pending.add(key);
    else this.#pending.delete(key);
  }
}
