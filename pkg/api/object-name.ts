import { describe, isJson, type Json, type JsonReader, type Path } from './json-reader.ts';

export const metadataPath: Path = { parent: undefined, key: 'metadata' };

/** RFC 1123 subdomain, which every name of the kinds Weir reads is. */
const dnsName = /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/;
/** What may stand in a rule's comment or a log line without quoting; no `/`, which separates namespace and name. */
const harmlessName = /^[\w.:-]+$/;
const longestName = 253;

/**
 * Reads namespace and name into the reader; false when the object can't be named and has to be dropped. Objects of a
 * namespaced kind without namespace are in `default`, as kubectl puts them. A name that the API server would refuse
 * but that does no harm is kept with a warning: a policy is not skipped over its spelling.
 */
export function readObjectName(reader: JsonReader, raw: Json, namespaced: boolean): boolean {
  const metadata = raw['metadata'];
  if (!isJson(metadata)) {
    reader.error(undefined, 'metadata', `expected an object with a name, not ${describe(metadata)}`);
    return false;
  }
  const name = readName(reader, metadata, 'name');
  if (name === undefined || name === '') {
    if (name === '' || reader.errors === 0) reader.error(metadataPath, 'name', 'an object needs a name');
    return false;
  }
  reader.name = name;
  if (!namespaced) return true;

  const namespace = readName(reader, metadata, 'namespace');
  if (reader.errors > 0) return false;
  reader.namespace = namespace === undefined || namespace === '' ? 'default' : namespace;
  return true;
}

function readName(reader: JsonReader, metadata: Json, key: 'name' | 'namespace'): string | undefined {
  const name = reader.text(metadata, key, metadataPath);
  if (name === undefined || name === '') return name;
  if (name.length > longestName) {
    reader.error(metadataPath, key, `${describe(name)} is longer than ${longestName} characters`);
    return undefined;
  }
  if (dnsName.test(name)) return name;
  const problem = `${describe(name)} is not a lower-case DNS name`;
  if (harmlessName.test(name)) {
    reader.report('warning', metadataPath, key, `${problem}; the API server would refuse it`);
    return name;
  }
  reader.error(metadataPath, key, problem);
  return undefined;
}

/** `metadata`, which `readObjectName` has seen to be an object. */
export function metadataOf(raw: Json): Json {
  return raw['metadata'] as Json;
}
