import {
  type ApiObject,
  type NamespacedName,
  namespacedName,
  type ObjectKind,
  type Pod,
} from '../../pkg/api/index.ts';
import type { Metrics } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { Clock } from '../../pkg/runtime/index.ts';
import type { Part } from './part-ownership.ts';

export interface ChangeLatencyOptions {
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly families: readonly Family[];
  readonly metrics: {
    readonly sync: Pick<Metrics['sync'], 'programmed' | 'eventApplied'>;
    readonly policy: Pick<Metrics['policy'], 'enforced' | 'closedStart'>;
  };
  /** Whether the packets of this address are dropped until the rules know its pod. None are, unless told. */
  readonly isClosed?: (ip: string) => boolean;
}

/** What waits for the rules of one family. Times of arrival are monotonic, by the object that changed first then. */
interface Waiting {
  readonly services: Map<string, number>;
  readonly policies: Map<string, number>;
  /** Pods that can't talk yet. */
  readonly closedPods: Map<string, number>;
  /** When the causes of endpoint changes happened, in milliseconds since 1970, by EndpointSlice. */
  readonly triggers: Map<NamespacedName, readonly number[]>;
}

/** Many changes of one slice while nothing can be written: more times would say no more. */
const mostTriggers = 100;

/**
 * How long changes take to get into the kernel. A change counts from its first event until the first sync that took it in and
 * ended well; what arrives during a sync belongs to the next. Nothing counts before `start`: the first list is no change.
 */
export class ChangeLatency {
  readonly #options: ChangeLatencyOptions;
  readonly #arriving: ReadonlyMap<Family, Waiting>;
  readonly #folded: ReadonlyMap<Family, Waiting>;
  /** Pods that have had an address: only the first one lets a pod talk. */
  readonly #addressed = new Set<NamespacedName>();
  #startedAt: number | undefined;

  constructor(options: ChangeLatencyOptions) {
    this.#options = options;
    const waiting = (): Map<Family, Waiting> =>
      new Map(options.families.map((family) => [family, emptyWaiting()]));
    this.#arriving = waiting();
    this.#folded = waiting();
  }

  /** The first complete state is there: from here on events are changes. */
  start(): void {
    this.#startedAt = this.#options.wallClock();
  }

  /** The store took in a change of this object. `triggeredAt`: of an EndpointSlice, see SourceHandler. */
  changed(object: ApiObject, triggeredAt?: number): void {
    const family = object.kind === 'EndpointSlice' ? object.family : undefined;
    this.#note(object.kind, namespacedName(object.namespace, object.name), family);
    if (object.kind === 'Pod') this.#notePod(object);
    if (object.kind !== 'EndpointSlice' || triggeredAt === undefined) return;
    // Older causes belong to a time when nobody watched: a restart must not look like an outage.
    if (this.#startedAt === undefined || triggeredAt < this.#startedAt) return;
    const triggers = this.#arriving.get(object.family)?.triggers;
    if (triggers !== undefined)
      addTimes(triggers, namespacedName(object.namespace, object.name), [triggeredAt]);
  }

  /** The store dropped this object. What caused changes of a slice that is gone says nothing of when they came to be. */
  deleted(kind: ObjectKind, namespace: string, name: string): void {
    const key = namespacedName(namespace, name);
    this.#note(kind, key, undefined);
    if (kind === 'Pod') this.#addressed.delete(key);
    if (kind !== 'EndpointSlice') return;
    for (const waiting of [...this.#arriving.values(), ...this.#folded.values()])
      waiting.triggers.delete(key);
  }

  /** A sync begins to work with everything that has changed until now. */
  folded(): void {
    for (const [family, arriving] of this.#arriving) {
      const folded = this.#folded.get(family);
      if (folded === undefined) continue;
      for (const [key, at] of arriving.services) keepFirst(folded.services, key, at);
      for (const [key, at] of arriving.policies) keepFirst(folded.policies, key, at);
      for (const [key, at] of arriving.closedPods) keepFirst(folded.closedPods, key, at);
      for (const [slice, times] of arriving.triggers) addTimes(folded.triggers, slice, times);
      clear(arriving);
    }
  }

  /** All that was folded is in the rules of this part of the family now. */
  applied(family: Family, part: Part): void {
    const { clock, wallClock, metrics } = this.#options;
    const folded = this.#folded.get(family);
    if (folded === undefined) return;
    const now = clock.now();
    const { services, triggers, policies, closedPods } = folded;
    if (part === 'services') {
      for (const at of services.values()) metrics.sync.eventApplied(family, (now - at) / 1000);
      for (const at of [...triggers.values()].flat())
        metrics.sync.programmed(family, (wallClock() - at) / 1000);
      for (const times of [services, triggers]) times.clear();
    } else {
      for (const at of policies.values()) metrics.policy.enforced(family, (now - at) / 1000);
      for (const at of closedPods.values()) metrics.policy.closedStart(family, (now - at) / 1000);
      for (const times of [policies, closedPods]) times.clear();
    }
  }

  /** The kernel has nothing that this part could be written into: nobody waits for it. */
  dropped(family: Family, part: Part): void {
    const folded = this.#folded.get(family);
    if (folded === undefined) return;
    const { services, triggers, policies, closedPods } = folded;
    for (const times of part === 'services' ? [services, triggers] : [policies, closedPods]) times.clear();
  }

  #note(kind: ObjectKind, name: NamespacedName, only: Family | undefined): void {
    const what = effectOf(kind);
    if (this.#startedAt === undefined || what === undefined) return;
    const now = this.#options.clock.now();
    for (const [family, waiting] of this.#arriving)
      if (only === undefined || only === family) keepFirst(waiting[what], `${kind} ${name}`, now);
  }

  #notePod(pod: Pod): void {
    const { clock, isClosed } = this.#options;
    if (isClosed === undefined || pod.addresses.length === 0) return;
    const name = namespacedName(pod.namespace, pod.name);
    if (this.#addressed.has(name)) return;
    this.#addressed.add(name);
    if (this.#startedAt === undefined) return;
    for (const { family, ip } of pod.addresses) {
      const waiting = this.#arriving.get(family);
      if (waiting !== undefined && isClosed(ip)) keepFirst(waiting.closedPods, name, clock.now());
    }
  }
}

/** Which rules a kind changes; `undefined` for those that change them rarely and all at once. */
function effectOf(kind: ObjectKind): 'services' | 'policies' | undefined {
  switch (kind) {
    case 'Service':
    case 'EndpointSlice':
      return 'services';
    case 'NetworkPolicy':
    case 'Pod':
    case 'Namespace':
      return 'policies';
    case 'Node':
    case 'ServiceCIDR':
      return undefined;
  }
}

function emptyWaiting(): Waiting {
  return { services: new Map(), policies: new Map(), closedPods: new Map(), triggers: new Map() };
}

function clear(waiting: Waiting): void {
  for (const times of Object.values(waiting) as Map<unknown, unknown>[]) times.clear();
}

function addTimes(
  triggers: Map<NamespacedName, readonly number[]>,
  slice: NamespacedName,
  times: readonly number[],
): void {
  triggers.set(slice, [...(triggers.get(slice) ?? []), ...times].slice(0, mostTriggers));
}

function keepFirst(times: Map<string, number>, key: string, at: number): void {
  if (!times.has(key)) times.set(key, at);
}
