import { type Resource, resourceOfKind, resources } from './fake-api-resources.ts';
import { selectableFieldsOf } from './fake-api-selectors.ts';

type Json = Readonly<Record<string, unknown>>;

interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface StoredObject {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: number;
  /** Its JSON without the opening brace, `kind` and `apiVersion`: lists leave those out, watches put them in. */
  readonly rest: Buffer;
  readonly labels: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string>>;
}

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: StoredObject;
  readonly before: StoredObject | undefined;
}

interface Table {
  readonly objects: Map<string, StoredObject>;
  /** What `list` gave last, until something changes. */
  sorted: readonly StoredObject[] | undefined;
  changes: Change[];
  /** How many changes were forgotten before the first of `changes`. */
  forgotten: number;
  /** Changes up to this version are forgotten. */
  compactedAt: number;
}

const firstVersion = 1000;

/** The objects of a fake API server, with as much of their history as watches may ask for. */
export class FakeApiStore {
  readonly #tables = new Map<Resource, Table>();
  readonly #listeners = new Set<() => void>();
  readonly #historyLimit: number;
  #version = firstVersion;

  constructor(historyLimit: number) {
    this.#historyLimit = historyLimit;
  }

  /** The newest resourceVersion; there is one counter for all kinds. */
  get version(): number {
    return this.#version;
  }

  /** Creates or replaces; returns its new resourceVersion. */
  put(object: Json): number {
    const resource = resourceOfKind(object['kind']);
    const table = this.#table(resource);
    const { apiVersion: _, kind: __, metadata, ...rest } = object;
    const { namespace: givenNamespace = 'default', ...given } = metadata as Metadata;
    const namespace = resources[resource].namespaced ? givenNamespace : '';
    const { name } = given;
    const key = keyOf(namespace, name);
    const before = table.objects.get(key);
    this.#version += 1;
    const stored = storedObject(resource, this.#version, {
      metadata: {
        uid: uidOf(before) ?? `uid-${this.#version}`,
        creationTimestamp: '2026-01-01T00:00:00Z',
        ...given,
        ...(namespace === '' ? {} : { namespace }),
        resourceVersion: String(this.#version),
      },
      ...rest,
    });
    table.objects.set(key, stored);
    this.#changed(table, { type: before === undefined ? 'ADDED' : 'MODIFIED', object: stored, before });
    return this.#version;
  }

  /** Says whether there was one. */
  remove(resource: Resource, namespace: string, name: string): boolean {
    const table = this.#table(resource);
    const key = keyOf(namespace, name);
    const before = table.objects.get(key);
    if (before === undefined) return false;
    this.#version += 1;
    const last = parsed(before);
    const metadata = { ...(last['metadata'] as Json), resourceVersion: String(this.#version) };
    table.objects.delete(key);
    const object = storedObject(resource, this.#version, { ...last, metadata });
    this.#changed(table, { type: 'DELETED', object, before });
    return true;
  }

  get(resource: Resource, namespace: string, name: string): StoredObject | undefined {
    return this.#table(resource).objects.get(keyOf(namespace, name));
  }

  /** In the order of an API server: by namespace, then by name. */
  list(resource: Resource): readonly StoredObject[] {
    const table = this.#table(resource);
    table.sorted ??= [...table.objects].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
    return table.sorted;
  }

  /** Where in the history what happened after `version` begins; `undefined` when that is forgotten. */
  cursorAfter(resource: Resource, version: number): number | undefined {
    const table = this.#table(resource);
    if (version < table.compactedAt) return undefined;
    const index = table.changes.findIndex(({ object }) => object.resourceVersion > version);
    return table.forgotten + (index === -1 ? table.changes.length : index);
  }

  /** What happened since; `undefined` when some of it is forgotten. */
  changesFrom(resource: Resource, cursor: number): readonly Change[] | undefined {
    const table = this.#table(resource);
    return cursor < table.forgotten ? undefined : table.changes.slice(cursor - table.forgotten);
  }

  /** Forgets history, so that older versions are too old to watch from. */
  compact(resource: Resource): void {
    const table = this.#table(resource);
    table.compactedAt = this.#version;
    table.forgotten += table.changes.length;
    table.changes = [];
  }

  /** Calls back after every change; returns what ends that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #table(resource: Resource): Table {
    const known = this.#tables.get(resource);
    if (known !== undefined) return known;
    const table = { objects: new Map(), sorted: undefined, changes: [], forgotten: 0, compactedAt: 0 };
    this.#tables.set(resource, table);
    return table;
  }

  #changed(table: Table, change: Change): void {
    table.sorted = undefined;
    table.changes.push(change);
    // Half at a time: dropping one for each change would copy the history each time.
    if (table.changes.length > this.#historyLimit) {
      const dropped = table.changes.splice(0, Math.ceil(this.#historyLimit / 2));
      table.forgotten += dropped.length;
      table.compactedAt = dropped.at(-1)?.object.resourceVersion ?? table.compactedAt;
    }
    for (const listener of this.#listeners) listener();
  }
}

/** The object as lists show it: without `kind` and `apiVersion`. */
export function parsed(object: StoredObject): Json {
  return JSON.parse(`{${object.rest.toString()}`) as Json;
}

function storedObject(resource: Resource, resourceVersion: number, object: Json): StoredObject {
  const { namespace = '', name, labels = {} } = object['metadata'] as Metadata;
  return {
    resource,
    namespace,
    name,
    resourceVersion,
    rest: Buffer.from(JSON.stringify(object).slice(1)),
    labels,
    fields: selectableFieldsOf(resource, object),
  };
}

function uidOf(object: StoredObject | undefined): unknown {
  return object === undefined ? undefined : (parsed(object)['metadata'] as Json)['uid'];
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}
