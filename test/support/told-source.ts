import type { ApiObject, Diagnostic, ObjectKind } from '../../pkg/api/index.ts';
import type { SourceHandler } from '../../pkg/source/index.ts';

/** A handler that keeps what it was told. */
export class ToldSource implements SourceHandler {
  /** `kind namespace/name` → the object as it was told last. */
  readonly objects = new Map<string, ApiObject>();
  /** Origin → what is wrong with it now. */
  readonly problems = new Map<string, readonly Diagnostic[]>();
  /** In order: `+ kind namespace/name`, `- kind namespace/name`, `synced`, `settled`, `? origin`. */
  readonly log: string[] = [];
  readonly triggers: (readonly [string, number])[] = [];

  upsert(object: ApiObject, triggeredAt?: number): void {
    const key = keyOf(object.kind, object.namespace, object.name);
    this.objects.set(key, object);
    this.log.push(`+ ${key}`);
    if (triggeredAt !== undefined) this.triggers.push([key, triggeredAt]);
  }

  delete(kind: ObjectKind, namespace: string, name: string): void {
    const key = keyOf(kind, namespace, name);
    this.objects.delete(key);
    this.log.push(`- ${key}`);
  }

  synced(): void {
    this.log.push('synced');
  }

  diagnostics(origin: string, diagnostics: readonly Diagnostic[]): void {
    if (diagnostics.length === 0) this.problems.delete(origin);
    else this.problems.set(origin, diagnostics);
    this.log.push(`? ${origin}`);
  }

  settled(): void {
    this.log.push('settled');
  }

  /** What was told since the last call. */
  takeLog(): readonly string[] {
    return this.log.splice(0);
  }

  /** The names of the objects of a kind, sorted. */
  names(kind: ObjectKind): readonly string[] {
    const objects = [...this.objects.values()].filter((object) => object.kind === kind);
    return objects.map(({ name }) => name).toSorted();
  }
}

function keyOf(kind: ObjectKind, namespace: string, name: string): string {
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}
