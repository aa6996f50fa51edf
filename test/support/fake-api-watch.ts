import { type FakeApiBody, garbage } from './fake-api-body.ts';
import type { FaultEffect } from './fake-api-faults.ts';
import { inNamespace, kindPrefix } from './fake-api-list.ts';
import type { Resource, Route } from './fake-api-resources.ts';
import type { Selector } from './fake-api-selectors.ts';
import { type StatusAnswer, statusObject, tooOld } from './fake-api-status.ts';
import type { Change, FakeApiStore, StoredObject } from './fake-api-store.ts';

/** What may befall a watch that runs already. */
export type WatchDisturbance =
  | { readonly effect: 'end' | 'reset' | 'half-line' | 'garbage' | 'hang' }
  | ({ readonly effect: 'error-event' } & StatusAnswer);

export interface WatchOptions {
  readonly route: Route;
  readonly selector: Selector;
  readonly bookmarks: boolean;
  /** Everything that is there comes first, as ADDED. */
  readonly initialEvents: boolean;
  /** With a bookmark that says where it ends. */
  readonly markEnd: boolean;
  /** What to watch from, when not from now. */
  readonly version: number | undefined;
}

const batchBytes = 262_144;
const lineEnd = Buffer.from('}\n');

/** One watch of a client: writes what happens, filtered, as fast as the client reads. */
export class FakeApiWatch {
  readonly #options: WatchOptions;
  readonly #store: FakeApiStore;
  readonly #body: FakeApiBody;
  /** Made once: a watch of a big cluster writes tens of thousands of lines. */
  readonly #beginnings: Readonly<Record<Change['type'], Buffer>>;
  #wake: () => void = () => {};
  #bookmarkDue = false;
  #disturbance: WatchDisturbance | undefined;

  constructor(options: WatchOptions, store: FakeApiStore, body: FakeApiBody) {
    this.#options = options;
    this.#store = store;
    this.#body = body;
    this.#beginnings = {
      ADDED: this.#beginning('ADDED'),
      MODIFIED: this.#beginning('MODIFIED'),
      DELETED: this.#beginning('DELETED'),
    };
  }

  get resource(): Resource {
    return this.#options.route.resource;
  }

  /** The next thing told is where the history is now. */
  bookmark(): void {
    this.#bookmarkDue = this.#options.bookmarks;
    this.#wake();
  }

  disturb(disturbance: WatchDisturbance): void {
    this.#disturbance = disturbance;
    if (disturbance.effect === 'reset') this.#body.reset();
    if (disturbance.effect === 'hang') this.#body.hang();
    this.#wake();
  }

  /** Looks again whether there is something to tell, or somebody to tell it to. */
  wake(): void {
    this.#wake();
  }

  /** Runs until the client has gone or the watch is over. */
  async run(fault: FaultEffect | undefined): Promise<void> {
    if (fault?.effect === 'error-event') return this.#fail(fault);
    const { resource } = this.#options.route;
    let { version } = this.#store;
    if (this.#options.initialEvents) {
      await this.#writeAll(this.#initial());
      if (this.#options.markEnd) await this.#body.write(this.#bookmarkLine(version, true));
    } else {
      version = this.#options.version ?? version;
    }
    let cursor = this.#store.cursorAfter(resource, version);
    while (this.#body.open) {
      const changes = cursor === undefined ? undefined : this.#store.changesFrom(resource, cursor);
      if (cursor === undefined || changes === undefined)
        return this.#fail(tooOld(String(version), this.#store.version));
      if (this.#disturbance !== undefined && (await this.#suffer(this.#disturbance))) return;
      if (changes.length > 0) {
        cursor += changes.length;
        await this.#writeAll(this.#lines(changes));
      } else if (this.#bookmarkDue) {
        this.#bookmarkDue = false;
        await this.#body.write(this.#bookmarkLine(this.#store.version, false));
      } else {
        await this.#news();
      }
    }
  }

  /** Says whether the watch is over. */
  async #suffer(disturbance: WatchDisturbance): Promise<boolean> {
    this.#disturbance = undefined;
    switch (disturbance.effect) {
      case 'error-event':
        await this.#fail(disturbance);
        return true;
      case 'garbage':
        await this.#body.write(garbage);
        return false;
      case 'half-line':
        await this.#body.write(Buffer.from('{"type":"MODIFIED","object":{"kind"'));
        this.#body.end();
        return true;
      case 'end':
        this.#body.end();
        return true;
      case 'reset':
      case 'hang':
        return true;
    }
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #fail(answer: StatusAnswer): Promise<void> {
    await this.#body.write(
      Buffer.from(`${JSON.stringify({ type: 'ERROR', object: statusObject(answer) })}\n`),
    );
    this.#body.end();
  }

  async #writeAll(lines: Iterable<readonly Buffer[]>): Promise<void> {
    let parts: Buffer[] = [];
    let size = 0;
    for (const line of lines) {
      parts.push(...line);
      size += line.reduce((sum, part) => sum + part.length, 0);
      if (size < batchBytes) continue;
      await this.#body.write(Buffer.concat(parts));
      if (!this.#body.open) return;
      parts = [];
      size = 0;
    }
    if (size > 0) await this.#body.write(Buffer.concat(parts));
  }

  *#initial(): Generator<readonly Buffer[]> {
    for (const object of this.#store.list(this.resource)) {
      if (this.#selects(object)) yield this.#line('ADDED', object);
    }
  }

  /** A change into or out of the selection is an arrival or a departure for this client. */
  *#lines(changes: readonly Change[]): Generator<readonly Buffer[]> {
    for (const { type, object, before } of changes) {
      const was = before !== undefined && this.#selects(before);
      const is = type !== 'DELETED' && this.#selects(object);
      if (is) yield this.#line(was ? 'MODIFIED' : 'ADDED', object);
      else if (was) yield this.#line('DELETED', object);
    }
  }

  #selects(object: StoredObject): boolean {
    return inNamespace(object, this.#options.route.namespace) && this.#options.selector(object);
  }

  #line(type: Change['type'], object: StoredObject): readonly Buffer[] {
    return [this.#beginnings[type], object.rest, lineEnd];
  }

  #bookmarkLine(version: number, ends: boolean): Buffer {
    const annotations = ends ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
    const metadata = { resourceVersion: String(version), creationTimestamp: null, ...annotations };
    const rest = JSON.stringify({ metadata, spec: {}, status: {} }).slice(1);
    return Buffer.concat([this.#beginning('BOOKMARK'), Buffer.from(rest), lineEnd]);
  }

  #beginning(type: string): Buffer {
    const kind = kindPrefix(this.resource, this.#options.route.groupVersion).toString();
    return Buffer.from(`{"type":"${type}","object":${kind}`);
  }
}
