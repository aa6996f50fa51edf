import {
  type ApiObject,
  type EndpointSlice,
  equalObjects,
  type NamespacedName,
  namespacedName,
  type ObjectKind,
  type ObjectOfKind,
} from '../api/index.ts';
import { SliceIndex } from './slice-index.ts';

/** What changed since the last look, by name: the sync loop works from the whole state, for these names only. */
export interface Dirty {
  /** Services that changed themselves, or of which an EndpointSlice changed. */
  readonly services: ReadonlySet<NamespacedName>;
  readonly pods: ReadonlySet<NamespacedName>;
  readonly policies: ReadonlySet<NamespacedName>;
  readonly namespaces: ReadonlySet<string>;
  /** Any ServiceCIDR. */
  readonly serviceCIDRs: boolean;
}

/** A `Dirty` that is being filled. */
class DirtyNames implements Dirty {
  readonly services = new Set<NamespacedName>();
  readonly pods = new Set<NamespacedName>();
  readonly policies = new Set<NamespacedName>();
  readonly namespaces = new Set<string>();
  serviceCIDRs = false;
}

/**
 * The objects as the source last told them. Pure state: no clock, no events. Every change marks names; an upsert of an
 * object equal to the stored one marks nothing. A name is marked also when its object was changed and changed back.
 */
export class Store {
  readonly #objects: Readonly<Record<ObjectKind, Map<NamespacedName, ApiObject>>> = {
    Service: new Map(),
    EndpointSlice: new Map(),
    NetworkPolicy: new Map(),
    Pod: new Map(),
    Namespace: new Map(),
    Node: new Map(),
    ServiceCIDR: new Map(),
  };
  readonly #slices = new SliceIndex();
  #dirty = new DirtyNames();

  /** Puts an object in the place of the one of its name. Whether anything changed. */
  upsert(object: ApiObject): boolean {
    const objects = this.#objects[object.kind];
    const name = namespacedName(object.namespace, object.name);
    const former = objects.get(name);
    if (former !== undefined && equalObjects(former, object)) return false;
    objects.set(name, object);
    if (former?.kind === 'EndpointSlice') this.#removeSlice(former);
    if (object.kind === 'EndpointSlice') this.#addSlice(object);
    else this.#mark(object.kind, name, object.name);
    return true;
  }

  /** `namespace` is empty for cluster-wide kinds. Whether there was such an object. */
  remove(kind: ObjectKind, namespace: string, name: string): boolean {
    const objects = this.#objects[kind];
    const key = namespacedName(namespace, name);
    const former = objects.get(key);
    if (former === undefined) return false;
    objects.delete(key);
    if (former.kind === 'EndpointSlice') this.#removeSlice(former);
    else this.#mark(former.kind, key, name);
    return true;
  }

  get<Kind extends ObjectKind>(kind: Kind, namespace: string, name: string): ObjectOfKind<Kind> | undefined {
    return this.#objects[kind].get(namespacedName(namespace, name)) as ObjectOfKind<Kind> | undefined;
  }

  /** The same by the object's `namespace/name`. */
  byName<Kind extends ObjectKind>(kind: Kind, name: NamespacedName): ObjectOfKind<Kind> | undefined {
    return this.#objects[kind].get(name) as ObjectOfKind<Kind> | undefined;
  }

  /** All objects of a kind, sorted by namespace/name. */
  list<Kind extends ObjectKind>(kind: Kind): readonly ObjectOfKind<Kind>[] {
    const entries = [...this.#objects[kind]].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return entries.map(([, object]) => object as ObjectOfKind<Kind>);
  }

  /** The EndpointSlices that name this Service, sorted by their own name; also when the Service itself is not there. */
  slicesOf(service: NamespacedName): readonly EndpointSlice[] {
    return this.#slices.of(service);
  }

  /** What changed since the last call. The names belong to the caller from now on. */
  takeDirty(): Dirty {
    const dirty = this.#dirty;
    this.#dirty = new DirtyNames();
    return dirty;
  }

  #addSlice(slice: EndpointSlice): void {
    this.#slices.add(slice);
    this.#dirty.services.add(namespacedName(slice.namespace, slice.serviceName));
  }

  #removeSlice(slice: EndpointSlice): void {
    this.#slices.remove(slice);
    this.#dirty.services.add(namespacedName(slice.namespace, slice.serviceName));
  }

  #mark(kind: Exclude<ObjectKind, 'EndpointSlice'>, key: NamespacedName, name: string): void {
    switch (kind) {
      case 'Service':
        this.#dirty.services.add(key);
        break;
      case 'Pod':
        this.#dirty.pods.add(key);
        break;
      case 'NetworkPolicy':
        this.#dirty.policies.add(key);
        break;
      case 'Namespace':
        this.#dirty.namespaces.add(name);
        break;
      case 'Node':
        // Whoever needs it looks at it each time: it is one object.
        break;
      case 'ServiceCIDR':
        this.#dirty.serviceCIDRs = true;
        break;
    }
  }
}
