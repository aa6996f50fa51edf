import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type YAMLMap,
} from 'yaml';

/** What a person calls the place: `config.conf:12:3`. */
export type Location = string;

interface FilePlace {
  readonly location: Location;
  /** Offset in the file, for the order of what is said. */
  readonly offset: number;
}

export interface Field extends FilePlace {
  /** As plain data. Never null: what is null is not given. */
  readonly value: unknown;
  /** Where the entries of a list are. */
  readonly entries: readonly FilePlace[];
}

/** A line about the file. */
export interface Remark {
  readonly text: string;
  readonly offset: number;
}

/** What a configuration file holds, each of its two kinds as dotted field → value. */
export interface ConfigFile {
  readonly kubeProxy: ReadonlyMap<string, Field>;
  readonly weir: ReadonlyMap<string, Field>;
  /** Unknown and duplicate fields: said, and passed over. */
  readonly warnings: readonly Remark[];
  /** What makes the file unusable. */
  readonly errors: readonly Remark[];
}

/** The dotted fields that each kind has. */
export interface KnownFields {
  readonly kubeProxy: ReadonlySet<string>;
  readonly weir: ReadonlySet<string>;
}

const kinds = {
  kubeProxy: { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration' },
  weir: { apiVersion: 'weir.dev/v1alpha1', kind: 'WeirConfiguration' },
} as const;

export const { kubeProxy: kubeProxyKind, weir: weirKind } = kinds;

/** Reads a file of YAML (or JSON) with a document of either kind, or of both. `path` is only for what is said about it. */
export function readConfigFile(path: string, text: string, known: KnownFields): ConfigFile {
  const lines = new LineCounter();
  const reader = new Reader(path, lines);
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  for (const document of documents) reader.read(document, known);
  reader.expectSome();
  return reader;
}

class Reader implements ConfigFile {
  readonly kubeProxy = new Map<string, Field>();
  readonly weir = new Map<string, Field>();
  readonly warnings: Remark[] = [];
  readonly errors: Remark[] = [];
  readonly #path: string;
  readonly #lines: LineCounter;
  readonly #seen = new Set<string>();

  constructor(path: string, lines: LineCounter) {
    this.#path = path;
    this.#lines = lines;
  }

  read(document: Document, known: KnownFields): void {
    const problem = problemOf(document);
    const root = document.contents;
    if (problem !== undefined) {
      this.#say(this.errors, problem.offset, problem.text.split('\n', 1)[0] ?? problem.text);
    } else if (isMap(root)) {
      this.#readKind(document, root, known);
    } else if (root !== null && !(isScalar(root) && root.value === null)) {
      this.#say(this.errors, offsetOf(root), `must be a ${kinds.kubeProxy.kind} or a ${kinds.weir.kind}`);
    }
  }

  expectSome(): void {
    if (this.#seen.size > 0 || this.errors.length > 0) return;
    this.#say(this.errors, 0, `holds neither a ${kinds.kubeProxy.kind} nor a ${kinds.weir.kind}`);
  }

  #readKind(document: Document, root: YAMLMap, known: KnownFields): void {
    const apiVersion = root.get('apiVersion');
    const kind = root.get('kind');
    const name = (['kubeProxy', 'weir'] as const).find(
      (name) => kinds[name].apiVersion === apiVersion && kinds[name].kind === kind,
    );
    if (name === undefined) {
      const [wanted, other] = Object.values(kinds).map(
        (one) => `apiVersion ${one.apiVersion}, kind ${one.kind}`,
      );
      const got = `apiVersion ${JSON.stringify(apiVersion ?? '')}, kind ${JSON.stringify(kind ?? '')}`;
      this.#say(this.errors, offsetOf(root), `is ${got}; expected is ${wanted}, or ${other}`);
    } else if (this.#seen.has(name)) {
      this.#say(this.errors, offsetOf(root), `is a second ${kinds[name].kind}`);
    } else {
      this.#seen.add(name);
      this.#readFields({ document, fields: this[name], known: known[name] }, root, '');
    }
  }

  #readFields(
    into: { document: Document; fields: Map<string, Field>; known: ReadonlySet<string> },
    map: YAMLMap,
    parent: string,
  ): void {
    const seen = new Set<string>();
    for (const { key, value } of map.items) {
      const name = isScalar(key) ? String(key.value) : '';
      const field = `${parent}${name}`;
      const offset = offsetOf(key);
      if (seen.has(name)) this.#say(this.warnings, offset, `duplicate field ${field}: the last one counts`);
      seen.add(name);
      if (parent === '' && (name === 'apiVersion' || name === 'kind')) continue;
      const node = isAlias(value) ? value.resolve(into.document) : value;
      if (into.known.has(field)) this.#readField(into, field, node, offset);
      else if (!isSection(into.known, field)) this.#say(this.warnings, offset, `unknown field ${field}`);
      else if (isMap(node)) this.#readFields(into, node, `${field}.`);
      else if (isNode(node) && plain(node, into.document) !== null) {
        this.#say(this.errors, offsetOf(node), `${field}: must be a mapping`);
      }
    }
  }

  #readField(
    { document, fields }: { document: Document; fields: Map<string, Field> },
    field: string,
    node: unknown,
    keyOffset: number,
  ): void {
    const value = isNode(node) ? plain(node, document) : null;
    if (value === null || value === undefined) {
      fields.delete(field);
      return;
    }
    // A block list begins on the line after its key; the key is what a person looks for.
    const place = this.#place(isScalar(node) ? offsetOf(node) : keyOffset);
    const entries = isSeq(node) ? node.items.map((item) => this.#place(offsetOf(item))) : [];
    fields.set(field, { ...place, value, entries });
  }

  #place(offset: number): FilePlace {
    return { offset, location: this.#location(offset) };
  }

  #say(remarks: Remark[], offset: number, text: string): void {
    remarks.push({ offset, text: `${this.#location(offset)}: ${text}` });
  }

  #location(offset: number): Location {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.#path}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  }
}

/** Of a document that is no YAML only the first error is told: the others mostly follow from it. */
function problemOf(document: Document): Remark | undefined {
  const [error] = document.errors;
  if (error !== undefined) return { text: error.message, offset: error.pos[0] };
  try {
    document.toJS();
    return undefined;
  } catch (thrown) {
    // An alias without anchor, or so many of them that the document would explode.
    return {
      text: thrown instanceof Error ? thrown.message : String(thrown),
      offset: offsetOf(document.contents),
    };
  }
}

function isSection(known: ReadonlySet<string>, field: string): boolean {
  return [...known].some((one) => one.startsWith(`${field}.`));
}

function plain(node: Node, document: Document): unknown {
  return node.toJS(document) as unknown;
}

function offsetOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}
