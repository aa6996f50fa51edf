import type { ChainWrite, Plan } from '../kernel/index.ts';
import { additions, destructions, lateChanges, replacements } from './ipset-text.ts';
import type { RestorePiece } from './restore-piece.ts';
import type { Transaction } from './restore-section.ts';
import { emptyTransaction, restoreInput } from './restore-section.ts';
import type { Backend } from './tools.ts';

/** How much goes into one piece on nf_tables. */
export interface PieceLimits {
  /** Chains written or deleted, plus rules that jump: each is a name the tool looks up in a linked list. */
  readonly names: number;
  readonly rules: number;
}

/**
 * Measured with iptables 1.8.9 on a two-core virtual machine, 10,000 flat Services × 5 endpoints and their tree (10,274 chains, 60,273
 * rules), in all: pieces of 250, 500, 1,000, 2,000 chains 1.7, 1.6, 1.7, 2.1 s; one piece 9.4 s. With pieces of 500 chains,
 * but the tree (10,000 jumps) in one piece: 3.7 s. So both are bounded.
 */
const nftLimits: PieceLimits = { names: 1000, rules: 2500 };

/**
 * A plan as the inputs of restore commands, to be run in this order. Sets and members come before the rules that look
 * into them, and go after them. On legacy all rules are one restore, since each copies the whole table in and out; on
 * nf_tables a big plan is cut by stage, so that a chain is there before anything refers to it, and entry chains and jumps
 * are last. A table's part of one piece is atomic; pieces, tables and sets are not atomic together.
 */
export function restorePieces(
  plan: Plan,
  backend: Backend,
  limits: PieceLimits = nftLimits,
): readonly RestorePiece[] {
  const pieces =
    backend === 'legacy' || fitsInOne(plan, limits) ? inOnePiece(plan) : inManyPieces(plan, limits);
  return pieces.filter((piece) => piece.input.length > 0);
}

/** Stale chains go along with the writes, before members are removed: nothing refers to them by then, so no packet can tell. */
function inOnePiece(plan: Plan): readonly RestorePiece[] {
  const { writeChains, jumps, deleteChains } = plan;
  return [
    ...replacements(plan),
    { tool: 'ipset', about: 'sets and members', input: additions(plan) },
    rulesPiece('chains and jumps', { ...emptyTransaction, writeChains, jumps, deleteChains }),
    {
      tool: 'ipset',
      about: 'late members and sets to remove',
      input: [...lateChanges(plan), ...destructions(plan)],
      leavesHeldSets: true,
    },
  ];
}

/**
 * The filter table is never cut: a pod that moves from one policy chain to another would be in neither for the moment between
 * two pieces. It is small, and comes first, so that policies hold before Services lead to pods.
 */
function inManyPieces(plan: Plan, limits: PieceLimits): readonly RestorePiece[] {
  const isFilter = ({ table }: { readonly table: string }): boolean => table === 'filter';
  const groups = groupChains(
    plan.writeChains.filter((chain) => !isFilter(chain)),
    limits,
  );
  const last = groups.at(-1) ?? [];
  return [
    ...replacements(plan),
    { tool: 'ipset', about: 'sets and members', input: additions(plan) },
    rulesPiece('early rules', { ...emptyTransaction, earlyRules: earlyRules(plan) }),
    rulesPiece('filter chains and jumps', {
      ...emptyTransaction,
      writeChains: plan.writeChains.filter(isFilter),
      jumps: plan.jumps.filter(isFilter),
    }),
    ...groups.slice(0, -1).map((writeChains) => rulesPiece('chains', { ...emptyTransaction, writeChains })),
    rulesPiece('chains and jumps', {
      ...emptyTransaction,
      writeChains: last,
      jumps: plan.jumps.filter((jump) => !isFilter(jump)),
    }),
    { tool: 'ipset', about: 'late members', input: lateChanges(plan) },
    ...deletePieces(plan.deleteChains, limits),
    { tool: 'ipset', about: 'sets to remove', input: destructions(plan), leavesHeldSets: true },
  ];
}

/** A rule can only be put into a chain that is there; rewriting a chain that is not new takes the rule away again. */
function earlyRules(plan: Plan): Plan['earlyRules'] {
  const existing = new Set(
    plan.writeChains.filter((chain) => !chain.isNew).map((chain) => `${chain.table} ${chain.name}`),
  );
  return plan.earlyRules.filter((item) => existing.has(`${item.table} ${item.chain}`));
}

/** Stale chains may refer to each other: where they don't fit in one piece, all are emptied before the first goes. */
function deletePieces(chains: Plan['deleteChains'], limits: PieceLimits): readonly RestorePiece[] {
  const groups: Plan['deleteChains'][] = [];
  for (let from = 0; from < chains.length; from += limits.names)
    groups.push(chains.slice(from, from + limits.names));
  return [
    ...(groups.length > 1 ? groups : []).map((flushChains) =>
      rulesPiece('stale chains, emptied', { ...emptyTransaction, flushChains }),
    ),
    ...groups.map((deleteChains) => rulesPiece('stale chains', { ...emptyTransaction, deleteChains })),
  ];
}

/** One transaction for each table. */
export function rulesPiece(about: string, transaction: Transaction): RestorePiece {
  return { tool: 'iptables-restore', about, input: restoreInput(transaction) };
}

function fitsInOne(plan: Plan, limits: PieceLimits): boolean {
  if (plan.deleteChains.length > limits.names) return false;
  return (
    groupChains(plan.writeChains, { ...limits, names: limits.names - plan.deleteChains.length }).length <= 1
  );
}

/** Consecutive chains in groups within the limits; a chain is never split, however big. */
function groupChains(chains: readonly ChainWrite[], limits: PieceLimits): ChainWrite[][] {
  const groups: ChainWrite[][] = [];
  let names = Number.POSITIVE_INFINITY;
  let rules = Number.POSITIVE_INFINITY;
  for (const chain of chains) {
    const cost = chainCost(chain);
    if (names + cost.names > limits.names || rules + cost.rules > limits.rules) {
      groups.push([]);
      names = 0;
      rules = 0;
    }
    names += cost.names;
    rules += cost.rules;
    groups.at(-1)?.push(chain);
  }
  return groups;
}

/** Targets of the kernel are written in capitals without a dash; our chains and kube-proxy's all have one. */
const jump = / -[jg] [A-Z]+-/g;

function chainCost(chain: ChainWrite): PieceLimits {
  const rules = chain.rules === '' ? 0 : chain.rules.split('\n').length;
  const jumps = ` ${chain.rules.replaceAll('\n', '\n ')}`.match(jump)?.length ?? 0;
  return { names: 1 + jumps, rules };
}
