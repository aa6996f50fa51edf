import type { WireIdentity } from './wire-object.ts';

type Name = Pick<WireIdentity, 'namespace' | 'name'>;

/** Object → its resourceVersion. By namespace first: the names are the objects' own strings, so a key costs no text. */
export class ObjectVersions {
  readonly #namespaces = new Map<string, Map<string, string>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get({ namespace, name }: Name): string | undefined {
    return this.#namespaces.get(namespace)?.get(name);
  }

  set({ namespace, name, resourceVersion }: WireIdentity): void {
    let versions = this.#namespaces.get(namespace);
    if (versions === undefined) {
      versions = new Map();
      this.#namespaces.set(namespace, versions);
    }
    if (!versions.has(name)) this.#size += 1;
    versions.set(name, resourceVersion);
  }

  delete({ namespace, name }: Name): void {
    const versions = this.#namespaces.get(namespace);
    if (versions?.delete(name) !== true) return;
    this.#size -= 1;
    if (versions.size === 0) this.#namespaces.delete(namespace);
  }

  *[Symbol.iterator](): Generator<WireIdentity> {
    for (const [namespace, versions] of this.#namespaces) {
      for (const [name, resourceVersion] of versions) yield { namespace, name, resourceVersion };
    }
  }
}
