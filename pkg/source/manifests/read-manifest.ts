import { type ApiObject, type Diagnostic, decodeObject } from '../../api/index.ts';
import { type FieldKey, fieldKeys } from './field-path.ts';
import type { Position } from './line-starts.ts';
import type { ManifestDocument } from './manifest-document.ts';
import { parseManifest } from './parse-manifest.ts';

/** `kind namespace/name`: the identity of an object across files. */
export type ObjectKey = string & { readonly __brand: 'ObjectKey' };

function objectKey(object: {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}): ObjectKey {
  return `${object.kind} ${object.namespace}/${object.name}` as ObjectKey;
}

export interface FileObject {
  readonly object: ApiObject;
  readonly position: Position;
}

/** What one file says. */
export interface ManifestContent {
  readonly objects: ReadonlyMap<ObjectKey, FileObject>;
  readonly diagnostics: readonly Diagnostic[];
  /** Named in the file, but not usable at all. */
  readonly unusable: ReadonlySet<ObjectKey>;
  /** Something in the file can't even be named, so nobody knows which objects are missing. */
  readonly broken: boolean;
  /** How many objects are nothing for Weir, by the reason. */
  readonly ignored: ReadonlyMap<string, number>;
}

/** Finding the places of all objects is for messages only, so a huge dump goes without. */
const largestLocated = 4_000_000;

/** Reads one file's text. Never throws: what is wrong becomes a diagnostic with file, line and column. */
export function readManifest(file: string, text: string): ManifestContent {
  return new ManifestReader(file, text).read();
}

class ManifestReader {
  readonly #file: string;
  readonly #text: string;
  readonly #objects = new Map<ObjectKey, FileObject>();
  readonly #diagnostics: Diagnostic[] = [];
  readonly #unusable = new Set<ObjectKey>();
  readonly #ignored = new Map<string, number>();
  #broken = false;

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
  }

  read(): ManifestContent {
    const { documents, problems } = parseManifest(this.#text);
    for (const { message, position } of problems) {
      this.#broken = true;
      this.#diagnostics.push(fileDiagnostic(this.#file, 'error', message, position));
    }
    for (const document of documents) this.#readObject(document, document.value, []);
    return {
      objects: this.#objects,
      diagnostics: this.#diagnostics.toSorted(byPosition),
      unusable: this.#unusable,
      broken: this.#broken,
      ignored: this.#ignored,
    };
  }

  #readObject(document: ManifestDocument, raw: unknown, at: readonly FieldKey[]): void {
    const items = listItems(raw);
    if (items !== undefined) {
      for (const [index, item] of items.entries()) this.#readObject(document, item, [...at, 'items', index]);
      return;
    }
    const result = decodeObject(raw);
    switch (result.outcome) {
      case 'ignored':
        this.#ignored.set(result.reason, (this.#ignored.get(result.reason) ?? 0) + 1);
        break;
      case 'invalid':
        this.#addDiagnostics(document, result.diagnostics, at);
        this.#noteUnusable(result.diagnostics);
        break;
      case 'object':
        this.#addDiagnostics(document, result.diagnostics, at);
        this.#addObject(document, result.object, at);
        break;
    }
  }

  #addObject(document: ManifestDocument, object: ApiObject, at: readonly FieldKey[]): void {
    const key = objectKey(object);
    const former = this.#objects.get(key);
    const located = former !== undefined || this.#text.length <= largestLocated;
    const position = located ? document.locate(at) : { line: 1, column: 1 };
    if (former === undefined) this.#objects.set(key, { object, position });
    else
      this.#diagnostics.push(
        duplicateDiagnostic(this.#file, { object, position }, this.#file, former.position),
      );
  }

  #addDiagnostics(
    document: ManifestDocument,
    diagnostics: readonly Diagnostic[],
    at: readonly FieldKey[],
  ): void {
    for (const diagnostic of diagnostics) {
      const position = document.locate([...at, ...fieldKeys(diagnostic.field)]);
      this.#diagnostics.push({ ...diagnostic, location: { file: this.#file, ...position } });
    }
  }

  #noteUnusable(diagnostics: readonly Diagnostic[]): void {
    const named = diagnostics.find(({ kind, name }) => kind !== '' && name !== '');
    if (named === undefined) this.#broken = true;
    else this.#unusable.add(objectKey(named));
  }
}

/**
 * The items of a `List`, or of a list of one kind (`ServiceList`), whose items the API server sends without kind and
 * apiVersion; `undefined` for anything else.
 */
function listItems(raw: unknown): readonly unknown[] | undefined {
  if (typeof raw !== 'object' || raw === null || !('kind' in raw) || !('items' in raw)) return undefined;
  const { kind, items } = raw;
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items)) return undefined;
  if (kind === 'List') return items as readonly unknown[];
  const apiVersion = 'apiVersion' in raw ? raw.apiVersion : undefined;
  return items.map((item: unknown) => withType(item, apiVersion, kind.slice(0, -'List'.length)));
}

function withType(item: unknown, apiVersion: unknown, kind: string): unknown {
  if (typeof item !== 'object' || item === null || Array.isArray(item) || 'kind' in item) return item;
  return { ...item, apiVersion, kind };
}

export function fileDiagnostic(
  file: string,
  severity: Diagnostic['severity'],
  message: string,
  position?: Position,
): Diagnostic {
  const nowhere = { severity, kind: '', namespace: '', name: '', field: '', message };
  return { ...nowhere, location: { file, ...(position ?? { line: 1, column: 1 }) } };
}

/** Says that `loser` is not in effect because the same object stands somewhere else too. */
export function duplicateDiagnostic(
  file: string,
  loser: FileObject,
  winnerFile: string,
  winner: Position,
): Diagnostic {
  const { kind, namespace, name } = loser.object;
  const message = `the same object stands at ${winnerFile}:${winner.line}:${winner.column}, which counts`;
  return {
    severity: 'error',
    kind,
    namespace,
    name,
    field: '',
    message,
    location: { file, ...loser.position },
  };
}

/** Order of all lists of diagnostics of one file. */
export function byPosition({ location: a }: Diagnostic, { location: b }: Diagnostic): number {
  if (a === undefined || b === undefined) return 0;
  return a.line - b.line || a.column - b.column;
}
