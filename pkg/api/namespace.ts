import type { Json, JsonReader } from './json-reader.ts';
import type { Labels } from './meta.ts';
import { metadataOf, metadataPath } from './object-name.ts';

/** core/v1 Namespace. `kubernetes.io/metadata.name` is always among the labels. */
export interface Namespace {
  readonly kind: 'Namespace';
  readonly name: string;
  readonly namespace: '';
  readonly labels: Labels;
}

export function decodeNamespace(reader: JsonReader, raw: Json): Namespace {
  const labels = reader.labels(metadataOf(raw), 'labels', metadataPath);
  return {
    kind: 'Namespace',
    name: reader.name,
    namespace: '',
    labels: { ...labels, 'kubernetes.io/metadata.name': reader.name },
  };
}
