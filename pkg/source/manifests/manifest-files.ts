import { type ApiObject, type Diagnostic, equalObjects } from '../../api/index.ts';
import { DerivedSlices, type ObjectChange } from './derived-slices.ts';
import {
  byPosition,
  duplicateDiagnostic,
  type FileObject,
  fileDiagnostic,
  type ManifestContent,
  type ObjectKey,
  readManifest,
} from './read-manifest.ts';

/** What the handler has to be told. */
export interface FilesChange {
  readonly objects: readonly ObjectChange[];
  /** By file; an empty list where all is well now. Only files of which something else is to be said than before. */
  readonly diagnostics: ReadonlyMap<string, readonly Diagnostic[]>;
}

interface FileState {
  readonly objects: ReadonlyMap<ObjectKey, FileObject>;
  readonly diagnostics: readonly Diagnostic[];
  readonly ignored: ReadonlyMap<string, number>;
}

const nothing: FileState = { objects: new Map(), diagnostics: [], ignored: new Map() };

/**
 * The objects of all files together. Of an object that stands in several files, the first file by name counts.
 * Pure state: who reads the files is another matter.
 */
export class ManifestFiles {
  readonly #files = new Map<string, FileState>();
  /** Which files hold an object, sorted. */
  readonly #holders = new Map<ObjectKey, readonly string[]>();
  /** Objects that stand in more than one file. */
  readonly #contested = new Set<ObjectKey>();
  readonly #current = new Map<ObjectKey, ApiObject>();
  readonly #derived = new DerivedSlices();
  readonly #touchedKeys = new Set<ObjectKey>();
  readonly #touchedFiles = new Set<string>();
  readonly #told = new Map<string, readonly Diagnostic[]>();

  /** How many objects were nothing for Weir, by the reason. */
  get ignored(): ReadonlyMap<string, number> {
    const total = new Map<string, number>();
    for (const { ignored } of this.#files.values()) {
      for (const [reason, count] of ignored) total.set(reason, (total.get(reason) ?? 0) + count);
    }
    return total;
  }

  /** A file has this text now. */
  read(file: string, text: string): void {
    const former = this.#files.get(file);
    if (former !== undefined && former.objects.size > 0 && text.trim() === '') {
      this.readFailed(
        file,
        'is empty, which looks half-saved; what it gave before stays in effect until the file is deleted',
      );
      return;
    }
    this.#replace(file, keepingLost(file, readManifest(file, text), former ?? nothing));
  }

  /** A file is there but can't be read: what it gave before stays. */
  readFailed(file: string, message: string): void {
    const former = this.#files.get(file) ?? nothing;
    this.#replace(file, { ...former, diagnostics: [fileDiagnostic(file, 'error', message)] });
  }

  remove(file: string): void {
    if (this.#files.has(file)) this.#replace(file, nothing);
    this.#files.delete(file);
  }

  /** All that changed since the last call. */
  settle(): FilesChange {
    const objects: ObjectChange[] = [];
    for (const key of this.#touchedKeys) {
      const before = this.#current.get(key);
      const after = this.#winner(key)?.object;
      if (before !== undefined && after !== undefined && equalObjects(before, after)) continue;
      if (after === undefined) this.#current.delete(key);
      else this.#current.set(key, after);
      if (before !== undefined || after !== undefined) objects.push({ before, after });
    }
    this.#touchedKeys.clear();
    for (const change of objects) this.#derived.note(change);
    return { objects: [...objects, ...this.#derived.settle()], diagnostics: this.#settleDiagnostics() };
  }

  #replace(file: string, state: FileState): void {
    const former = this.#files.get(file) ?? nothing;
    this.#files.set(file, state);
    this.#touchedFiles.add(file);
    for (const key of former.objects.keys()) {
      if (!state.objects.has(key)) this.#setHolders(key, file, false);
    }
    for (const key of state.objects.keys()) this.#setHolders(key, file, true);
  }

  #setHolders(key: ObjectKey, file: string, holds: boolean): void {
    this.#touchedKeys.add(key);
    const before = this.#holders.get(key) ?? [];
    const others = before.filter((other) => other !== file);
    const after = holds ? [...others, file].toSorted() : others;
    if (after.length === 0) this.#holders.delete(key);
    else this.#holders.set(key, after);
    if (after.length > 1) this.#contested.add(key);
    else this.#contested.delete(key);
    // Who wins or loses against whom may be news for the other files too.
    for (const other of others) this.#touchedFiles.add(other);
  }

  #winner(key: ObjectKey): FileObject | undefined {
    const file = this.#holders.get(key)?.[0];
    return file === undefined ? undefined : this.#files.get(file)?.objects.get(key);
  }

  #settleDiagnostics(): ReadonlyMap<string, readonly Diagnostic[]> {
    const news = new Map<string, readonly Diagnostic[]>();
    for (const file of [...this.#touchedFiles].toSorted()) {
      const before = this.#told.get(file) ?? [];
      const after = this.#diagnosticsOf(file);
      if (JSON.stringify(before) === JSON.stringify(after)) continue;
      if (after.length === 0) this.#told.delete(file);
      else this.#told.set(file, after);
      news.set(file, after);
    }
    this.#touchedFiles.clear();
    return news;
  }

  #diagnosticsOf(file: string): readonly Diagnostic[] {
    const state = this.#files.get(file) ?? nothing;
    const duplicates: Diagnostic[] = [];
    for (const [key, loser] of state.objects) {
      const first = this.#holders.get(key)?.[0];
      const winner =
        first === undefined || first === file ? undefined : this.#files.get(first)?.objects.get(key);
      if (first !== undefined && winner !== undefined) {
        duplicates.push(duplicateDiagnostic(file, loser, first, winner.position));
      }
    }
    return [...state.diagnostics, ...duplicates].toSorted(byPosition);
  }
}

/**
 * A file that is being saved, or saved badly, must not take objects away: without a policy its pods are open. Objects that it
 * gave before and gives no more stay as long as something in the file can't even be named, and so does an object that
 * is named but unusable.
 */
function keepingLost(file: string, content: ManifestContent, former: FileState): FileState {
  const objects = new Map(content.objects);
  const diagnostics = [...content.diagnostics];
  for (const [key, entry] of former.objects) {
    if (objects.has(key) || !(content.broken || content.unusable.has(key))) continue;
    objects.set(key, entry);
    const { kind, namespace, name } = entry.object;
    const message = 'can not be read any more; what it said before stays in effect';
    const location = { file, ...entry.position };
    diagnostics.push({ severity: 'warning', kind, namespace, name, field: '', message, location });
  }
  return { objects, diagnostics, ignored: content.ignored };
}
