import { type NamespacedName, type NetworkPolicy, namespacedName, type PolicyType } from '../../api/index.ts';
import { type ChainName, printRule, type RuleState, type SetName } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import type { PeerSets } from './peer-sets.ts';
import { type PolicyFragment, policyFragment } from './policy-fragment.ts';
import { stages } from './policy-names.ts';
import type { IsolationProfile } from './profile-dispatch.ts';

/** What happens to a packet that no policy allows: it vanishes, or its sender is told. */
export type PolicyDeny = 'drop' | 'reject';

/** What one policy says in a profile's chain. */
export interface PolicyInChain {
  readonly chain: ChainName;
  readonly direction: PolicyType;
  readonly policy: NamespacedName;
  readonly fragment: PolicyFragment;
}

interface WrittenChain {
  readonly policies: readonly NamespacedName[];
  readonly parts: readonly PolicyInChain[];
  readonly sets: readonly SetName[];
}

/**
 * The chains of profiles: the union of what the policies of a profile allow, each rule a RETURN, then the denial. A chain
 * is only ever replaced as a whole, because the end of an unfinished one would let everything through.
 */
export class ProfileChains {
  readonly #state: RuleState;
  readonly #family: Family;
  readonly #peerSets: PeerSets;
  readonly #written = new Map<ChainName, WrittenChain>();
  /** Policies are shared by many profiles. A policy that changes is another object. */
  readonly #fragments: Readonly<Record<PolicyType, WeakMap<NetworkPolicy, PolicyFragment>>> = {
    Ingress: new WeakMap(),
    Egress: new WeakMap(),
  };

  constructor(state: RuleState, family: Family, peerSets: PeerSets) {
    this.#state = state;
    this.#family = family;
    this.#peerSets = peerSets;
  }

  has(chain: ChainName): boolean {
    return this.#written.has(chain);
  }

  /** Writes the chain of a profile with what its policies say now, in this order. */
  write(
    direction: PolicyType,
    profile: IsolationProfile,
    policies: readonly NetworkPolicy[],
    deny: PolicyDeny,
  ): void {
    const fragments = policies.map((policy) => this.#fragment(direction, policy));
    const { chain } = profile.names;
    const sources = new Map(
      fragments.flatMap(({ sets }) => sets.map((source) => [source.spec.name, source] as const)),
    );
    for (const source of sources.values()) this.#peerSets.acquire(source);
    this.#releaseSets(chain);
    const parts = policies.map(({ namespace, name }, index) => {
      const fragment = fragments[index] ?? { rules: [], sets: [] };
      return { chain, direction, policy: namespacedName(namespace, name), fragment };
    });
    this.#written.set(chain, { policies: profile.policies, parts, sets: [...sources.keys()] });
    const allowed = fragments.flatMap(({ rules }) => rules);
    this.#state.setChain('filter', chain, chainRules(this.#family, allowed, deny), stages.profile);
  }

  /** The profile has no pods any more. */
  remove(chain: ChainName): void {
    this.#state.removeChain('filter', chain);
    this.#releaseSets(chain);
    this.#written.delete(chain);
  }

  /** Which policies each chain comes from. */
  policiesOfChain(): ReadonlyMap<ChainName, readonly NamespacedName[]> {
    return new Map(Array.from(this.#written, ([chain, { policies }]) => [chain, policies]));
  }

  /** What each policy says in each chain. Made when asked for. */
  parts(): readonly PolicyInChain[] {
    return [...this.#written.values()].flatMap(({ parts }) => parts);
  }

  #releaseSets(chain: ChainName): void {
    for (const set of this.#written.get(chain)?.sets ?? []) this.#peerSets.release(set);
  }

  #fragment(direction: PolicyType, policy: NetworkPolicy): PolicyFragment {
    let fragment = this.#fragments[direction].get(policy);
    if (fragment === undefined) {
      fragment = policyFragment(this.#family, policy, direction);
      this.#fragments[direction].set(policy, fragment);
    }
    return fragment;
  }
}

const allowAll = printRule({ matches: [], target: { kind: 'return' } });

function chainRules(family: Family, allowed: readonly string[], deny: PolicyDeny): string {
  if (allowed.includes(allowAll)) return allowAll;
  return [...[...new Set(allowed)].toSorted(), ...denials(family, deny)].join('\n');
}

function denials(family: Family, deny: PolicyDeny): readonly string[] {
  if (deny === 'drop') return [printRule({ matches: [], target: { kind: 'drop' } })];
  const prohibited = family === 'IPv4' ? 'icmp-admin-prohibited' : 'icmp6-adm-prohibited';
  return [
    printRule({
      matches: [{ kind: 'protocol', protocol: 'tcp' }],
      target: { kind: 'reject', with: 'tcp-reset' },
    }),
    printRule({ matches: [], target: { kind: 'reject', with: prohibited } }),
  ];
}
