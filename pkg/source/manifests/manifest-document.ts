import type { FieldKey } from './field-path.ts';
import type { Position } from './line-starts.ts';

/** One document of a file as plain data. */
export interface ManifestDocument {
  readonly value: unknown;
  /** Where the value under `keys` stands, or the nearest thing above it that is there. Holds on to the text: don't keep it. */
  readonly locate: (keys: readonly FieldKey[]) => Position;
}

/** A document that is no YAML or JSON. */
export interface SyntaxProblem {
  readonly message: string;
  readonly position: Position;
}

export interface ParsedManifest {
  /** Without empty documents. */
  readonly documents: readonly ManifestDocument[];
  readonly problems: readonly SyntaxProblem[];
}
