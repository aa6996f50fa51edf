import type { NamespacedName } from '../../pkg/api/index.ts';
import { parseDropCounters } from '../../pkg/kernel/index.ts';
import type { Metrics, PolicyProfile } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { profileOfChain } from '../../pkg/policy/iptables/index.ts';
import type { Clock } from '../../pkg/runtime/index.ts';
import { DropTotals } from './drop-totals.ts';

export interface PolicyDropCounterOptions {
  readonly clock: Clock;
  readonly policiesOfChain: () => ReadonlyMap<string, readonly NamespacedName[]>;
  readonly metrics: Pick<Metrics['policy'], 'setDrops' | 'setProfiles'>;
}

/** A label that lists more than this is no help to anybody. */
const longestPolicyList = 256;

/** Adds up the packets that policies refuse, by profile, from the counters of the rules. */
export class PolicyDropCounter {
  readonly #options: PolicyDropCounterOptions;
  readonly #totals = new DropTotals();

  constructor(options: PolicyDropCounterOptions) {
    this.#options = options;
  }

  /** What `iptables-save -c` says of the filter table of each family. */
  read(saved: ReadonlyMap<Family, string>): void {
    const { clock, policiesOfChain } = this.#options;
    const isProfile = (chain: string): boolean => profileOfChain(chain) !== undefined;
    for (const [family, text] of saved) this.#totals.read(family, parseDropCounters(text, isProfile));
    const now = clock.now();
    const chains = policiesOfChain();
    this.#totals.keep(chains.keys(), now);
    this.#publish(now, chains);
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
