import {
  absentText,
  detectBackend,
  type FamilyTools,
  findProxyLeftovers,
  findSetHolders,
  KernelWriter,
  leftoverText,
  removeProxyLeftover,
} from '../../pkg/apply/index.ts';
import { canaryOwnership } from '../../pkg/change-signal/index.ts';
import { type CleanupConfig, type Flags, parseCleanupConfig } from '../../pkg/config/index.ts';
import {
  BuiltinChains,
  isEmptyPlan,
  type KernelSnapshot,
  type Ownership,
  type Plan,
  planTogether,
  RuleState,
} from '../../pkg/kernel/index.ts';
import {
  type CommandRunner,
  createCommandRunner,
  errorLine,
  systemClock,
  WeirError,
} from '../../pkg/runtime/index.ts';
import { claimNode } from '../node/node-claim.ts';
import { otherProxyPorts } from '../node/other-proxy.ts';
import { type Part, partOwnership, ruleLandmarks, tablesOf } from '../sync/part-ownership.ts';
import { existingTables } from './existing-tables.ts';
import { type Held, heldReport } from './held-report.ts';
import type { Output } from './output.ts';
import { type Removal, removeBitByBit } from './remove-bit-by-bit.ts';
import { requireConfig } from './require-config.ts';
import { warnOfGaps } from './warn-of-gaps.ts';

export interface CleanupCommand {
  readonly flags: Flags;
  readonly output: Output;
}

/** `weir cleanup` has done all it can, and something of Weir's is still there because others refer to it. */
const somethingIsHeld = 2;

/**
 * `weir cleanup`: takes the rules and sets out of the kernel and says which. Returns the exit code: 0 when nothing of Weir's is left, 2 when something
 * is that others refer to, which is named. Throws the last error; one of a family never keeps the other's rules.
 */
export async function cleanup({ flags, output }: CleanupCommand): Promise<number> {
  const config = requireConfig(parseCleanupConfig(flags));
  if (!config.force) await refuseWhileInUse(config);
  const commands = createCommandRunner();
  const { families, absent, warnings } = await detectBackend({ commands, choice: config.iptablesBackend });
  for (const warning of [...absent.map(absentText), ...warnings]) output.warn(`warning: ${warning}\n`);
  let isSomethingHeld = false;
  const errors: unknown[] = [];
  for (const tools of families) {
    try {
      const { plan, held } = await cleanFamily(tools, commands, config, output);
      const report = heldReport(held, tools);
      isSomethingHeld ||= report.length > 0;
      output.write([removedText(plan, held, tools), ...report, ''].join('\n'));
    } catch (error) {
      // Without kube-proxy's rules neither family is handed back.
      if (config.handBack) throw error;
      errors.push(error);
    }
  }
  // With --hand-back they are those of the kube-proxy that takes over.
  if (!config.handBack && config.parts.includes('services'))
    errors.push(...(await removeLeftovers(commands, output)));
  for (const error of errors.slice(0, -1)) output.warn(`error: ${errorLine(error)}\n`);
  if (errors.length > 0) throw errors.at(-1);
  return isSomethingHeld ? somethingIsHeld : 0;
}

/** What kube-proxy in other modes left in force. Returns the errors. */
async function removeLeftovers(commands: CommandRunner, output: Output): Promise<readonly unknown[]> {
  const errors: unknown[] = [];
  const { leftovers, unknown } = await findProxyLeftovers(commands);
  for (const line of unknown) output.warn(`warning: ${line}\n`);
  for (const leftover of leftovers) {
    const { mode, what } = leftoverText(leftover);
    try {
      await removeProxyLeftover(commands, leftover);
      output.write(`kube-proxy in ${mode} mode: removed ${what}\n`);
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}

async function cleanFamily(
  tools: FamilyTools,
  commands: CommandRunner,
  { handBack, parts }: CleanupConfig,
  output: Output,
): Promise<{ readonly plan: Plan; readonly held: Held }> {
  const onContention = (message: string): void => output.warn(`${message}\n`);
  const landmarks = ruleLandmarks(parts);
  const writer = new KernelWriter({ tools, commands, clock: systemClock, landmarks, onContention });
  const kernel = await writer.read(await existingTables(tools, tablesOf(parts, tools.family)));
  if (handBack && parts.includes('services')) refuseWithoutSuccessor(kernel, tools);
  const states = partStates(kernel, tools, { handBack, parts });
  const plan = planTogether(states).whole;
  const references = states.flatMap((state) => state.heldByOthers());
  const remove = warnOfGaps(tools.family, kernel, output) ? removeBitByBit : removeAll;
  const { heldChains, heldSets } = await remove(writer, plan);
  const holders = await findSetHolders(commands, heldSets);
  const sets = new Map(heldSets.map((name) => [name, holders.get(name) ?? []] as const));
  return { plan, held: { references, chains: heldChains, sets } };
}

async function removeAll(writer: KernelWriter, plan: Plan): Promise<Removal> {
  const heldSets = isEmptyPlan(plan) ? [] : (await writer.apply(plan)).heldSets;
  return { heldChains: [], heldSets };
}

/** After kube-proxy's first sync the KUBE- chains are kube-proxy's; taking rules from under a running proxy breaks the node. */
async function refuseWhileInUse({ handBack, parts }: CleanupConfig): Promise<void> {
  const claim = await claimNode(parts);
  if (claim === undefined) {
    throw new WeirError(
      'WEIR_OTHER_PROXY',
      'Weir runs on this node and would write everything again; end it first, or use --force',
    );
  }
  claim.release();
  const ports = handBack || !parts.includes('services') ? [] : await otherProxyPorts();
  if (ports.length === 0) return;
  throw new WeirError(
    'WEIR_OTHER_PROXY',
    `another proxy runs on this node (port ${ports.join(' and ')} answers) and needs the KUBE- chains; use --hand-back to remove only what is Weir's, --parts=policies for the policies alone, or --force`,
  );
}

/** Sets can only go when no rule asks for them; that is so once kube-proxy has written its own rules over Weir's. */
function refuseWithoutSuccessor({ tables }: KernelSnapshot, { family }: FamilyTools): void {
  for (const [table, { chains }] of tables) {
    for (const [name, rules] of chains) {
      if (!name.startsWith('KUBE-') || !rules.includes('--match-set WEIR-')) continue;
      throw new WeirError(
        'WEIR_OTHER_PROXY',
        `${family} rules are still Weir's (${table} ${name} uses its sets): start kube-proxy and wait for its first sync, then hand back; or remove everything with weir cleanup`,
      );
    }
  }
}

/** These parts and the canary, since nothing is wanted of any. After a hand-back the KUBE- chains and sets are kube-proxy's. */
function partStates(
  kernel: KernelSnapshot,
  { family }: FamilyTools,
  { handBack, parts }: Pick<CleanupConfig, 'handBack' | 'parts'>,
): readonly [RuleState, ...RuleState[]] {
  const builtins = new BuiltinChains();
  const stateOf = (part: Part): RuleState => {
    const ownership = partOwnership(part, family);
    const left: Ownership = {
      ...ownership,
      chain: () => 'foreign',
      set: (name) => ownership.set(name) && !name.startsWith('KUBE-'),
    };
    const state = new RuleState(family, handBack && part === 'services' ? left : ownership, builtins);
    state.replaceApplied(kernel);
    return state;
  };
  const canary = new RuleState(family, canaryOwnership, builtins);
  canary.replaceApplied(kernel);
  const [first = 'policies', ...others] = parts;
  return [stateOf(first), ...others.map(stateOf), canary];
}

/** More chains than this are counted, not listed. */
const listedChains = 30;

/** What `plan` took away. Chains that come and go with Services are told last, since there may be thousands. */
function removedText(
  plan: Plan,
  held: Held,
  { family, backend }: Pick<FamilyTools, 'family' | 'backend'>,
): string {
  const title = `${family} (${backend})`;
  const chains = plan.deleteChains
    .filter((chain) => chain.isHeld !== true && !held.chains.includes(chain))
    .map(({ table, name }) => `  chain ${table} ${name}`);
  const sets = plan.destroySets.filter((name) => !held.sets.has(name));
  if (plan.jumps.length + chains.length + sets.length === 0) return `${title}: nothing to remove`;
  const more = chains.length - listedChains;
  const counts = [
    [plan.jumps.length, 'jump'],
    [chains.length, 'chain'],
    [sets.length, 'set'],
  ] as const;
  const removed = counts
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} ${what}${count === 1 ? '' : 's'}`);
  return [
    `${title}: removed ${removed.join(', ')}`,
    ...plan.jumps.map(({ table, builtin, rule }) => `  jump ${table} ${builtin}: ${rule}`),
    ...sets.map((name) => `  set ${name}`),
    ...chains.slice(0, listedChains),
    ...(more > 0 ? [`  … and ${more} more chains`] : []),
  ].join('\n');
}
