import { detectBackend, type FamilyTools, KernelWriter } from '../../pkg/apply/index.ts';
import { type CleanupConfig, type Flags, parseCleanupConfig } from '../../pkg/config/index.ts';
import {
  BuiltinChains,
  isEmptyPlan,
  type KernelSnapshot,
  type Plan,
  planTogether,
  RuleState,
} from '../../pkg/kernel/index.ts';
import { createCommandRunner, systemClock, WeirError } from '../../pkg/runtime/index.ts';
import { claimNode } from '../node/node-claim.ts';
import { otherProxyPorts } from '../node/other-proxy.ts';
import { type Part, partOwnership } from '../sync/part-ownership.ts';
import { existingTables } from './existing-tables.ts';
import type { Output } from './output.ts';
import { requireConfig } from './require-config.ts';

export interface CleanupCommand {
  readonly flags: Flags;
  readonly output: Output;
}

/** `weir cleanup`: takes the rules and sets out of the kernel and says which. Returns the exit code. */
export async function cleanup({ flags, output }: CleanupCommand): Promise<number> {
  const config = requireConfig(parseCleanupConfig(flags));
  if (!config.force) await refuseWhileInUse(config);
  const commands = createCommandRunner();
  const { families, warnings } = await detectBackend({ commands, choice: config.iptablesBackend });
  for (const warning of warnings) output.warn(`warning: ${warning}\n`);
  for (const tools of families) {
    const onContention = (message: string): void => output.warn(`${message}\n`);
    const writer = new KernelWriter({ tools, commands, clock: systemClock, onContention });
    const kernel = await writer.read(await existingTables(tools));
    if (config.handBack) refuseWithoutSuccessor(kernel, tools);
    const plan = removal(kernel, tools, config.handBack);
    if (!isEmptyPlan(plan)) await writer.apply(plan);
    output.write(`${removedText(plan, tools)}\n`);
  }
  return 0;
}

/** After kube-proxy's first sync the KUBE- chains are kube-proxy's; taking rules from under a running proxy breaks the node. */
async function refuseWhileInUse({ handBack }: CleanupConfig): Promise<void> {
  const claim = await claimNode();
  if (claim === undefined) {
    throw new WeirError(
      'WEIR_OTHER_PROXY',
      'Weir runs on this node and would write everything again; end it first, or use --force',
    );
  }
  claim.release();
  const ports = handBack ? [] : await otherProxyPorts();
  if (ports.length === 0) return;
  throw new WeirError(
    'WEIR_OTHER_PROXY',
    `another proxy runs on this node (port ${ports.join(' and ')} answers) and needs the KUBE- chains; use --hand-back to remove only what is Weir's, or --force`,
  );
}

/** Sets can only go when no rule asks for them; that is so once kube-proxy has written its own rules over Weir's. */
function refuseWithoutSuccessor({ tables }: KernelSnapshot, { family }: FamilyTools): void {
  for (const [table, { chains }] of tables) {
    for (const [name, rules] of chains) {
      if (name.startsWith('WEIR-') || !rules.includes('--match-set WEIR-')) continue;
      throw new WeirError(
        'WEIR_OTHER_PROXY',
        `${family} rules are still Weir's (${table} ${name} uses its sets): start kube-proxy and wait for its first sync, then hand back; or remove everything with weir cleanup`,
      );
    }
  }
}

/** All parts, since nothing is wanted of any. After a hand-back the KUBE- chains are kube-proxy's. */
function removal(kernel: KernelSnapshot, { family }: FamilyTools, handBack: boolean): Plan {
  const builtins = new BuiltinChains();
  const stateOf = (part: Part): RuleState => {
    const ownership = partOwnership(part, family);
    const isOthers = handBack && part === 'services';
    const state = new RuleState(
      family,
      isOthers ? { ...ownership, chain: () => 'foreign' } : ownership,
      builtins,
    );
    state.replaceApplied(kernel);
    return state;
  };
  return planTogether([stateOf('policies'), stateOf('services')]).whole;
}

/** More chains than this are counted, not listed. */
const listedChains = 30;

/** What `plan` took away. Chains that come and go with Services are told last, since there may be thousands. */
function removedText(plan: Plan, { family, backend }: Pick<FamilyTools, 'family' | 'backend'>): string {
  const title = `${family} (${backend})`;
  if (isEmptyPlan(plan)) return `${title}: nothing to remove`;
  const chains = plan.deleteChains.map(({ table, name }) => `  chain ${table} ${name}`);
  const more = chains.length - listedChains;
  const counts = [
    [plan.jumps.length, 'jump'],
    [chains.length, 'chain'],
    [plan.destroySets.length, 'set'],
  ] as const;
  const removed = counts
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} ${what}${count === 1 ? '' : 's'}`);
  return [
    `${title}: removed ${removed.join(', ')}`,
    ...plan.jumps.map(({ table, builtin, rule }) => `  jump ${table} ${builtin}: ${rule}`),
    ...plan.destroySets.map((name) => `  set ${name}`),
    ...chains.slice(0, listedChains),
    ...(more > 0 ? [`  … and ${more} more chains`] : []),
  ].join('\n');
}
