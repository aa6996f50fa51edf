import {
  type ApiObject,
  type EndpointSlice,
  equalObjects,
  type Labels,
  type NamespacedName,
  namespacedName,
  type Pod,
  type Service,
} from '../../api/index.ts';
import { deriveEndpointSlices } from './derive-endpoint-slices.ts';
import { LabelIndex } from './label-index.ts';

/** An object before and after; one of the two may be missing. */
export interface ObjectChange {
  readonly before: ApiObject | undefined;
  readonly after: ApiObject | undefined;
}

/**
 * Keeps the EndpointSlices of Services for which the files have none. A change of a Pod makes only those Services
 * anew whose selector it matches or matched; they are found by label, so that a large dump costs one look at each object.
 */
export class DerivedSlices {
  readonly #services = new Map<NamespacedName, Service>();
  readonly #servicesBySelector = new LabelIndex<NamespacedName>();
  readonly #podsByLabel = new LabelIndex<Pod>();
  /** How many slices the files have for a Service. */
  readonly #slicesInFiles = new Map<NamespacedName, number>();
  readonly #derived = new Map<NamespacedName, readonly EndpointSlice[]>();
  readonly #stale = new Set<NamespacedName>();

  /** Takes note of a change in the files. */
  note({ before, after }: ObjectChange): void {
    if (before !== undefined) this.#forget(before);
    if (after !== undefined) this.#learn(after);
  }

  /** What has become of the derived slices since the last call. */
  settle(): readonly ObjectChange[] {
    const changes: ObjectChange[] = [];
    for (const name of [...this.#stale].toSorted()) {
      const before = this.#derived.get(name) ?? [];
      const after = this.#derive(name);
      if (after.length === 0) this.#derived.delete(name);
      else this.#derived.set(name, after);
      changes.push(...sliceChanges(before, after));
    }
    this.#stale.clear();
    return changes;
  }

  #learn(object: ApiObject): void {
    if (object.kind === 'Service') this.#learnService(object);
    if (object.kind === 'EndpointSlice') this.#countSlice(object, 1);
    if (object.kind !== 'Pod') return;
    this.#podsByLabel.add(object.namespace, object.labels, object);
    this.#markServicesOf(object);
  }

  #forget(object: ApiObject): void {
    if (object.kind === 'Service') this.#forgetService(object);
    if (object.kind === 'EndpointSlice') this.#countSlice(object, -1);
    if (object.kind !== 'Pod') return;
    this.#podsByLabel.delete(object.namespace, object.labels, object);
    this.#markServicesOf(object);
  }

  #learnService(service: Service): void {
    const name = namespacedName(service.namespace, service.name);
    this.#services.set(name, service);
    this.#servicesBySelector.add(service.namespace, indexPair(service), name);
    this.#stale.add(name);
  }

  #forgetService(service: Service): void {
    const name = namespacedName(service.namespace, service.name);
    this.#services.delete(name);
    this.#servicesBySelector.delete(service.namespace, indexPair(service), name);
    this.#stale.add(name);
  }

  #countSlice(slice: EndpointSlice, step: 1 | -1): void {
    const name = namespacedName(slice.namespace, slice.serviceName);
    const count = (this.#slicesInFiles.get(name) ?? 0) + step;
    if (count === 0) this.#slicesInFiles.delete(name);
    else this.#slicesInFiles.set(name, count);
    this.#stale.add(name);
  }

  #markServicesOf(pod: Pod): void {
    for (const [key, value] of Object.entries(pod.labels)) {
      for (const name of this.#servicesBySelector.with(pod.namespace, key, value)) this.#stale.add(name);
    }
  }

  #derive(name: NamespacedName): readonly EndpointSlice[] {
    const service = this.#services.get(name);
    if (service?.selector === undefined || this.#slicesInFiles.has(name)) return [];
    return deriveEndpointSlices(service, this.#selected(service.namespace, service.selector));
  }

  #selected(namespace: string, selector: Labels): readonly Pod[] {
    const pairs = Object.entries(selector);
    const candidates = pairs.map(([key, value]) => this.#podsByLabel.with(namespace, key, value));
    const fewest = candidates.toSorted((a, b) => a.size - b.size)[0] ?? new Set();
    return [...fewest].filter(({ labels }) => pairs.every(([key, value]) => labels[key] === value));
  }
}

/** One pair is enough to find a Service by: a pod that it selects has it. */
function indexPair(service: Service): Labels {
  const [first] = Object.entries(service.selector ?? {});
  return first === undefined ? {} : { [first[0]]: first[1] };
}

function sliceChanges(
  before: readonly EndpointSlice[],
  after: readonly EndpointSlice[],
): readonly ObjectChange[] {
  const former = new Map(before.map((slice) => [slice.name, slice]));
  const changes: ObjectChange[] = [];
  for (const slice of after) {
    const old = former.get(slice.name);
    former.delete(slice.name);
    if (old === undefined || !equalObjects(old, slice)) changes.push({ before: old, after: slice });
  }
  for (const old of former.values()) changes.push({ before: old, after: undefined });
  return changes;
}
