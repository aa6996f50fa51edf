import type { Family } from '../../pkg/net/index.ts';

/** What a node's kernel holds, with Weir's part and everybody else's apart; counters and random numbers left out. */
export interface NodeRules {
  /** `FAMILY table chain` → rule lines, for chains and jumps that are Weir's (or kube-proxy's: the names are the same). */
  readonly own: Readonly<Record<string, readonly string[]>>;
  /** The same for all else: foreign chains whole, built-in chains without our jumps, their policies. */
  readonly foreign: Readonly<Record<string, readonly string[]>>;
  /** Set → its `create` line, then its members, sorted. */
  readonly ownSets: Readonly<Record<string, readonly string[]>>;
  readonly foreignSets: Readonly<Record<string, readonly string[]>>;
}

const ownChain =
  /^(KUBE-(SERVICES|EXTERNAL-SERVICES|FORWARD|NODEPORTS|PROXY-FIREWALL|POSTROUTING|MARK-MASQ|FIREWALL|PROXY-CANARY|SVC-.*|SVL-.*|EXT-.*|FW-.*|SEP-.*)|WEIR-.*)$/;

/** On legacy the agent writes it a moment after all else, and no cluster asks for it. */
export const canary = /^(:|-A )WEIR-CANARY | -j WEIR-CANARY$/;

/** Reads what `iptables-save`, `ip6tables-save` and `ipset save` print. */
export function nodeRules(saved: Readonly<Record<Family, string>>, sets: string): NodeRules {
  const own: Record<string, string[]> = {};
  const foreign: Record<string, string[]> = {};
  for (const [family, text] of Object.entries(saved)) readRules(family, text, own, foreign);
  const ownSets: Record<string, string[]> = {};
  const foreignSets: Record<string, string[]> = {};
  const lines = sets.split('\n').filter((line) => line !== '');
  const creates = lines.filter((line) => line.startsWith('create '));
  const adds = lines.filter((line) => line.startsWith('add ')).toSorted();
  for (const line of [...creates.map(withoutChance), ...adds]) {
    const [, name = ''] = line.split(' ');
    ((name.startsWith('WEIR-') ? ownSets : foreignSets)[name] ??= []).push(line);
  }
  return { own, foreign, ownSets, foreignSets };
}

function readRules(
  family: string,
  text: string,
  own: Record<string, string[]>,
  foreign: Record<string, string[]>,
): void {
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1);
    if (canary.test(line)) continue;
    const [, chain = '', policy = ''] = /^:(\S+) (\S+)/.exec(line) ?? [];
    if (chain !== '') {
      const rules = (isOwn(table, chain) ? own : foreign)[`${family} ${table} ${chain}`] ?? [];
      if (policy !== '-' && policy !== 'ACCEPT') rules.push(`policy ${policy}`);
      (isOwn(table, chain) ? own : foreign)[`${family} ${table} ${chain}`] = rules;
    }
    const [, from = ''] = /^-A (\S+)/.exec(line) ?? [];
    if (from === '') continue;
    const target = / -j (\S+)$/.exec(line)?.[1] ?? '';
    const isOurs = isOwn(table, from) || (/^[A-Z]+$/.test(from) && isOwn(table, target));
    ((isOurs ? own : foreign)[`${family} ${table} ${from}`] ??= []).push(line);
  }
}

/** A set's size and seed are up to the kernel. */
function withoutChance(create: string): string {
  return create.replace(/ (hashsize|bucketsize|initval) \S+/g, '');
}

function isOwn(table: string, chain: string): boolean {
  return (table === 'filter' || table === 'nat') && ownChain.test(chain);
}
