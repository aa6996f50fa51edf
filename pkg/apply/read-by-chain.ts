import { type Jump, type TableName, targetOf, unreadableRule } from '../kernel/index.ts';
import { checkRule } from './check-rule.ts';
import type { Landmarks } from './landmarks.ts';
import { type ChainListing, type ListContext, listChains } from './list-chains.ts';

export interface ByChainOptions {
  readonly landmarks: Landmarks;
  /** Chains that were there a moment ago. */
  readonly known: Iterable<string>;
}

/** A table as far as it could be read. */
export interface PartialListing {
  /** As `iptables -S` prints them; of a built-in chain that cannot be printed the policy is `?`. */
  readonly lines: readonly string[];
  /** See TableGaps. */
  readonly unreadable: readonly string[];
}

/**
 * Reads a table that iptables-nft cannot print as a whole, chain by chain: from the built-in chains along the jumps, and whatever else may
 * be there. Throws as `show`.
 */
export async function readByChain(
  context: ListContext,
  table: TableName,
  { landmarks, known }: ByChainOptions,
): Promise<PartialListing> {
  const reading = new Reading(context, table);
  const jumps = landmarks.jumps.filter((jump) => jump.table === table);
  await reading.follow(builtins[table]);
  await reading.lookFor(jumps.filter(({ builtin }) => reading.unreadable.has(builtin)));
  await reading.follow([...jumps.map(({ target }) => target), ...(landmarks.chains[table] ?? []), ...known]);
  return { lines: reading.lines(), unreadable: [...reading.unreadable].toSorted() };
}

const builtins: Readonly<Record<TableName, readonly [string, ...string[]]>> = {
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  raw: ['PREROUTING', 'OUTPUT'],
};

/** A table may be full of chains that cannot be printed, and it takes three processes to find that out of one. */
const maxMisses = 50;

/** The chains of one table, in the order in which they were met. */
class Reading {
  readonly unreadable = new Set<string>();
  readonly #context: ListContext;
  readonly #table: TableName;
  readonly #chains = new Map<string, readonly string[]>();
  readonly #absent = new Set<string>();
  #misses = 0;

  constructor(context: ListContext, table: TableName) {
    this.#context = context;
    this.#table = table;
  }

  lines(): readonly string[] {
    return [...this.#chains.values()].flat();
  }

  /** Lists these chains and all that they lead to. */
  async follow(names: Iterable<string>): Promise<void> {
    for (let next = this.#unmet(names); next.length > 0; ) {
      const listed = await listChains(this.#context, this.#table, next, maxMisses - this.#misses);
      for (const [name, lines] of listed) await this.#met(name, lines);
      next = this.#unmet([...listed.values()].flatMap((lines) => (lines ?? []).map(targetOf)));
    }
  }

  /** Enters those of the jumps that are there. */
  async lookFor(jumps: readonly Jump[]): Promise<void> {
    const presence = await Promise.all(
      jumps.map(({ builtin, rule }) => checkRule(this.#context, this.#table, builtin, rule)),
    );
    for (const [index, { builtin, rule }] of jumps.entries()) {
      if (presence[index] === 'present') this.#add(builtin, `-A ${builtin} ${rule}`);
    }
  }

  async #met(name: string, lines: ChainListing): Promise<void> {
    if (lines !== undefined) {
      this.#chains.set(name, lines);
      return;
    }
    this.#misses += 1;
    if (builtins[this.#table].includes(name)) this.#add(name, `-P ${name} ?`);
    else if (await this.#exists(name)) this.#add(name, `-N ${name}`, `-A ${name} ${unreadableRule}`);
    else {
      this.#absent.add(name);
      return;
    }
    this.unreadable.add(name);
  }

  /** iptables 1.8.9 calls a chain that is not there one that it cannot print. */
  async #exists(name: string): Promise<boolean> {
    const [builtin] = builtins[this.#table];
    return (await checkRule(this.#context, this.#table, builtin, `-j ${name}`)) !== 'no target';
  }

  #add(name: string, ...lines: readonly string[]): void {
    this.#chains.set(name, [...(this.#chains.get(name) ?? []), ...lines]);
  }

  #unmet(names: Iterable<string>): readonly string[] {
    return [...new Set(names)].filter(
      (name) => isChainName(name) && !this.#chains.has(name) && !this.#absent.has(name),
    );
  }
}

/** A name that iptables lets one list; other names are not Weir's. */
function isChainName(name: string): boolean {
  return /^[^\s"'\\!-][^\s"'\\]{0,27}$/.test(name) && !targets.has(name);
}

/** What a rule may do that is no chain. */
const targets: ReadonlySet<string> = new Set(
  [
    'ACCEPT DROP RETURN QUEUE NFQUEUE REJECT LOG NFLOG ULOG TRACE AUDIT',
    'DNAT SNAT MASQUERADE REDIRECT NETMAP DNPT SNPT CLUSTERIP TPROXY TEE',
    'MARK CONNMARK HMARK CT NOTRACK SECMARK CONNSECMARK CLASSIFY CHECKSUM SET',
    'TOS DSCP ECN TTL HL TCPMSS TCPOPTSTRIP SYNPROXY IDLETIMER LED RATEEST',
  ].flatMap((line) => line.split(' ')),
);
