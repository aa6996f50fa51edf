import type { ApiObject, Diagnostic, ObjectKind } from '../api/index.ts';

/** What a source tells. Handlers are synchronous and only note what changed. */
export interface SourceHandler {
  /**
   * An object is there or has changed. `triggeredAt`: when the cause of an EndpointSlice's change happened, as its annotation
   * `endpoints.kubernetes.io/last-change-trigger-time` says, in milliseconds since 1970.
   */
  upsert(object: ApiObject, triggeredAt?: number): void;
  /** An object is gone. `namespace` is empty for cluster-wide kinds. */
  delete(kind: ObjectKind, namespace: string, name: string): void;
  /** Every kind has delivered its first complete state. Called once. */
  synced(): void;
  /** All that is wrong now with one origin (a file, a kind): replaces what was said of it before; empty when all is well. */
  diagnostics(origin: string, diagnostics: readonly Diagnostic[]): void;
  /** A batch of changes ends here: everything that one look at the origin showed has been told. */
  settled(): void;
}

/** Where objects come from. */
export interface Source {
  /** Resolves when the first complete state has been told; rejects when that can't be had. */
  start(handler: SourceHandler): Promise<void>;
  stop(): Promise<void>;
}
