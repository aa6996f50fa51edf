import { type EndpointSlice, type NamespacedName, namespacedName } from '../api/index.ts';

/** EndpointSlices by the Service they name. */
export class SliceIndex {
  readonly #byService = new Map<NamespacedName, readonly EndpointSlice[]>();

  /** Sorted by name. */
  of(service: NamespacedName): readonly EndpointSlice[] {
    return this.#byService.get(service) ?? [];
  }

  /** The slice must not be in the index. */
  add(slice: EndpointSlice): void {
    const service = namespacedName(slice.namespace, slice.serviceName);
    const slices = [...this.of(service), slice];
    if (slices.length > 1) slices.sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#byService.set(service, slices);
  }

  remove(slice: EndpointSlice): void {
    const service = namespacedName(slice.namespace, slice.serviceName);
    const rest = this.of(service).filter((other) => other.name !== slice.name);
    if (rest.length === 0) this.#byService.delete(service);
    else this.#byService.set(service, rest);
  }
}
