import type { Family } from '../../pkg/net/index.ts';
import type { Clock } from '../../pkg/runtime/index.ts';

export interface ProxyHealthOptions {
  readonly clock: Clock;
  /** Milliseconds since 1970, for what is shown; never for deadlines. */
  readonly wallClock: () => number;
  /** A change that waits for longer than twice this is overdue. Milliseconds. */
  readonly syncPeriodMs: number;
}

/** What the Node object says of whether load balancers should send here. */
export interface NodeCondition {
  readonly exists: boolean;
  /** It has a deletionTimestamp. */
  readonly beingDeleted: boolean;
  /** The cluster autoscaler is about to take the node away: taint `ToBeDeletedByClusterAutoscaler`. */
  readonly toBeDeletedTaint: boolean;
}

export interface FamilyHealth {
  /** Milliseconds since 1970. */
  readonly lastUpdated: number;
  readonly healthy: boolean;
}

export interface HealthReport {
  readonly healthy: boolean;
  readonly nodeEligible: boolean;
  /** Of the newest family; `undefined` before the first. */
  readonly lastUpdated: number | undefined;
  readonly currentTime: number;
  /** Families that ever reported; empty before the first. */
  readonly families: ReadonlyMap<Family, FamilyHealth>;
}

interface FamilyState {
  lastUpdated: number | undefined;
  /** Monotonic time of the oldest change that is not written yet. */
  pendingSince: number | undefined;
}

/**
 * Whether the rules keep up with the cluster, as kube-proxy decides it: a family is healthy while no change of it waits for
 * longer than two sync periods. Families that never reported don't count, so a proxy that starts is healthy.
 */
export class ProxyHealth {
  readonly #options: ProxyHealthOptions;
  readonly #families = new Map<Family, FamilyState>();
  #node: NodeCondition | undefined;
  #isReady = false;

  constructor(options: ProxyHealthOptions) {
    this.#options = options;
  }

  /** A change of the family waits to be written. */
  queued(family: Family): void {
    this.#state(family).pendingSince ??= this.#options.clock.now();
  }

  /** The family's rules are as they should be; also called when the sync loop starts. */
  updated(family: Family): void {
    const state = this.#state(family);
    state.pendingSince = undefined;
    state.lastUpdated = this.#options.wallClock();
  }

  /** What the Node object says. Until this is called the node counts as eligible; one that does not exist does not. */
  setNode(node: NodeCondition): void {
    this.#node = node;
  }

  /** The first full sync is in the kernel, and nothing that a person must put right stands against it. */
  setReady(isReady: boolean): void {
    this.#isReady = isReady;
  }

  get isHealthy(): boolean {
    return this.report().healthy;
  }

  get isReady(): boolean {
    return this.#isReady && this.isHealthy;
  }

  report(): HealthReport {
    const families = new Map<Family, FamilyHealth>();
    for (const family of ['IPv4', 'IPv6'] as const) {
      const state = this.#families.get(family);
      if (state?.lastUpdated === undefined) continue;
      families.set(family, { lastUpdated: state.lastUpdated, healthy: this.#keepsUp(state) });
    }
    const all = [...families.values()];
    return {
      healthy: all.every((family) => family.healthy),
      nodeEligible: isEligible(this.#node),
      lastUpdated: all.length === 0 ? undefined : Math.max(...all.map((family) => family.lastUpdated)),
      currentTime: this.#options.wallClock(),
      families,
    };
  }

  #keepsUp({ pendingSince }: FamilyState): boolean {
    const { clock, syncPeriodMs } = this.#options;
    return pendingSince === undefined || clock.now() - pendingSince < 2 * syncPeriodMs;
  }

  #state(family: Family): FamilyState {
    let state = this.#families.get(family);
    if (state === undefined) {
      state = { lastUpdated: undefined, pendingSince: undefined };
      this.#families.set(family, state);
    }
    return state;
  }
}

function isEligible(node: NodeCondition | undefined): boolean {
  return node === undefined || (node.exists && !node.beingDeleted && !node.toBeDeletedTaint);
}
