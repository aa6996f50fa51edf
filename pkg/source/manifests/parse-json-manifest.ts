import type { FieldKey } from './field-path.ts';
import { elementOffsets, jsonOffset } from './json-offsets.ts';
import { LineStarts } from './line-starts.ts';
import type { ParsedManifest } from './manifest-document.ts';

/** `undefined` when the text is not one JSON object. JSON is YAML: the other parser then finds the error and its place. */
export function parseJsonManifest(text: string): ParsedManifest | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return { documents: [{ value, locate: locator(text) }], problems: [] };
}

/** The places of a list's items are found once for all: a dump has thousands of them. */
function locator(text: string): ParsedManifest['documents'][number]['locate'] {
  const lines = new LineStarts(text);
  let items: readonly number[] | undefined;
  return (keys: readonly FieldKey[]) => {
    const [first, index, ...rest] = keys;
    if (first !== 'items' || typeof index !== 'number') return lines.position(jsonOffset(text, 0, keys));
    items ??= elementOffsets(text, jsonOffset(text, 0, ['items']));
    const item = items[index];
    return lines.position(item === undefined ? jsonOffset(text, 0, []) : jsonOffset(text, item, rest));
  };
}
