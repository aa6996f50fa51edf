import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Diagnostic } from '../../api/index.ts';
import { type Clock, WeirError } from '../../runtime/index.ts';
import { FolderWatcher } from '../folder-watcher.ts';
import type { Source, SourceHandler } from '../source.ts';
import { isGone, isSystemError } from '../system-error.ts';
import { WakeableSleep } from '../wakeable-sleep.ts';
import { type FilesChange, ManifestFiles } from './manifest-files.ts';
import { type ManifestFolder, openManifestFolder } from './manifest-folder.ts';
import { fileDiagnostic } from './read-manifest.ts';

interface ManifestSourceOptions {
  /** A file, or a folder of *.yaml, *.yml and *.json (not its sub-folders). */
  readonly path: string;
  readonly clock: Clock;
}

export interface ManifestSource extends Source {
  /** How many objects in the files are nothing for Weir, by the reason (`kind Deployment`). */
  readonly ignored: ReadonlyMap<string, number>;
}

/** Saving a file is several events; reading begins when this long none has come. */
const quietMs = 8;
/** In a folder that never is quiet, reading begins after this. */
const longestWaitMs = 50;
/** A file that is gone may be on its way back: editors move the old one aside before they write the new one. */
const removalGraceMs = 50;
const pollMs = 2000;
/** Looking at very many files must not become the main work. */
const pollToLookRatio = 20;
const filesAtOnce = 64;

/**
 * Objects from manifest files, watched. `start` rejects with WEIR_MANIFESTS_UNREADABLE when there is nothing at the path;
 * later everything that is wrong becomes a diagnostic, and the objects stay. Origins of diagnostics are the files, and
 * `manifests PATH` for what concerns the path itself.
 */
export function createManifestSource(options: ManifestSourceOptions): ManifestSource {
  return new FolderManifestSource(options);
}

class FolderManifestSource implements ManifestSource {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #sleep: WakeableSleep;
  readonly #files = new ManifestFiles();
  readonly #stamps = new Map<string, string>();
  readonly #missingSince = new Map<string, number>();
  readonly #changedNames = new Set<string>();
  #toldAboutPath = '';
  #following: Promise<void> | undefined;
  #stopped = false;

  constructor({ path, clock }: ManifestSourceOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#sleep = new WakeableSleep(clock);
  }

  get ignored(): ReadonlyMap<string, number> {
    return this.#files.ignored;
  }

  async start(handler: SourceHandler): Promise<void> {
    const folder = await this.#open();
    // Listening begins before the first look, so that nothing is saved unseen between the two.
    const watcher = new FolderWatcher(folder.watched, (name) => this.#noteChange(folder, name));
    try {
      await watcher.ensure();
      await this.#look(folder, watcher, handler);
      if (!this.#stopped) handler.synced();
      if (!this.#stopped) handler.settled();
    } catch (error) {
      watcher.close();
      throw error;
    }
    this.#following = this.#follow(folder, watcher, handler);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#sleep.wake();
    await this.#following;
  }

  async #open(): Promise<ManifestFolder> {
    try {
      const folder = await openManifestFolder(this.#path);
      await folder.list();
      return folder;
    } catch (cause) {
      const why = isGone(cause) ? 'there is no such file or folder' : messageOf(cause);
      throw new WeirError('WEIR_MANIFESTS_UNREADABLE', `can't read manifests from ${this.#path}: ${why}`, {
        cause,
      });
    }
  }

  #noteChange(folder: ManifestFolder, name: string | undefined): void {
    if (name !== undefined && !folder.concerns(name)) return;
    if (name !== undefined) this.#changedNames.add(name);
    this.#sleep.wake();
  }

  async #follow(folder: ManifestFolder, watcher: FolderWatcher, handler: SourceHandler): Promise<void> {
    let waitMs = pollMs;
    try {
      while (await this.#timeToLook(waitMs)) {
        const before = this.#clock.now();
        await watcher.ensure();
        const told = await this.#look(folder, watcher, handler);
        if (told) handler.settled();
        waitMs = Math.max(pollMs, pollToLookRatio * (this.#clock.now() - before));
      }
    } finally {
      watcher.close();
    }
  }

  /** False when it is time to stop instead. */
  async #timeToLook(waitMs: number): Promise<boolean> {
    const woken = await this.#sleep.sleep(this.#missingSince.size > 0 ? removalGraceMs : waitMs);
    if (woken) await this.#untilQuiet();
    return !this.#stopped;
  }

  async #untilQuiet(): Promise<void> {
    const began = this.#clock.now();
    while (!this.#stopped && (await this.#sleep.sleep(quietMs))) {
      if (this.#clock.now() - began >= longestWaitMs) return;
    }
  }

  /** Reads what changed and tells the handler. Whether there was anything to tell. */
  async #look(folder: ManifestFolder, watcher: FolderWatcher, handler: SourceHandler): Promise<boolean> {
    const changed = new Set(this.#changedNames);
    this.#changedNames.clear();
    const found = await listOrProblem(folder);
    if ('stamps' in found) {
      await this.#readChanged(found.stamps, changed);
      this.#removeMissing(found.stamps);
    }
    if (this.#stopped) return false;
    const toldAboutPath = this.#tellAboutPath(handler, pathProblem(folder, found, watcher));
    return this.#tell(handler, this.#files.settle()) || toldAboutPath;
  }

  /** An event counts more than the stamp: two saves within one tick of the file system's clock have the same. */
  async #readChanged(stamps: ReadonlyMap<string, string>, changedNames: ReadonlySet<string>): Promise<void> {
    const changed = [...stamps].filter(
      ([file, stamp]) => this.#stamps.get(file) !== stamp || changedNames.has(basename(file)),
    );
    for (let first = 0; first < changed.length; first += filesAtOnce) {
      const some = changed.slice(first, first + filesAtOnce);
      const texts = await Promise.all(some.map(([file]) => readText(file)));
      for (const [index, [file, stamp]] of some.entries()) this.#take(file, stamp, texts[index]);
    }
  }

  #take(file: string, stamp: string, result: ReadResult | undefined): void {
    if (result === undefined || this.#stopped) return;
    this.#stamps.set(file, stamp);
    if ('text' in result) this.#files.read(file, result.text);
    else this.#files.readFailed(file, result.problem);
  }

  #removeMissing(stamps: ReadonlyMap<string, string>): void {
    const now = this.#clock.now();
    for (const file of this.#stamps.keys()) {
      if (stamps.has(file)) {
        this.#missingSince.delete(file);
        continue;
      }
      const since = this.#missingSince.get(file) ?? now;
      this.#missingSince.set(file, since);
      if (now - since < removalGraceMs) continue;
      this.#files.remove(file);
      this.#stamps.delete(file);
      this.#missingSince.delete(file);
    }
  }

  #tellAboutPath(handler: SourceHandler, problem: string | undefined): boolean {
    if ((problem ?? '') === this.#toldAboutPath) return false;
    this.#toldAboutPath = problem ?? '';
    const diagnostics: readonly Diagnostic[] =
      problem === undefined ? [] : [fileDiagnostic(this.#path, 'warning', problem)];
    handler.diagnostics(`manifests ${this.#path}`, diagnostics);
    return true;
  }

  #tell(handler: SourceHandler, { objects, diagnostics }: FilesChange): boolean {
    for (const { before, after } of objects) {
      if (after !== undefined) handler.upsert(after);
      else if (before !== undefined) handler.delete(before.kind, before.namespace, before.name);
    }
    for (const [file, list] of diagnostics) handler.diagnostics(file, list);
    return objects.length > 0 || diagnostics.size > 0;
  }
}

type FoundFiles = { readonly stamps: ReadonlyMap<string, string> } | { readonly problem: string };

/** A folder that is gone or locked says nothing about the objects, so they stay. */
async function listOrProblem(folder: ManifestFolder): Promise<FoundFiles> {
  try {
    return { stamps: await folder.list() };
  } catch (error) {
    if (isSystemError(error)) return { problem: error.message };
    throw error;
  }
}

function pathProblem(folder: ManifestFolder, found: FoundFiles, watcher: FolderWatcher): string | undefined {
  if ('problem' in found) return `${found.problem}; what was read before stays in effect`;
  if (found.stamps.size === 0) return `there is no manifest in ${folder.path}`;
  return watcher.problem && `changes are noticed only every two seconds: ${watcher.problem}`;
}

type ReadResult = { readonly text: string } | { readonly problem: string };

/** `undefined` when the file has gone in the meantime: the next look will find it missing. */
async function readText(file: string): Promise<ReadResult | undefined> {
  try {
    return { text: await readFile(file, 'utf8') };
  } catch (error) {
    return isGone(error)
      ? undefined
      : { problem: `${messageOf(error)}; what it gave before stays in effect` };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
