import type { Json, JsonReader, Path } from './json-reader.ts';

/**
 * Reports fields that this version of the API does not have. Inside a rule that is an error: a misspelt `from`, or a
 * narrowing that a later API adds, would otherwise leave a rule that allows everybody.
 */
export function reportUnknownFields(
  reader: JsonReader,
  from: Json,
  known: readonly string[],
  path: Path,
  severity: 'error' | 'warning' = 'error',
): void {
  for (const key of Object.keys(from)) {
    if (!known.includes(key)) reader.report(severity, path, key, 'unknown field');
  }
}
