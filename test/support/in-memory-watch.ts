import { type Clock, WeirError } from '../../pkg/runtime/index.ts';
import { WakeableSleep } from '../../pkg/source/wakeable-sleep.ts';
import { inNamespace, kindPrefix } from './fake-api-list.ts';
import type { Route } from './fake-api-resources.ts';
import type { Selector } from './fake-api-selectors.ts';
import { type StatusAnswer, statusObject, tooOld } from './fake-api-status.ts';
import type { Change, FakeApiStore, StoredObject } from './fake-api-store.ts';

/**
 * What may befall a running watch, or one as it begins: before anything is said. `hang`: nothing comes any more, and nothing
 * ends.
 */
export type Disturbance =
  | { readonly effect: 'end' | 'reset' | 'hang' }
  /** These bytes come next, and then the end. */
  | { readonly effect: 'say'; readonly text: string };

interface InMemoryWatchOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly store: FakeApiStore;
  readonly route: Route;
  readonly selector: Selector;
  /** What to watch from; undefined to begin with what is there. */
  readonly version: number | undefined;
  readonly marksEnd: boolean;
  /** Bookmarks come only where something has changed, and every ten minutes: as often as an older etcd says how far it is. */
  readonly sparseBookmarks: boolean;
  /** What befalls it at once; with `afterLines`, when so many objects have been told. */
  readonly begins: (Disturbance & { readonly afterLines?: number }) | undefined;
  readonly timeoutMs: number;
  readonly pieceBytes: () => number;
  readonly onEnd: () => void;
}

const bookmarkIntervalMs = 60_000;
const progressIntervalMs = 600_000;

/** One watch as its client reads it. */
export class InMemoryWatch {
  readonly #options: InMemoryWatchOptions;
  readonly #sleep: WakeableSleep;
  #disturbance: Disturbance | undefined;

  constructor(options: InMemoryWatchOptions) {
    this.#options = options;
    this.#sleep = new WakeableSleep(options.clock);
    this.#disturbance = options.begins;
  }

  get resource(): Route['resource'] {
    return this.#options.route.resource;
  }

  disturb(disturbance: Disturbance): void {
    this.#disturbance = disturbance;
    this.#sleep.wake();
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    const { signal, store, pieceBytes, onEnd } = this.#options;
    const wake = (): void => this.#sleep.wake();
    const unlisten = store.listen(wake);
    signal.addEventListener('abort', wake);
    try {
      for await (const text of this.#texts()) {
        const bytes = Buffer.from(text);
        for (let at = 0; at < bytes.length; ) {
          const end = at + pieceBytes();
          yield bytes.subarray(at, end);
          at = end;
        }
      }
    } finally {
      unlisten();
      signal.removeEventListener('abort', wake);
      onEnd();
    }
  }

  async *#texts(): AsyncGenerator<string> {
    const { clock, signal, store, route, version, marksEnd, timeoutMs, begins } = this.#options;
    const from = version ?? store.version;
    if (version === undefined) {
      const lines = store.list(route.resource).filter((object) => this.#selects(object));
      for (const object of begins === undefined ? lines : lines.slice(0, begins.afterLines ?? 0))
        yield this.#line('ADDED', object);
      if (marksEnd && begins === undefined) yield this.#bookmark(from, true);
    }
    const endsAt = clock.now() + timeoutMs;
    let bookmarkAt = clock.now() + bookmarkIntervalMs;
    let marked = from;
    const openedAt = clock.now();
    const hasProgress = (): boolean =>
      Math.floor(clock.now() / progressIntervalMs) > Math.floor(openedAt / progressIntervalMs);
    let cursor = store.cursorAfter(route.resource, from);
    while (clock.now() < endsAt || this.#disturbance?.effect === 'hang') {
      signal.throwIfAborted();
      const disturbance = this.#disturbance;
      if (disturbance?.effect === 'reset')
        throw new WeirError('WEIR_API_UNREACHABLE', 'the connection was reset');
      if (disturbance?.effect === 'say') yield disturbance.text;
      if (disturbance?.effect === 'say' || disturbance?.effect === 'end') return;
      if (disturbance?.effect === 'hang') {
        await this.#sleep.sleep(bookmarkIntervalMs);
        continue;
      }
      const changes: readonly Change[] | undefined =
        cursor === undefined ? undefined : store.changesFrom(route.resource, cursor);
      if (cursor === undefined || changes === undefined) {
        yield errorLine(tooOld(String(from), store.version));
        return;
      }
      cursor += changes.length;
      marked = changes.at(-1)?.object.resourceVersion ?? marked;
      const text = changes.map((change) => this.#lineOf(change)).join('');
      if (text !== '') yield text;
      if (clock.now() >= bookmarkAt) {
        bookmarkAt += bookmarkIntervalMs;
        if (!this.#options.sparseBookmarks) yield this.#bookmark(store.version, false);
        else if (hasProgress()) yield this.#bookmark(store.version, false);
        else if (marked > from) yield this.#bookmark(marked, false);
      } else if (text === '') {
        await this.#sleep.sleep(Math.min(bookmarkAt, endsAt) - clock.now());
      }
    }
  }

  #selects(object: StoredObject): boolean {
    return inNamespace(object, this.#options.route.namespace) && this.#options.selector(object);
  }

  /** A change into or out of the selection is an arrival or a departure for this client. */
  #lineOf({ type, object, before }: Change): string {
    const was = before !== undefined && this.#selects(before);
    const is = type !== 'DELETED' && this.#selects(object);
    if (is) return this.#line(was ? 'MODIFIED' : 'ADDED', object);
    return was ? this.#line('DELETED', object) : '';
  }

  #line(type: Change['type'], object: StoredObject): string {
    const prefix = kindPrefix(object.resource, this.#options.route.groupVersion);
    return `{"type":"${type}","object":${prefix.toString()}${object.rest.toString()}}\n`;
  }

  #bookmark(version: number, endsInitialEvents: boolean): string {
    const annotations = endsInitialEvents ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
    const object = { metadata: { resourceVersion: String(version), ...annotations } };
    return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`;
  }
}

/** An ERROR event, as a line of a watch. */
export function errorLine(answer: StatusAnswer): string {
  return `${JSON.stringify({ type: 'ERROR', object: statusObject(answer) })}\n`;
}
