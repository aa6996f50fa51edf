import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Clock, errorLine } from '../../runtime/index.ts';
import { FolderWatcher } from '../folder-watcher.ts';
import { isGone, isSystemError } from '../system-error.ts';
import { WakeableSleep } from '../wakeable-sleep.ts';
import { type CniResult, podInterface, readCniResult } from './cni-result.ts';

interface ResultsFolderOptions {
  readonly path: string;
  readonly clock: Clock;
  /** Results or state may be others than before. */
  readonly onLook: () => void;
}

/** How far a folder can be read: a text says what is wrong. */
export type FolderState = 'read' | 'missing' | { readonly problem: string };

interface ResultFile {
  /** Changes with the content. */
  readonly stamp: string;
  /** `undefined`: nothing (yet) for Weir. */
  readonly result: CniResult | undefined;
  readonly problem: string | undefined;
}

/** A file is written in several events that come at once. Every millisecond more is one that a new pod is closed. */
const coalesceMs = 1;
/** Without events, new pods are known this late. */
const unwatchedPollMs = 2000;
/** With events, looking at all files only finds what should not be. */
const watchedPollMs = 10_000;
/** A result is a few kilobytes; what is much larger is none. */
const largestFile = 1_048_576n;
const filesAtOnce = 64;

/** The results in one cache folder, followed. It need not be there; it may come, go and be replaced. */
export class ResultsFolder {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #onLook: () => void;
  readonly #sleep: WakeableSleep;
  readonly #watcher: FolderWatcher;
  readonly #files = new Map<string, ResultFile>();
  #changedNames = new Set<string>();
  #lookAtAll = true;
  #lookedAtAllAt = 0;
  #state: FolderState = 'missing';
  #following: Promise<void> | undefined;
  #stopped = false;

  constructor({ path, clock, onLook }: ResultsFolderOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#onLook = onLook;
    this.#sleep = new WakeableSleep(clock);
    this.#watcher = new FolderWatcher(path, (name) => this.#noteEvent(name));
  }

  /** Resolves when all that is there has been read. */
  async start(): Promise<void> {
    await this.#look();
    this.#following = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#sleep.wake();
    await this.#following;
  }

  get state(): FolderState {
    return this.#state;
  }

  *results(): Iterable<CniResult> {
    for (const { result } of this.#files.values()) if (result !== undefined) yield result;
  }

  #noteEvent(name: string | undefined): void {
    if (name === undefined) this.#lookAtAll = true;
    else if (name === basename(this.#path)) this.#noteReplaced();
    else if (isResultName(name)) this.#changedNames.add(name);
    else return;
    this.#sleep.wake();
  }

  /** The folder itself went: the watch is dead, and a new folder may have the inode of the old. */
  #noteReplaced(): void {
    this.#watcher.close();
    this.#lookAtAll = true;
  }

  async #follow(): Promise<void> {
    try {
      while (await this.#timeToLook()) {
        await this.#look();
        this.#onLook();
      }
    } finally {
      this.#watcher.close();
    }
  }

  /** False when it is time to stop instead. */
  async #timeToLook(): Promise<boolean> {
    const pollMs = this.#watcher.problem === undefined ? watchedPollMs : unwatchedPollMs;
    const restMs = this.#lookedAtAllAt + pollMs - this.#clock.now();
    if (restMs > 0 && (await this.#sleep.sleep(restMs))) await this.#clock.sleep(coalesceMs);
    else this.#lookAtAll = true;
    return !this.#stopped;
  }

  async #look(): Promise<void> {
    const all = this.#lookAtAll;
    const changed = this.#changedNames;
    this.#lookAtAll = false;
    this.#changedNames = new Set();
    // Listening begins before the look, so that nothing is written unseen between the two.
    if (all) {
      this.#lookedAtAllAt = this.#clock.now();
      await this.#watcher.ensure();
    }
    const listed = all ? await this.#list() : [];
    await this.#readAll(new Set([...changed, ...listed]), changed);
    this.#state = this.#judge();
  }

  /** Forgets files that are gone, and says which there are. */
  async #list(): Promise<readonly string[]> {
    const names = new Set(await listOrNothing(this.#path));
    for (const name of this.#files.keys()) if (!names.has(name)) this.#files.delete(name);
    return [...names];
  }

  /** An event counts more than the stamp: two writes within one tick of the file system's clock have the same. */
  async #readAll(names: ReadonlySet<string>, changed: ReadonlySet<string>): Promise<void> {
    const all = [...names];
    for (let first = 0; first < all.length; first += filesAtOnce) {
      const some = all.slice(first, first + filesAtOnce);
      await Promise.all(some.map((name) => this.#read(name, changed.has(name))));
    }
  }

  async #read(name: string, changed: boolean): Promise<void> {
    const known = changed ? undefined : this.#files.get(name);
    const file = await readResultFile(join(this.#path, name), known);
    if (file === undefined) this.#files.delete(name);
    else this.#files.set(name, file);
  }

  #judge(): FolderState {
    const unreadable = [...this.#files.values()].find(({ problem }) => problem !== undefined)?.problem;
    if (unreadable !== undefined) return { problem: unreadable };
    if (this.#watcher.problem === undefined) return 'read';
    return this.#watcher.missing
      ? 'missing'
      : { problem: `new pods are noticed only every two seconds: ${this.#watcher.problem}` };
  }
}

/** Files are named `NETWORK-CONTAINER-INTERFACE`. */
function isResultName(name: string): boolean {
  return name.endsWith(`-${podInterface}`);
}

/** What hinders listing hinders watching as well, and is told by the watcher. */
async function listOrNothing(path: string): Promise<readonly string[]> {
  try {
    return (await readdir(path)).filter(isResultName);
  } catch (error) {
    if (isSystemError(error)) return [];
    throw error;
  }
}

/** `known` comes back when the file has its stamp. `undefined`: there is no such file. */
async function readResultFile(path: string, known: ResultFile | undefined): Promise<ResultFile | undefined> {
  try {
    const stats = await stat(path, { bigint: true });
    const stamp = `${stats.dev}/${stats.ino}/${stats.mtimeNs}/${stats.size}`;
    if (stamp === known?.stamp) return known;
    // Anything but a file (a pipe, say) might keep the reader waiting for ever.
    if (!stats.isFile() || stats.size > largestFile) return { stamp, result: undefined, problem: undefined };
    const text = await readFile(path, 'utf8');
    return { stamp, result: readCniResult(text, stats.mtimeNs), problem: undefined };
  } catch (error) {
    if (isGone(error)) return undefined;
    if (isSystemError(error)) return { stamp: 'unknown', result: undefined, problem: errorLine(error) };
    throw error;
  }
}
