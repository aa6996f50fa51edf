import type { NamespacedName, PodAddress } from '../../pkg/api/index.ts';

/** Names of pods by the addresses that they have, in order of coming. */
export class NamesByAddress {
  readonly #names = new Map<string, Set<NamespacedName>>();

  add(name: NamespacedName, addresses: readonly PodAddress[]): void {
    for (const { ip } of addresses) {
      const names = this.#names.get(ip);
      if (names === undefined) this.#names.set(ip, new Set([name]));
      else names.add(name);
    }
  }

  remove(name: NamespacedName, addresses: readonly PodAddress[]): void {
    for (const { ip } of addresses) {
      const names = this.#names.get(ip);
      names?.delete(name);
      if (names?.size === 0) this.#names.delete(ip);
    }
  }

  of(ip: string): Iterable<NamespacedName> {
    return this.#names.get(ip) ?? [];
  }
}
