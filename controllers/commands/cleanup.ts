import { detectBackend, type FamilyTools, KernelWriter } from '../../pkg/apply/index.ts';
import { isEmptyPlan, type Ownership, type Plan, RuleState } from '../../pkg/kernel/index.ts';
import { createCommandRunner, systemClock, WeirError } from '../../pkg/runtime/index.ts';
import { serviceOwnership } from '../../pkg/service/iptables/index.ts';
import { claimNode } from '../node-claim.ts';
import { otherProxyPorts } from '../other-proxy.ts';
import type { Output } from './output.ts';

export interface CleanupCommand {
  /** Only what is Weir's by name; everything that kube-proxy uses as well stays. */
  readonly handBack: boolean;
  readonly force: boolean;
  readonly backend: 'auto' | 'legacy' | 'nft';
  readonly output: Output;
}

/** `weir cleanup`: takes the rules and sets out of the kernel and says which. Returns the exit code. */
export async function cleanup(command: CleanupCommand): Promise<number> {
  if (!command.force) await refuseWhileInUse(command);
  const commands = createCommandRunner();
  const { families, warnings } = await detectBackend({ commands, choice: command.backend });
  for (const warning of warnings) command.output.warn(`warning: ${warning}\n`);
  for (const tools of families) {
    const onContention = (message: string): void => command.output.warn(`${message}\n`);
    const writer = new KernelWriter({ tools, commands, clock: systemClock, onContention });
    const state = new RuleState(tools.family, ownershipFor(tools, command.handBack));
    state.replaceApplied(await writer.read(['filter', 'nat']));
    const plan = state.plan();
    if (!isEmptyPlan(plan)) await writer.apply(plan);
    command.output.write(`${removedText(plan, tools)}\n`);
  }
  return 0;
}

/** After kube-proxy's first sync the KUBE- chains are kube-proxy's; taking rules from under a running proxy breaks the node. */
async function refuseWhileInUse({ handBack }: CleanupCommand): Promise<void> {
  const claim = await claimNode();
  if (claim === undefined) {
    throw new WeirError(
      'WEIR_OTHER_PROXY',
      'Weir is running on this node and would write everything again; end it first, or use --force',
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

function ownershipFor({ family }: FamilyTools, handBack: boolean): Ownership {
  const services = serviceOwnership(family);
  return {
    chain: (table, name) => {
      if (name.startsWith('WEIR-')) return 'own';
      return handBack ? 'foreign' : services.chain(table, name);
    },
    set: (name) => services.set(name),
  };
}

/** More chains than this are counted, not listed. */
const listedChains = 30;

function removedText(plan: Plan, { family, backend }: FamilyTools): string {
  const title = `${family} (${backend})`;
  if (isEmptyPlan(plan)) return `${title}: nothing to remove`;
  const chains = plan.deleteChains.map(({ table, name }) => `  chain ${table} ${name}`);
  const more = chains.length - listedChains;
  return [
    `${title}: removed ${plan.jumps.length} jumps, ${chains.length} chains, ${plan.destroySets.length} sets`,
    ...plan.jumps.map(({ table, builtin, rule }) => `  jump ${table} ${builtin}: ${rule}`),
    ...chains.slice(0, listedChains),
    ...(more > 0 ? [`  … and ${more} more chains`] : []),
    ...plan.destroySets.map((name) => `  set ${name}`),
  ].join('\n');
}
