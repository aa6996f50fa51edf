import { addStep, type Flow, type HookView, mergeFlows } from './flow.ts';
import type { TraceStep } from './packet.ts';
import { chanceOf, type TracedRule, type TracedTable } from './traced-table.ts';

/** A flow that a table has done with. */
export interface FinishedFlow {
  readonly flow: Flow;
  readonly verdict: 'accept' | 'drop' | 'reject';
  readonly rejectWith?: string;
}

/** nf_tables allows 16 nested calls, legacy a little more: a deeper rule set was never loaded by a kernel. */
const maxDepth = 32;

/** One walk through a table at a hook; `finished` gathers what ended on the way. */
interface Walk {
  readonly table: TracedTable;
  readonly view: HookView;
  readonly finished: FinishedFlow[];
}

/** Where the flows that met a rule go on. */
interface Ways {
  /** To the next rule. */
  readonly next: Flow[];
  /** Back to the caller of the chain. */
  readonly back: Flow[];
}

/** Walks the built-in chain of the hook: what became of each flow. A chain that is not there accepts. */
export function walkBuiltin(
  table: TracedTable,
  flows: readonly Flow[],
  view: HookView,
): readonly FinishedFlow[] {
  const walk: Walk = { table, view, finished: [] };
  const left = walkChain(walk, view.hook, flows, 0);
  const drops = table.policy(view.hook) === 'DROP';
  for (const flow of left) {
    if (drops)
      walk.finished.push({
        flow: addStep(flow, stepOf(walk, view.hook, -1, 'policy DROP')),
        verdict: 'drop',
      });
    else walk.finished.push({ flow, verdict: 'accept' });
  }
  return walk.finished;
}

/** The flows that leave the chain by its end or by RETURN. */
function walkChain(walk: Walk, chain: string, flows: readonly Flow[], depth: number): readonly Flow[] {
  const back: Flow[] = [];
  let inside = flows;
  const count = walk.table.ruleCount(chain);
  for (let index = 0; index < count && inside.length > 0; index += 1) {
    const rule = walk.table.rule(chain, index);
    const next: Flow[] = [];
    for (const flow of inside)
      meetRule(walk, rule, stepOf(walk, chain, index, rule.text), flow, depth, { next, back });
    if (next.some((flow, position) => flow !== inside[position])) inside = mergeFlows(next);
    else inside = next;
  }
  return mergeFlows([...back, ...inside]);
}

function stepOf(walk: Walk, chain: string, index: number, text: string): TraceStep {
  const { hook, table } = walk.view;
  return { hook, table, chain, index: index + 1, text };
}

function meetRule(
  walk: Walk,
  rule: TracedRule,
  step: TraceStep,
  flow: Flow,
  depth: number,
  ways: Ways,
): void {
  const chance = chanceOf(rule, flow, walk.view);
  if (chance === 0) {
    ways.next.push(flow);
    return;
  }
  const undecided = obstacleOf(walk, rule, chance, depth);
  if (chance === undefined || undecided !== undefined) {
    ways.next.push(undecided === undefined ? flow : addStep(flow, { ...step, undecided }));
    return;
  }
  if (chance < 1) ways.next.push({ ...flow, probability: flow.probability * (1 - chance) });
  applyRule(walk, rule, addStep({ ...flow, probability: flow.probability * chance }, step), depth, ways);
}

/** Why it can't be told what the rule does to a flow that it may match; undefined also where it does nothing at all. */
function obstacleOf(
  walk: Walk,
  rule: TracedRule,
  chance: number | undefined,
  depth: number,
): string | undefined {
  const { effect } = rule;
  if (effect.kind === 'continue' && effect.change === undefined) return undefined;
  if (effect.kind === 'undecided') return effect.reason;
  if (effect.kind === 'call' && !walk.table.has(effect.chain)) return `there is no chain ${effect.chain}`;
  if (effect.kind === 'call' && depth >= maxDepth) return 'chains call each other too deeply';
  return chance === undefined
    ? 'a match that Weir does not know, or about something not known of the packet'
    : undefined;
}

function applyRule(walk: Walk, { effect }: TracedRule, flow: Flow, depth: number, ways: Ways): void {
  switch (effect.kind) {
    case 'continue':
      ways.next.push(effect.change?.(flow) ?? flow);
      return;
    case 'finish': {
      const { verdict, rejectWith, change } = effect;
      const finished = { flow: change?.(flow) ?? flow, verdict };
      walk.finished.push(rejectWith === undefined ? finished : { ...finished, rejectWith });
      return;
    }
    case 'return':
      ways.back.push(flow);
      return;
    case 'call':
      // What comes back from `-g` does not come back here: it goes on where this chain was called.
      (effect.goto ? ways.back : ways.next).push(...walkChain(walk, effect.chain, [flow], depth + 1));
      return;
    case 'undecided':
      return;
  }
}
