import { type Resource, type Route, resources } from './fake-api-resources.ts';
import type { Selector } from './fake-api-selectors.ts';
import { type StatusAnswer, tooNew, tooOld } from './fake-api-status.ts';
import type { FakeApiStore, StoredObject } from './fake-api-store.ts';

/** All objects of a kind at one moment: the pages of a list all come from it. */
interface Moment {
  readonly version: number;
  readonly objects: readonly StoredObject[];
}

/** Where the next page goes on: written as an API server writes it, and as opaque to clients. */
interface Continue {
  readonly rv: number;
  readonly start: string;
}

const comma = Buffer.from(',');
const brace = Buffer.from('{');

/** Lists in pages, which expire like those of an API server whose history was compacted. */
export class FakeApiLists {
  readonly #store: FakeApiStore;
  readonly #moments = new Map<string, Moment>();

  constructor(store: FakeApiStore) {
    this.#store = store;
  }

  /** No list that was begun can be continued. */
  expire(): void {
    this.#moments.clear();
  }

  /** The parts of the body, in pieces to be sent one after the other, or why there is none. */
  list(route: Route, query: URLSearchParams, selector: Selector): Iterable<Buffer> | StatusAnswer {
    const given = query.get('continue') ?? '';
    const from = given === '' ? undefined : readToken(given);
    if (from === 'invalid') return invalidContinue;
    const moment = from === undefined ? this.#now(route, query) : this.#moment(route, query, from.rv);
    if ('code' in moment) return moment;
    const selected = moment.objects.filter(
      (object) =>
        inNamespace(object, route.namespace) &&
        selector(object) &&
        keyIn(route, object) >= (from?.start ?? ''),
    );
    // From version 0 is from the cache of the server, which has no pages.
    const limit = query.get('resourceVersion') === '0' ? 0 : Number(query.get('limit') ?? 0);
    const page = limit > 0 ? selected.slice(0, limit) : selected;
    const last = page.at(-1);
    if (page.length === selected.length || last === undefined) return listBody(route, moment, page);
    this.#moments.set(`${route.resource} ${moment.version}`, moment);
    const isSelective = query.has('labelSelector') || query.has('fieldSelector');
    return listBody(route, moment, page, {
      continue: token({ rv: moment.version, start: `${keyIn(route, last)}\0` }),
      // What a selector would leave of them, nobody has counted.
      ...(isSelective ? {} : { remainingItemCount: selected.length - page.length }),
    });
  }

  #now({ resource }: Route, query: URLSearchParams): Moment | StatusAnswer {
    const { version } = this.#store;
    const asked = Number(query.get('resourceVersion') ?? 0);
    if (asked > version) return tooNew(asked, version);
    const exact = query.get('resourceVersionMatch') === 'Exact';
    if (exact && this.#store.cursorAfter(resource, asked) === undefined)
      return tooOld(String(asked), version);
    return { version, objects: this.#store.list(resource) };
  }

  #moment({ resource }: Route, query: URLSearchParams, version: number): Moment | StatusAnswer {
    if (!['', '0'].includes(query.get('resourceVersion') ?? ''))
      return { code: 400, message: 'specifying resource version is not allowed when using continue' };
    return this.#moments.get(`${resource} ${version}`) ?? continueExpired;
  }
}

/** Where an object stands in a list, in the order of an API server: by namespace, then by name. */
function keyIn(route: Route, { namespace, name }: StoredObject): string {
  return namespace === '' || route.namespace !== undefined ? name : `${namespace}/${name}`;
}

const tokenVersion = 'meta.k8s.io/v1';

function token(next: Continue): string {
  return Buffer.from(JSON.stringify({ v: tokenVersion, ...next })).toString('base64url');
}

function readToken(text: string): Continue | 'invalid' {
  try {
    const read = JSON.parse(Buffer.from(text, 'base64url').toString()) as Continue & { readonly v: string };
    return read.v === tokenVersion && read.rv > 0 && read.start !== '' ? read : 'invalid';
  } catch {
    return 'invalid';
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
  { version }: Moment,
  objects: readonly StoredObject[],
  more: object = {},
): Generator<Buffer> {
  const kind = `"kind":"${resources[resource].kind}List","apiVersion":"${groupVersion}"`;
  const metadata = JSON.stringify({ resourceVersion: String(version), ...more });
  yield Buffer.from(`{${kind},"metadata":${metadata},"items":[`);
  const batch = 500;
  for (let at = 0; at < objects.length; at += batch) {
    const parts = objects
      .slice(at, at + batch)
      .flatMap((object, index) => (at + index === 0 ? [brace, object.rest] : [comma, brace, object.rest]));
    yield Buffer.concat(parts);
  }
  yield Buffer.from(']}\n');
}

const invalidContinue: StatusAnswer = { code: 400, message: 'continue key is not valid' };

const continueExpired: StatusAnswer = {
  code: 410,
  reason: 'Expired',
  message:
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.',
};
