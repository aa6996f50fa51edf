import { printRule } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import { addressKey, addressMatches, nodePortKey, nodePortMatches } from './dispatch-keys.ts';
import type { DispatchTree } from './dispatch-tree.ts';
import type { Frontend } from './service-fragment.ts';

/** Two Services that claim the same address and port. */
export interface FrontendConflict {
  /** `namespace/name:port` of the Service that keeps it. */
  readonly holder: string;
  readonly loser: string;
  /** `ip:port` or `node port 30080`, with the protocol. */
  readonly what: string;
}

interface Claim {
  readonly owner: string;
  readonly isClusterIP: boolean;
  readonly rule: string;
  readonly what: string;
}

/**
 * Who gets which address and port. A dispatch tree holds one rule a key; where several Services claim the same one, the one whose
 * cluster IP it is keeps it (an external IP must not steal another Service's traffic, CVE-2020-8554), else the first by
 * name, whatever the order in which they came.
 */
export class Frontends {
  readonly #family: Family;
  readonly #addresses: DispatchTree;
  readonly #nodePorts: DispatchTree;
  readonly #claims = new Map<string, Claim | Claim[]>();
  /** Keys with more than one claim. */
  readonly #contested = new Set<string>();

  constructor(family: Family, addresses: DispatchTree, nodePorts: DispatchTree) {
    this.#family = family;
    this.#addresses = addresses;
    this.#nodePorts = nodePorts;
  }

  claimAddress(owner: string, { ip, protocol, port, target, isClusterIP }: Frontend): void {
    const rule = printRule({
      matches: addressMatches(this.#family, ip, protocol, port),
      target: { kind: 'jump', chain: target },
    });
    this.#claim(addressKey(this.#family, ip, protocol, port), {
      owner,
      isClusterIP,
      rule,
      what: `${protocol} ${ip}:${port}`,
    });
  }

  claimNodePort(owner: string, { protocol, port, target }: Omit<Frontend, 'ip' | 'isClusterIP'>): void {
    const rule = printRule({
      matches: nodePortMatches(protocol, port),
      target: { kind: 'jump', chain: target },
    });
    const what = `${protocol} node port ${port}`;
    this.#claim(nodePortKey(protocol, port), { owner, isClusterIP: false, rule, what });
  }

  releaseAddress(owner: string, { ip, protocol, port }: Omit<Frontend, 'target' | 'isClusterIP'>): void {
    this.#release(addressKey(this.#family, ip, protocol, port), owner);
  }

  releaseNodePort(owner: string, { protocol, port }: Omit<Frontend, 'ip' | 'target' | 'isClusterIP'>): void {
    this.#release(nodePortKey(protocol, port), owner);
  }

  /** Sorted; empty when all is well. */
  conflicts(): readonly FrontendConflict[] {
    const conflicts: FrontendConflict[] = [];
    for (const key of this.#contested) {
      const claims = this.#claims.get(key);
      if (!Array.isArray(claims)) continue;
      const [holder, ...losers] = claims;
      for (const loser of losers) {
        if (holder !== undefined)
          conflicts.push({ holder: holder.owner, loser: loser.owner, what: loser.what });
      }
    }
    return conflicts.toSorted((a, b) => (`${a.loser} ${a.what}` < `${b.loser} ${b.what}` ? -1 : 1));
  }

  #claim(key: string, claim: Claim): void {
    const others = this.#claims.has(key) ? this.#others(key, claim.owner) : [];
    this.#store(key, others.length === 0 ? [claim] : [...others, claim].toSorted(byPrecedence));
  }

  #release(key: string, owner: string): void {
    this.#store(key, this.#others(key, owner));
  }

  #others(key: string, owner: string): readonly Claim[] {
    const present = this.#claims.get(key);
    if (present === undefined) return [];
    return (Array.isArray(present) ? present : [present]).filter((claim) => claim.owner !== owner);
  }

  /** One claim, the usual case, is kept without a list around it. */
  #store(key: string, claims: readonly Claim[]): void {
    const tree = key.length === nodePortKeyLength ? this.#nodePorts : this.#addresses;
    const [first] = claims;
    if (claims.length > 1) this.#contested.add(key);
    else this.#contested.delete(key);
    if (first === undefined) {
      this.#claims.delete(key);
      tree.delete(key);
      return;
    }
    this.#claims.set(key, claims.length === 1 ? first : [...claims]);
    tree.set(key, first.rule);
  }
}

function byPrecedence(a: Claim, b: Claim): number {
  if (a.isClusterIP !== b.isClusterIP) return a.isClusterIP ? -1 : 1;
  return a.owner < b.owner ? -1 : 1;
}

const nodePortKeyLength = nodePortKey('TCP', 1).length;
