import type { Labels } from '../../api/index.ts';

/** Things of a namespace by the label pairs they have. */
export class LabelIndex<Thing> {
  readonly #things = new Map<string, Set<Thing>>();

  add(namespace: string, labels: Labels, thing: Thing): void {
    for (const [key, value] of Object.entries(labels)) {
      const pair = spell(namespace, key, value);
      const things = this.#things.get(pair);
      if (things === undefined) this.#things.set(pair, new Set([thing]));
      else things.add(thing);
    }
  }

  delete(namespace: string, labels: Labels, thing: Thing): void {
    for (const [key, value] of Object.entries(labels)) {
      const pair = spell(namespace, key, value);
      const things = this.#things.get(pair);
      if (things?.delete(thing) === true && things.size === 0) this.#things.delete(pair);
    }
  }

  with(namespace: string, key: string, value: string): ReadonlySet<Thing> {
    return this.#things.get(spell(namespace, key, value)) ?? new Set();
  }
}

function spell(namespace: string, key: string, value: string): string {
  return JSON.stringify([namespace, key, value]);
}
