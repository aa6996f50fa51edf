import {
  type BuiltinChains,
  type ChainName,
  chainName,
  type Jump,
  type Ownership,
  printRule,
  RuleState,
  type TableName,
} from '../kernel/index.ts';
import type { Family } from '../net/index.ts';

/** The chain of the canary in the nat and in the filter table of legacy iptables. */
const canaryChain: ChainName = chainName('WEIR-CANARY');

/**
 * UDP ports on the loopback address. kube-proxy has the same numbers for TCP, so nobody else expects to get them; Weir binds both, and does
 * without the canary where one is taken.
 */
export const canaryPorts = { call: 10_249, answer: 10_256 } as const;

export const loopback = { IPv4: '127.0.0.1', IPv6: '::1' } as const satisfies Record<Family, string>;

const canaryComment = 'weir canary';

/** A chain with the jump that leads packets of the canary into it, and no others. */
export interface CanaryRules {
  readonly jump: Jump;
  /** Rule bodies of the chain, a line each. */
  readonly rules: string;
}

/**
 * True for the first packet since the rule was put into the kernel, and then not for a lifetime. Legacy iptables has no way but to put the
 * whole table anew into the kernel, which begins to count from the start: whoever changes anything in the table betrays it here.
 */
const untouchedBefore = '-m statistic --mode nth --every 2147483647 --packet 0 -j RETURN';

/** A new connection to the port `call` is answered at the port `answer`, but for the first packet since the table was written. */
export function natCanary(family: Family): CanaryRules {
  const address = loopback[family];
  const host = family === 'IPv4' ? address : `[${address}]`;
  const answer = printRule({
    matches: [{ kind: 'protocol', protocol: 'udp' }],
    target: { kind: 'dnat', to: `${host}:${canaryPorts.answer}` },
  });
  return { jump: canaryJump(family, 'nat'), rules: `${untouchedBefore}\n${answer}` };
}

/** A packet from the port `answer` to itself is dropped, but for the first one since the table was written. */
export function filterCanary(family: Family): CanaryRules {
  return { jump: canaryJump(family, 'filter'), rules: `${untouchedBefore}\n-j DROP` };
}

function canaryJump(family: Family, table: Extract<TableName, 'filter' | 'nat'>): Jump {
  const cidr = `${loopback[family]}/${family === 'IPv4' ? 32 : 128}`;
  const port = (number: number) => ({ protocol: 'udp', ports: { first: number, last: number } }) as const;
  const rule = printRule({
    matches: [
      { kind: 'source', cidr },
      { kind: 'destination', cidr },
      { kind: 'out-interface', name: 'lo' },
      { kind: 'comment', text: canaryComment },
      ...(table === 'nat'
        ? [{ kind: 'destination-port', ...port(canaryPorts.call) } as const]
        : [
            { kind: 'source-port', ...port(canaryPorts.answer) } as const,
            { kind: 'destination-port', ...port(canaryPorts.answer) } as const,
          ]),
    ],
    target: { kind: 'jump', chain: canaryChain },
  });
  return { table, builtin: 'OUTPUT', rule, target: canaryChain, position: 'reachable' };
}

/** Which chain is the canary's: it belongs to no part, and to no cluster. */
export const canaryOwnership: Ownership = {
  tables: ['filter', 'nat'],
  chain: (_, name) => (name === canaryChain ? 'own' : 'foreign'),
  jump: (_, rule) => rule.includes(`--comment "${canaryComment}"`),
  set: () => false,
  // The ways into the policies are first of all.
  staysAhead: (target) => target.startsWith('WEIR-') && target !== canaryChain,
};

/** The rules of the canary in these tables. `builtins`: what the kernel's own chains hold. */
export function canaryState(
  family: Family,
  tables: readonly TableName[],
  builtins: BuiltinChains,
): RuleState {
  const state = new RuleState(family, canaryOwnership, builtins);
  const rules = [natCanary(family), filterCanary(family)].filter(({ jump }) => tables.includes(jump.table));
  for (const { jump, rules: lines } of rules) state.setChain(jump.table, canaryChain, lines, 0);
  state.setJumps(rules.map(({ jump }) => jump));
  return state;
}
