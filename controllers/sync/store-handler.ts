import type { ApiObject, Diagnostic } from '../../pkg/api/index.ts';
import type { Store } from '../../pkg/cache/index.ts';
import type { SourceHandler } from '../../pkg/source/index.ts';

/** What became of one object. `after` is missing where it is gone, `before` where it is new. */
export interface ObjectChange {
  readonly before: ApiObject | undefined;
  readonly after: ApiObject | undefined;
  /** As the source tells it. */
  readonly triggeredAt?: number | undefined;
}

export interface StoreHandlerOptions {
  readonly store: Store;
  readonly diagnostics: (origin: string, diagnostics: readonly Diagnostic[]) => void;
  readonly changed?: (change: ObjectChange) => void;
  readonly settled?: () => void;
}

/** Fills the store with what a source tells. */
export function storeHandler({ store, diagnostics, changed, settled }: StoreHandlerOptions): SourceHandler {
  return {
    upsert: (object, triggeredAt) => {
      const before = store.get(object.kind, object.namespace, object.name);
      if (store.upsert(object)) changed?.({ before, after: object, triggeredAt });
    },
    delete: (kind, namespace, name) => {
      const before = store.get(kind, namespace, name);
      if (store.remove(kind, namespace, name)) changed?.({ before, after: undefined });
    },
    // Whoever starts the source waits for that.
    synced: () => undefined,
    diagnostics,
    settled: () => settled?.(),
  };
}
