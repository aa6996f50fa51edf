/** More are kept than a large cluster has nodes, namespaces and ReplicaSets. */
const defaultLimit = 20_000;

/**
 * One copy of values that many objects have: names of nodes and zones, the labels of a ReplicaSet's pods. Values that nobody
 * has asked for in a long time are forgotten: with pods that come and go there is no end of them.
 */
export class SharedValues {
  readonly #limit: number;
  #recent = new Map<string, unknown>();
  #older = new Map<string, unknown>();

  constructor(limit = defaultLimit) {
    this.#limit = limit;
  }

  /** How many values are kept. */
  get size(): number {
    return this.#recent.size + this.#older.size;
  }

  text(text: string): string {
    return this.#share(text, text) as string;
  }

  /** Plain data; what it gives is equal, and must not be changed. */
  value<Value extends object>(value: Value): Value {
    // A text never begins like this: names and label values have no brackets.
    return this.#share(JSON.stringify(value), value) as Value;
  }

  #share(key: string, value: unknown): unknown {
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const kept = this.#older.get(key) ?? value;
    if (this.#recent.size >= this.#limit) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, kept);
    return kept;
  }
}
