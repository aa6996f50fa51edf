import { type Resource, type Route, resources } from './fake-api-resources.ts';
import { type Selector, selectorOf } from './fake-api-selectors.ts';
import { type StatusAnswer, tooNew, tooOld } from './fake-api-status.ts';
import type { FakeApiStore, StoredObject } from './fake-api-store.ts';

/** What is left of a list that was begun: pages all come from one moment. */
interface Snapshot {
  readonly version: number;
  readonly objects: readonly StoredObject[];
}

const comma = Buffer.from(',');
const brace = Buffer.from('{');

/** Lists in pages, which expire like those of an API server whose history was compacted. */
export class FakeApiLists {
  readonly #store: FakeApiStore;
  readonly #snapshots = new Map<string, Snapshot>();
  #last = 0;

  constructor(store: FakeApiStore) {
    this.#store = store;
  }

  /** No list that was begun can be continued. */
  expire(): void {
    this.#snapshots.clear();
  }

  /** The parts of the body, in pieces to be sent one after the other, or why there is none. */
  list(route: Route, query: URLSearchParams): Iterable<Buffer> | StatusAnswer {
    const selector = selectorOf(query);
    if (typeof selector === 'string') return { code: 400, message: selector };
    // From version 0 is from the cache of the server, which has no pages.
    const limit = query.get('resourceVersion') === '0' ? 0 : Number(query.get('limit') ?? 0);
    const token = query.get('continue') ?? '';
    const [id = '', from = '0'] = token === '' ? [] : token.split('.');
    const snapshot = token === '' ? this.#begin(route, query, selector) : this.#snapshots.get(id);
    if (snapshot === undefined) return continueExpired;
    if ('code' in snapshot) return snapshot;
    const first = Number(from);
    const end = limit > 0 ? Math.min(first + limit, snapshot.objects.length) : snapshot.objects.length;
    const remaining = snapshot.objects.length - end;
    const next = remaining === 0 ? undefined : `${id || this.#keep(snapshot)}.${end}`;
    return listBody(route, snapshot, [first, end], next);
  }

  #begin(route: Route, query: URLSearchParams, selector: Selector): Snapshot | StatusAnswer {
    const { version } = this.#store;
    const asked = Number(query.get('resourceVersion') ?? 0);
    if (asked > version) return tooNew(asked, version);
    const exact = query.get('resourceVersionMatch') === 'Exact';
    if (exact && this.#store.cursorAfter(route.resource, asked) === undefined)
      return tooOld(String(asked), version);
    const objects = this.#store
      .list(route.resource)
      .filter((object) => inNamespace(object, route.namespace) && selector(object));
    return { version, objects };
  }

  #keep(snapshot: Snapshot): string {
    this.#last += 1;
    this.#snapshots.set(String(this.#last), snapshot);
    return String(this.#last);
  }
}

export function inNamespace(object: StoredObject, namespace: string | undefined): boolean {
  return namespace === undefined || object.namespace === namespace;
}

/** How JSON of an object begins that names its kind. */
export function kindPrefix(resource: Resource, groupVersion: string): Buffer {
  return Buffer.from(`{"kind":"${resources[resource].kind}","apiVersion":"${groupVersion}",`);
}

function* listBody(
  { resource, groupVersion }: Route,
  { version, objects }: Snapshot,
  [first, end]: readonly [number, number],
  next: string | undefined,
): Generator<Buffer> {
  const metadata = {
    resourceVersion: String(version),
    ...(next === undefined ? {} : { continue: next, remainingItemCount: objects.length - end }),
  };
  const kind = `"kind":"${resources[resource].kind}List","apiVersion":"${groupVersion}"`;
  yield Buffer.from(`{${kind},"metadata":${JSON.stringify(metadata)},"items":[`);
  const batch = 500;
  for (let at = first; at < end; at += batch) {
    const parts = objects
      .slice(at, Math.min(at + batch, end))
      .flatMap((object, index) =>
        at + index === first ? [brace, object.rest] : [comma, brace, object.rest],
      );
    yield Buffer.concat(parts);
  }
  yield Buffer.from(']}\n');
}

const continueExpired: StatusAnswer = {
  code: 410,
  reason: 'Expired',
  message:
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.',
};
