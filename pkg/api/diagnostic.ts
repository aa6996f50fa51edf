/** Where in a file a value stands; line and column count from 1. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type Severity = 'error' | 'warning' | 'hint';

/**
 * Something a person should know about one object. A value, never an exception: the rest of the object and
 * all other objects go on.
 * `error`: this part of the object is not in effect. `warning`: in effect, but probably not as meant.
 * `hint`: worth knowing.
 */
export interface Diagnostic {
  readonly severity: Severity;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Path in the object as kubectl prints it: `spec.ports[0].port`; empty for the object as a whole. */
  readonly field: string;
  readonly message: string;
  readonly location?: SourceLocation;
}
