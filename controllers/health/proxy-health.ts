import type { Family } from '../../pkg/net/index.ts';
import { type Clock, errorLine } from '../../pkg/runtime/index.ts';
import type { Part } from '../sync/part-ownership.ts';

export interface ProxyHealthOptions {
  /** What Weir has to do with on this node. */
  readonly parts: readonly Part[];
  readonly clock: Clock;
  /** Milliseconds since 1970, for what is shown; never for deadlines. */
  readonly wallClock: () => number;
  /** A change that waits for longer than twice this is overdue. Milliseconds. */
  readonly syncPeriodMs: number;
  /** Why Service rules are left to another proxy now; `undefined` while they are not. */
  readonly standsBack: () => string | undefined;
}

/** What the Node object says of whether load balancers should send here. */
export interface NodeCondition {
  readonly exists: boolean;
  /** It has a deletionTimestamp. */
  readonly beingDeleted: boolean;
  /** The cluster autoscaler is about to take the node away: taint `ToBeDeletedByClusterAutoscaler`. */
  readonly toBeDeletedTaint: boolean;
}

/**
 * - `starting`: not in the kernel yet, and no attempt has failed
 * - `in_force`: as the cluster says; a change may be on its way
 * - `failing`: the last attempt failed, and is repeated
 * - `standing_back`: another proxy writes in its place
 * - `off`: pods use the family, but its programs are missing, or the kernel has no table for its policies
 */
export type PartState = 'starting' | 'in_force' | 'failing' | 'standing_back' | 'off';

export interface PartHealth {
  readonly family: Family;
  readonly part: Part;
  readonly state: PartState;
  /** No change waits for too long, and the part is not off or left to another. */
  readonly healthy: boolean;
  /** The same without what a restart would not cure. */
  readonly live: boolean;
  /** What is wrong, for people; `undefined` when nothing is. */
  readonly problem: string | undefined;
}

export interface FamilyHealth {
  /** When all its parts were last right, in milliseconds since 1970; `undefined` before the first time. */
  readonly lastUpdated: number | undefined;
  readonly healthy: boolean;
  readonly live: boolean;
}

export interface HealthReport {
  /** Every part of every family is in force and keeps up with the cluster. */
  readonly healthy: boolean;
  /** The same without what a restart would not cure. */
  readonly live: boolean;
  readonly nodeEligible: boolean;
  /** Of the newest family; `undefined` before the first. */
  readonly lastUpdated: number | undefined;
  readonly currentTime: number;
  /** Empty before the first complete state of the cluster. */
  readonly families: ReadonlyMap<Family, FamilyHealth>;
  /** A sentence each; empty when all is well. */
  readonly problems: readonly string[];
}

interface Tracked {
  lastUpdated: number | undefined;
  /** Monotonic time of the oldest change that is not written yet. */
  pendingSince: number | undefined;
  /** Why the last attempt failed. */
  error: string | undefined;
}

const families = ['IPv4', 'IPv6'] as const;

/**
 * Whether the rules keep up with the cluster: as with kube-proxy, a family is healthy while no change of it waits for longer than two sync
 * periods, and what has not started does not count. Beyond that, a part that is left to another proxy and a family that is off are not
 * healthy: its policies are not enforced, or its Services are not Weir's.
 */
export class ProxyHealth {
  readonly #options: ProxyHealthOptions;
  readonly #tracked = new Map<`${Family} ${Part}`, Tracked>();
  readonly #off = new Map<Family, string>();
  #node: NodeCondition | undefined;
  #obstacle: string | undefined;

  constructor(options: ProxyHealthOptions) {
    this.#options = options;
  }

  /** From now on this part has to get into the kernel. */
  started(family: Family, part: Part): void {
    this.#tracked.set(`${family} ${part}`, {
      lastUpdated: undefined,
      pendingSince: this.#options.clock.now(),
      error: undefined,
    });
  }

  /** A change of the part waits to be written. */
  queued(family: Family, part: Part): void {
    const tracked = this.#tracked.get(`${family} ${part}`);
    if (tracked !== undefined) tracked.pendingSince ??= this.#options.clock.now();
  }

  /** The part is in the kernel as the cluster says. */
  updated(family: Family, part: Part): void {
    this.#tracked.set(`${family} ${part}`, {
      lastUpdated: this.#options.wallClock(),
      pendingSince: undefined,
      error: undefined,
    });
  }

  /** The part could not be read or written. */
  failed(family: Family, part: Part, error: unknown): void {
    const tracked = this.#tracked.get(`${family} ${part}`);
    if (tracked !== undefined) tracked.error = errorLine(error);
  }

  /** The kernel has nothing that this part could be written into: it does not count. */
  absent(family: Family, part: Part): void {
    this.#tracked.delete(`${family} ${part}`);
  }

  /** The family's policies are not enforced, for this reason, although it is in use; `undefined`: it is not so. */
  setOff(family: Family, why: string | undefined): void {
    if (why === undefined) this.#off.delete(family);
    else this.#off.set(family, why);
  }

  /** What the Node object says. Until this is called the node counts as eligible; one that does not exist does not. */
  setNode(node: NodeCondition): void {
    this.#node = node;
  }

  /** What stands against policies being in force although the rules are in the kernel, for people; `undefined`: nothing. */
  setObstacle(obstacle: string | undefined): void {
    this.#obstacle = obstacle;
  }

  get isHealthy(): boolean {
    return this.report().healthy;
  }

  /** Every part of every family is in force, and nothing stands against it. */
  get isReady(): boolean {
    return this.notReady().length === 0;
  }

  /** Why this node is not ready, a sentence each. */
  notReady(): readonly string[] {
    const found = this.parts();
    const starting = found.filter(({ state }) => state === 'starting' || state === 'failing');
    const isStarted = (family: Family, part: Part): boolean =>
      this.#tracked.get(`${family} ${part}`)?.lastUpdated !== undefined;
    return [
      ...this.#problems(),
      ...starting
        .filter(({ family, part, problem }) => problem === undefined && !isStarted(family, part))
        .map(({ family, part }) => `${family} ${part}: not in the kernel yet`),
      ...(this.#tracked.size === 0 ? ['the state of the cluster is not complete yet'] : []),
    ];
  }

  /** Each part of each family that this node has or should have. */
  parts(): readonly PartHealth[] {
    const { parts } = this.#options;
    return families.flatMap((family) => parts.flatMap((part) => this.#partHealth(family, part) ?? []));
  }

  report(): HealthReport {
    const found = this.parts();
    const byFamily = new Map<Family, FamilyHealth>();
    for (const family of families) {
      const ofFamily = found.filter((one) => one.family === family);
      if (ofFamily.length === 0) continue;
      byFamily.set(family, {
        lastUpdated: this.#lastUpdated(family),
        healthy: ofFamily.every(({ healthy }) => healthy),
        live: ofFamily.every(({ live }) => live),
      });
    }
    const times = [...byFamily.values()].flatMap(({ lastUpdated }) => lastUpdated ?? []);
    const problems = this.#problems();
    return {
      healthy: problems.length === 0,
      live: found.every(({ live }) => live),
      nodeEligible: isEligible(this.#node),
      lastUpdated: times.length === 0 ? undefined : Math.max(...times),
      currentTime: this.#options.wallClock(),
      families: byFamily,
      problems,
    };
  }

  #problems(): readonly string[] {
    const ofParts = this.parts().flatMap(({ problem }) => problem ?? []);
    return [...new Set([...ofParts, ...(this.#obstacle === undefined ? [] : [this.#obstacle])])];
  }

  #partHealth(family: Family, part: Part): PartHealth | undefined {
    const off = this.#off.get(family);
    if (off !== undefined) {
      const problem = `${family} is off, its policies are not enforced: ${off}`;
      return { family, part, state: 'off', healthy: false, live: true, problem };
    }
    const standsBack = part === 'services' ? this.#options.standsBack() : undefined;
    const tracked = this.#tracked.get(`${family} ${part}`);
    if (tracked === undefined) return undefined;
    if (standsBack !== undefined) {
      const problem = `services: standing back: ${standsBack}`;
      return { family, part, state: 'standing_back', healthy: false, live: true, problem };
    }
    const { lastUpdated, error } = tracked;
    const waitedMs = this.#overdueMs(tracked);
    const state = error !== undefined ? 'failing' : lastUpdated === undefined ? 'starting' : 'in_force';
    const isWell = waitedMs === undefined;
    const why = error === undefined ? '' : `: ${error}`;
    const problem = isWell
      ? undefined
      : `${family} ${part}: not written for ${Math.floor(waitedMs / 1000)} s${why}`;
    return { family, part, state, healthy: isWell, live: isWell, problem };
  }

  /** How long the oldest change has waited, where that is too long. */
  #overdueMs({ pendingSince }: Tracked): number | undefined {
    const { clock, syncPeriodMs } = this.#options;
    if (pendingSince === undefined) return undefined;
    const waitedMs = clock.now() - pendingSince;
    return waitedMs < 2 * syncPeriodMs ? undefined : waitedMs;
  }

  /** When the whole family was last right: the oldest of its parts, once each has been. */
  #lastUpdated(family: Family): number | undefined {
    const tracked = this.#options.parts.flatMap((part) => this.#tracked.get(`${family} ${part}`) ?? []);
    const times = tracked.flatMap(({ lastUpdated }) => lastUpdated ?? []);
    return times.length === 0 || times.length < tracked.length ? undefined : Math.min(...times);
  }
}

function isEligible(node: NodeCondition | undefined): boolean {
  return node === undefined || (node.exists && !node.beingDeleted && !node.toBeDeletedTaint);
}
