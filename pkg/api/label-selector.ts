import type { Json, JsonReader, Path } from './json-reader.ts';
import type { LabelRequirement, LabelSelector } from './meta.ts';
import { reportUnknownFields } from './unknown-fields.ts';

/** Selects everything: what a LabelSelector without any part means. */
export const everything: LabelSelector = Object.freeze({
  matchLabels: Object.freeze({}),
  matchExpressions: Object.freeze([]),
});

/**
 * The selector under `key`; `undefined` when it is missing or when any part of it can't be read (reported): a selector
 * without one of its requirements would select more than it says.
 */
export function readLabelSelector(
  reader: JsonReader,
  from: Json,
  key: string,
  parent: Path,
): LabelSelector | undefined {
  const before = reader.errors;
  const selector = reader.record(from, key, parent);
  if (selector === undefined) return undefined;
  const path: Path = { parent, key };
  reportUnknownFields(reader, selector, ['matchLabels', 'matchExpressions'], path);
  const matchLabels = reader.labels(selector, 'matchLabels', path);
  const matchExpressions: LabelRequirement[] = [];
  for (const [index, value] of reader.list(selector, 'matchExpressions', path).entries()) {
    const requirement = readRequirement(reader, value, {
      parent: { parent: path, key: 'matchExpressions' },
      key: index,
    });
    if (requirement !== undefined) matchExpressions.push(requirement);
  }
  return reader.errors > before ? undefined : { matchLabels, matchExpressions };
}

function readRequirement(reader: JsonReader, value: unknown, path: Path): LabelRequirement | undefined {
  const entry = reader.element(value, path);
  if (entry === undefined) return undefined;
  const before = reader.errors;
  reportUnknownFields(reader, entry, ['key', 'operator', 'values'], path);
  const key = reader.text(entry, 'key', path) ?? '';
  const operator = reader.choice(entry, 'operator', path, ['In', 'NotIn', 'Exists', 'DoesNotExist']);
  const values = reader.texts(entry, 'values', path);
  if (reader.errors > before) return undefined;
  if (key === '') {
    reader.error(path, 'key', 'a requirement needs a label key');
    return undefined;
  }
  if (operator === undefined) {
    reader.error(path, 'operator', 'a requirement needs an operator: In, NotIn, Exists or DoesNotExist');
    return undefined;
  }
  if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length === 0) return { key, operator };
    reader.error(path, 'values', `${operator} takes no values`);
    return undefined;
  }
  if (values.length > 0) return { key, operator, values };
  reader.error(path, 'values', `${operator} needs at least one value`);
  return undefined;
}
