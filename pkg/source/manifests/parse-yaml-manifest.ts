import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type Node, parseAllDocuments } from 'yaml';
import type { FieldKey } from './field-path.ts';
import { LineStarts } from './line-starts.ts';
import type { ManifestDocument, ParsedManifest, SyntaxProblem } from './manifest-document.ts';

/**
 * Parses each document by itself, so that a broken one can't take its neighbours along. `---` at the beginning of a line ends
 * a document whatever stands before it (YAML 1.2 §9.1.2), even inside quotes or brackets. Of a broken document
 * only the first error is told: the others mostly follow from it.
 */
export function parseYamlManifest(text: string): ParsedManifest {
  const lines = new LineStarts(text);
  const documents: ManifestDocument[] = [];
  const problems: SyntaxProblem[] = [];
  for (const [start, end] of documentRanges(text)) {
    for (const document of parseAllDocuments(text.slice(start, end), { merge: true, prettyErrors: false })) {
      const value = toPlainValue(document);
      if ('problem' in value) {
        problems.push({ message: value.problem, position: lines.position(start + value.offset) });
      } else if (value.plain !== null && value.plain !== undefined) {
        const locate = (keys: readonly FieldKey[]) => lines.position(start + nodeOffset(document, keys));
        documents.push({ value: value.plain, locate });
      }
    }
  }
  return { documents, problems };
}

type PlainValue = { readonly plain: unknown } | { readonly problem: string; readonly offset: number };

function toPlainValue(document: Document): PlainValue {
  const error = document.errors[0];
  if (error !== undefined) return { problem: firstLine(error.message), offset: error.pos[0] };
  try {
    return { plain: document.toJS() };
  } catch (thrown) {
    // An alias without anchor, or so many of them that the document would explode.
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return { problem: firstLine(message), offset: document.contents?.range?.[0] ?? 0 };
  }
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}

function* documentRanges(text: string): Generator<readonly [number, number]> {
  let start = 0;
  for (const { index } of text.matchAll(/^---(?=\s|$)/gm)) {
    // Directives and comments belong to the document that follows.
    if (isPreamble(text.slice(start, index))) continue;
    yield [start, index];
    start = index;
  }
  yield [start, text.length];
}

function isPreamble(text: string): boolean {
  return text.split('\n').every((line) => line.trim() === '' || line.startsWith('%') || line.startsWith('#'));
}

function nodeOffset(document: Document, keys: readonly FieldKey[]): number {
  let offset = document.contents?.range?.[0] ?? 0;
  let node: unknown = document.contents;
  for (const key of keys) {
    const child = childNode(resolved(document, node), key);
    if (child === undefined) break;
    offset = child.offset;
    node = child.node;
  }
  return offset;
}

function resolved(document: Document, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

function childNode(
  parent: unknown,
  key: FieldKey,
): { readonly node: unknown; readonly offset: number } | undefined {
  if (isSeq(parent)) {
    const node = typeof key === 'number' ? parent.items[key] : undefined;
    return isNode(node) ? { node, offset: offsetOf(node) } : undefined;
  }
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
  if (pair === undefined) return undefined;
  // A block collection begins on the line after its key; the key is what a person looks for.
  const { key: keyNode, value } = pair as { readonly key: Node; readonly value: unknown };
  return { node: value, offset: offsetOf(isScalar(value) ? value : keyNode) };
}

function offsetOf(node: Node): number {
  return node.range?.[0] ?? 0;
}
