import type { NamespacedName } from '../../pkg/api/index.ts';
import { type FamilyTools, readDropCounters } from '../../pkg/apply/index.ts';
import type { Metrics, PolicyProfile } from '../../pkg/metrics/index.ts';
import { profileOfChain } from '../../pkg/policy/iptables/index.ts';
import type { Clock, CommandRunner } from '../../pkg/runtime/index.ts';
import { DropTotals } from './drop-totals.ts';

export interface PolicyDropCounterOptions {
  readonly clock: Clock;
  readonly commands: CommandRunner;
  /** One for each family that is filtered. */
  readonly tools: readonly FamilyTools[];
  readonly policiesOfChain: () => ReadonlyMap<string, readonly NamespacedName[]>;
  readonly metrics: Pick<Metrics['policy'], 'setDrops' | 'setProfiles'>;
  /** The counters of a family could not be read; tried again. */
  readonly onError: (error: unknown) => void;
}

const intervalMs = 15_000;
/** A scrape reads again what is older than this … */
const staleMs = 5000;
/** … and waits for it no longer than this. */
const scrapeWaitMs = 1000;
/** Reading may take at most this share of the time. */
const readShare = 0.01;
/** A label that lists more than this is no help to anybody. */
const longestPolicyList = 256;

/**
 * Counts the packets that policies refuse, by profile, from the counters of the rules. Read often, because a rewrite of a chain
 * takes along what it had counted since; not at all while there is no policy.
 */
export class PolicyDropCounter {
  readonly #options: PolicyDropCounterOptions;
  readonly #stop = new AbortController();
  readonly #totals = new DropTotals();
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: PolicyDropCounterOptions) {
    this.#options = options;
  }

  /** Reads from time to time until `stop`. */
  async start(): Promise<void> {
    const { clock } = this.#options;
    let pauseMs = 0;
    while (await this.#slept(pauseMs)) {
      const start = clock.now();
      await this.#read();
      pauseMs = Math.max(intervalMs, (clock.now() - start) / readShare);
    }
  }

  stop(): void {
    this.#stop.abort(new Error('stopped'));
  }

  /** For a scrape: brings the metrics up to date, unless that would keep it waiting. */
  async refresh(): Promise<void> {
    const { clock } = this.#options;
    if (clock.now() - this.#readAt < staleMs || this.#stop.signal.aborted) return;
    const waited = new AbortController();
    const patience = clock.sleep(scrapeWaitMs, waited.signal).catch(() => undefined);
    await Promise.race([this.#read(), patience]);
    waited.abort(new Error('done'));
  }

  /** Whether the time passed, and nobody asked to stop. */
  #slept(ms: number): Promise<boolean> {
    return this.#options.clock.sleep(ms, this.#stop.signal).then(
      () => true,
      () => false,
    );
  }

  /** One reading at a time: who comes while one is under way gets its result. */
  #read(): Promise<void> {
    this.#reading ??= this.#readAll().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readAll(): Promise<void> {
    const { clock, policiesOfChain, tools } = this.#options;
    const chains = policiesOfChain();
    if (chains.size > 0) await Promise.all(tools.map((family) => this.#readFamily(family)));
    const now = clock.now();
    this.#readAt = now;
    this.#totals.keep(chains.keys(), now);
    this.#publish(now, chains);
  }

  async #readFamily(tools: FamilyTools): Promise<void> {
    const { commands, onError } = this.#options;
    const isProfile = (chain: string): boolean => profileOfChain(chain) !== undefined;
    try {
      const packets = await readDropCounters(commands, tools, isProfile, this.#stop.signal);
      this.#totals.read(tools.family, packets);
    } catch (error) {
      if (!this.#stop.signal.aborted) onError(error);
    }
  }

  #publish(now: number, policies: ReadonlyMap<string, readonly NamespacedName[]>): void {
    const { metrics } = this.#options;
    metrics.setDrops(
      this.#totals.totals(now).flatMap(([chain, packets]) => {
        const profile = policyProfile(chain);
        return profile === undefined ? [] : [{ ...profile, packets }];
      }),
    );
    metrics.setProfiles(
      [...policies].flatMap(([chain, names]) => {
        const profile = policyProfile(chain);
        return profile === undefined ? [] : [{ ...profile, policies: policyList(names) }];
      }),
    );
  }
}

function policyProfile(chain: string): PolicyProfile | undefined {
  const found = profileOfChain(chain);
  if (found === undefined) return undefined;
  return { direction: found.direction === 'Ingress' ? 'ingress' : 'egress', profile: found.profile };
}

/** `shop/api,shop/web`, or as many as fit and how many more there are. */
function policyList(names: readonly NamespacedName[]): string {
  const sorted = names.toSorted();
  let length = 0;
  const shown = sorted.filter((name, index) => {
    length += name.length + 1;
    return index === 0 || length <= longestPolicyList;
  });
  const hidden = sorted.length - shown.length;
  return hidden === 0 ? shown.join(',') : `${shown.join(',')},+${hidden} more`;
}
