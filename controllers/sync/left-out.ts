import type { ApiObject, Diagnostic, Origin } from '../../pkg/api/index.ts';
import { leaveOut } from '../../pkg/api/index.ts';
import type { RefusedElement } from '../../pkg/apply/index.ts';
import type { Store } from '../../pkg/cache/index.ts';
import { describeElement, type KernelElement } from '../../pkg/kernel/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { Clock } from '../../pkg/runtime/index.ts';
import type { Part } from './part-ownership.ts';
import type { PartSync } from './part-sync.ts';

export interface LeftOutOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** The fields that a rule or a set member comes from. */
  readonly originsOf: (part: Part, family: Family, element: KernelElement) => readonly Origin[];
  /** Whether policies drop what this address sends and gets unless a known pod owns it. */
  readonly wouldClose: (ip: string) => boolean;
  readonly log: Pick<Logger, 'error' | 'debug'>;
}

/** What the kernel lacks for a moment, as memory or a module, it does not lack for ever; each try costs a write that fails. */
const retryAfterMs = 900_000;

/** An object that stands in the store without a value of it. */
interface TrimmedObject {
  /** As it stands there; another one is another version of the object. */
  readonly object: ApiObject;
  /** As it came. */
  readonly whole: ApiObject;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * What the kernel refuses and everything else does without, for a quarter of an hour at a time: a value of an object, or the rule or member
 * itself where no object is to blame. The store then holds the object without the value, so that whoever looks at the store sees what is in
 * effect, and a new version of the object is tried at once.
 *
 * An address of a pod that policies let through is left out of what they let through only: the pod itself stays as closed as they say.
 */
export class LeftOut {
  readonly #options: LeftOutOptions;
  readonly #trimmed = new Map<string, TrimmedObject>();
  /** Of rules and members that are left out themselves, by what they are. */
  readonly #elements = new Map<
    string,
    { readonly part: PartSync; readonly diagnostics: readonly Diagnostic[] }
  >();
  #retryAt: number | undefined;

  constructor(options: LeftOutOptions) {
    this.#options = options;
  }

  /**
   * Leaves out what was refused. Whether another write is worthwhile: when one thing cannot be left out, the others stay too, since nothing would
   * be written without it.
   */
  refused(part: PartSync, refused: readonly RefusedElement[]): boolean {
    const { log } = this.#options;
    if (refused.length === 0) return false;
    const remedies = refused.map((one) => ({ ...one, remedy: this.#remedyFor(part, one) }));
    for (const { element, why, remedy } of remedies) {
      const what = `the kernel refuses a ${describeElement(element)} (${reason(why)})`;
      if (remedy === undefined)
        log.error(`${what}, and it cannot be left out: no rule of its kind is written until it is gone`);
      else log.debug(what);
    }
    if (remedies.some(({ remedy }) => remedy === undefined)) return false;
    this.#retryAt ??= this.#options.clock.now() + retryAfterMs;
    return remedies.map(({ remedy }) => remedy?.() === true).includes(true);
  }

  /** Puts everything back when it has been left out for long enough. Whether it did. */
  retryWhenDue(): boolean {
    const { clock, store } = this.#options;
    if (this.#retryAt === undefined || clock.now() < this.#retryAt) return false;
    this.#retryAt = undefined;
    for (const { object, whole } of this.#trimmed.values()) if (this.#isStored(object)) store.upsert(whole);
    for (const { part } of this.#elements.values()) part.state.leaveNothingOut();
    return true;
  }

  /** What is wrong because of that; without what has changed since. */
  diagnostics(): readonly Diagnostic[] {
    for (const [key, { object }] of this.#trimmed) if (!this.#isStored(object)) this.#trimmed.delete(key);
    for (const [key, { part }] of this.#elements) {
      if (!part.state.leftOut().some((element) => describeElement(element) === key))
        this.#elements.delete(key);
    }
    return [
      ...[...this.#trimmed.values()].flatMap(({ diagnostics }) => diagnostics),
      ...[...this.#elements.values()].flatMap(({ diagnostics }) => diagnostics),
    ];
  }

  /** What would leave the element out; `undefined`: nothing would. */
  #remedyFor(part: PartSync, { element, why }: RefusedElement): (() => boolean) | undefined {
    const { originsOf, wouldClose } = this.#options;
    const origins = originsOf(part.part, part.state.family, element).filter((origin) => this.#has(origin));
    const isOfPods = origins.every(({ kind }) => kind === 'Pod');
    if (isOfPods && part.state.mayLeaveOut(element)) {
      return () => {
        part.state.leaveOut(element);
        const what = describeElement(element);
        const diagnostics = origins.map((origin) => originDiagnostic(origin, why));
        if (origins.length === 0) diagnostics.push(elementDiagnostic(part.state.family, what, why));
        this.#elements.set(what, { part, diagnostics });
        return true;
      };
    }
    // A pod of which nobody knows the address is as open as the address is, whatever policies select the pod.
    if (isOfPods && !origins.every(({ value }) => wouldClose(value))) return undefined;
    if (origins.length === 0) return undefined;
    return () => origins.map((origin) => this.#leaveOutOf(origin, why)).includes(true);
  }

  #has(origin: Origin): boolean {
    const object = this.#objectOf(origin);
    return object !== undefined && leaveOut(object, origin) !== undefined;
  }

  /** False when another refused element has had it left out already. */
  #leaveOutOf(origin: Origin, why: string): boolean {
    const { store } = this.#options;
    const before = this.#objectOf(origin);
    const object = before && leaveOut(before, origin);
    if (before === undefined || object === undefined) return false;
    const key = `${object.kind} ${object.namespace}/${object.name}`;
    const trimmed = this.#trimmed.get(key);
    const { whole, diagnostics } = trimmed?.object === before ? trimmed : { whole: before, diagnostics: [] };
    this.#trimmed.set(key, { object, whole, diagnostics: [...diagnostics, originDiagnostic(origin, why)] });
    store.upsert(object);
    return true;
  }

  #isStored(object: ApiObject): boolean {
    return this.#options.store.get(object.kind, object.namespace, object.name) === object;
  }

  #objectOf({ kind, namespace, name }: Origin): ApiObject | undefined {
    return this.#options.store.get(kind, namespace, name);
  }
}

function originDiagnostic(origin: Origin, why: string): Diagnostic {
  const { kind, namespace, name, field } = origin;
  const refused = `the kernel refuses ${subject(origin)} (${reason(why)})`;
  return { severity: 'error', kind, namespace, name, field, message: `${refused}; ${consequence(origin)}` };
}

function subject({ value, field }: Origin): string {
  return value === '' ? `what ${field} asks for` : value;
}

/** What that means, and until when. */
function consequence({ kind }: Origin): string {
  switch (kind) {
    case 'Service':
    case 'EndpointSlice':
      return `it is left out until the ${kind} changes`;
    case 'Pod':
      return 'policies do without the address';
    case 'NetworkPolicy':
      return 'the policy allows nothing until it changes';
  }
}

function elementDiagnostic(family: Family, what: string, why: string): Diagnostic {
  const message = `the kernel refuses a ${what} (${reason(why)}) of the ${family} rules; it is left out`;
  return { severity: 'error', kind: '', namespace: '', name: '', field: '', message };
}

function reason(why: string): string {
  return why === '' ? 'it gives no reason' : why;
}
