import { type ApiObject, type Diagnostic, decodeAs, type ObjectKind } from '../../api/index.ts';
import type { SourceHandler } from '../source.ts';
import { compactObject } from './compact-object.ts';
import { ObjectVersions } from './object-versions.ts';
import type { SharedValues } from './shared-values.ts';
import type { WireIdentity } from './wire-object.ts';

type Name = Pick<WireIdentity, 'namespace' | 'name'>;
type Told = Pick<SourceHandler, 'upsert' | 'delete' | 'diagnostics'>;

/**
 * Which objects of one kind the API server has, and in which version the handler knows them: as much as it takes to tell
 * only what differs. The objects themselves are the handler's.
 */
export class KnownObjects {
  readonly #kind: ObjectKind;
  readonly #handler: Told;
  readonly #shared: SharedValues;
  #versions = new ObjectVersions();
  /** While a list is read: what was known and has not been in it so far. */
  #former: ObjectVersions | undefined;
  /** Known, but not with the handler: nothing for Weir, or never readable. */
  readonly #untold = new Set<string>();
  /** Origins of which something is said to be wrong. */
  readonly #diagnosed = new Set<string>();
  #changes = 0;

  constructor(kind: ObjectKind, handler: Told, shared: SharedValues) {
    this.#kind = kind;
    this.#handler = handler;
    this.#shared = shared;
  }

  get size(): number {
    return this.#versions.size + (this.#former?.size ?? 0);
  }

  /** Whether the handler was told anything since the last call. */
  takeChanged(): boolean {
    const changed = this.#changes > 0;
    this.#changes = 0;
    return changed;
  }

  /** A list begins, or begins anew: only what it has from here on is there. */
  beginList(): void {
    this.abandonList();
    this.#former = this.#versions;
    this.#versions = new ObjectVersions();
  }

  /** The list is complete: what it did not have is gone. */
  endList(): void {
    const vanished = this.#former;
    this.#former = undefined;
    for (const identity of vanished ?? []) this.#forget(identity);
  }

  /** The list broke off, so nobody knows what it would have had. */
  abandonList(): void {
    for (const identity of this.#former ?? []) this.#versions.set(identity);
    this.#former = undefined;
  }

  /** An object is there, in a list or after a change. In a version that is known already it is no news. */
  upsert(identity: WireIdentity, raw: unknown, triggeredAt?: number): void {
    const known = this.#versions.get(identity) ?? this.#former?.get(identity);
    this.#former?.delete(identity);
    this.#versions.set(identity);
    if (known !== identity.resourceVersion) this.#tell(identity, raw, known !== undefined, triggeredAt);
  }

  remove(identity: Name): void {
    const known = this.#versions.get(identity) ?? this.#former?.get(identity);
    this.#versions.delete(identity);
    this.#former?.delete(identity);
    if (known !== undefined) this.#forget(identity);
  }

  /**
   * An object that can't be read any more stays as it was: a policy that goes opens its pods. One that has become nothing
   * for Weir (the EndpointSlice of a headless Service, say) goes.
   */
  #tell(identity: Name, raw: unknown, isKnown: boolean, triggeredAt: number | undefined): void {
    const key = keyOf(identity);
    const wasTold = isKnown && !this.#untold.has(key);
    const result = decodeAs(this.#kind, raw);
    switch (result.outcome) {
      case 'object':
        this.#untold.delete(key);
        this.#upsert(compactObject(result.object, this.#shared), triggeredAt);
        this.#say(identity, result.diagnostics);
        break;
      case 'invalid':
        if (!wasTold) this.#untold.add(key);
        this.#say(identity, wasTold ? [...result.diagnostics, this.#keeping(identity)] : result.diagnostics);
        break;
      case 'ignored':
        if (wasTold) this.#delete(identity);
        this.#untold.add(key);
        this.#say(identity, []);
        break;
    }
  }

  #upsert(object: ApiObject, triggeredAt: number | undefined): void {
    this.#changes += 1;
    if (triggeredAt === undefined) this.#handler.upsert(object);
    else this.#handler.upsert(object, triggeredAt);
  }

  #forget(identity: Name): void {
    if (!this.#untold.delete(keyOf(identity))) this.#delete(identity);
    this.#say(identity, []);
  }

  #delete({ namespace, name }: Name): void {
    this.#changes += 1;
    this.#handler.delete(this.#kind, namespace, name);
  }

  #say(identity: Name, diagnostics: readonly Diagnostic[]): void {
    const origin = `${this.#kind} ${keyOf(identity)}`;
    const wasWrong = this.#diagnosed.has(origin);
    if (diagnostics.length === 0 && !wasWrong) return;
    if (diagnostics.length === 0) this.#diagnosed.delete(origin);
    else this.#diagnosed.add(origin);
    this.#changes += 1;
    this.#handler.diagnostics(origin, diagnostics);
  }

  #keeping({ namespace, name }: Name): Diagnostic {
    const message = 'can not be read any more; what it said before stays in effect';
    return { severity: 'warning', kind: this.#kind, namespace, name, field: '', message };
  }
}

function keyOf({ namespace, name }: Name): string {
  return namespace === '' ? name : `${namespace}/${name}`;
}
