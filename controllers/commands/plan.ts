import { createSysctl, detectBackend, readKernel, sysctlNames } from '../../pkg/apply/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { parseRuleConfig, type RuleConfig } from '../../pkg/config/index.ts';
import { type KernelSnapshot, RuleState } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { createCommandRunner, systemClock, WeirError } from '../../pkg/runtime/index.ts';
import { serviceOwnership } from '../../pkg/service/iptables/index.ts';
import { createManifestSource } from '../../pkg/source/index.ts';
import { diagnosticLine } from '../diagnostic-log.ts';
import { interfaceAddresses } from '../interface-addresses.ts';
import { ServiceController } from '../service-controller.ts';
import type { Output } from './output.ts';
import { countChanges, type ExplainedPlan, painter, planAsJson, printPlan } from './print-plan.ts';
import { readSavedRules } from './saved-rules.ts';

export interface PlanCommand {
  readonly flags: Readonly<Record<string, unknown>>;
  /** Files with saved rules, in place of the running kernel. */
  readonly against: readonly string[];
  readonly format: 'text' | 'json';
  readonly output: Output;
}

/** `weir plan`: the difference between what should be and what is. Writes nothing. Returns 0 for no change, 2 for changes. */
export async function plan({ flags, against, format, output }: PlanCommand): Promise<number> {
  const parsed = parseRuleConfig(flags);
  if ('errors' in parsed) throw new WeirError('WEIR_BAD_FLAG', parsed.errors.join('; '));
  const kernels = against.length > 0 ? await savedKernels(against) : await runningKernel(parsed.config);
  const states = [...kernels].map(([family, snapshot]) => {
    const state = new RuleState(family, serviceOwnership(family));
    state.replaceApplied(snapshot);
    return state;
  });
  const services = await desiredServices(parsed.config, states, output);
  const owners = services.chainOwners();
  const plans = states.map((state): ExplainedPlan => ({ plan: state.plan(), state, owners }));
  const changes = plans.reduce((sum, explained) => sum + countChanges(explained), 0);
  if (format === 'json') {
    output.write(`${JSON.stringify({ changes, families: plans.map(planAsJson) }, undefined, 2)}\n`);
  } else {
    const paint = painter(output.isTerminal);
    for (const explained of plans) output.write(`${printPlan(explained, paint)}\n`);
  }
  return changes === 0 ? 0 : 2;
}

async function savedKernels(files: readonly string[]): Promise<ReadonlyMap<Family, KernelSnapshot>> {
  const kernels = new Map<Family, KernelSnapshot>();
  for (const file of files) {
    const { family, snapshot } = await readSavedRules(file);
    if (kernels.has(family))
      throw new WeirError('WEIR_BAD_FLAG', `--against: two files with ${family} rules`);
    kernels.set(family, snapshot);
  }
  return kernels;
}

async function runningKernel(config: RuleConfig): Promise<ReadonlyMap<Family, KernelSnapshot>> {
  const commands = createCommandRunner();
  const { families } = await detectBackend({ commands, choice: config.iptablesBackend });
  const kernels = new Map<Family, KernelSnapshot>();
  for (const tools of families)
    kernels.set(tools.family, await readKernel(commands, tools, ['filter', 'nat']));
  return kernels;
}

async function desiredServices(
  config: RuleConfig,
  states: readonly RuleState[],
  output: Output,
): Promise<ServiceController> {
  const store = new Store();
  const source = createManifestSource({ path: config.manifests, clock: systemClock });
  await source.start({
    upsert: (object) => {
      store.upsert(object);
    },
    delete: (kind, namespace, name) => {
      store.remove(kind, namespace, name);
    },
    synced: () => store.markSynced(),
    diagnostics: (_, list) => {
      for (const diagnostic of list) output.warn(`${diagnostic.severity}: ${diagnosticLine(diagnostic)}\n`);
    },
    settled: () => undefined,
  });
  await source.stop();
  const tcpBeLiberal =
    config.conntrackTcpBeLiberal || (await createSysctl().read(sysctlNames.tcpBeLiberal)) === '1';
  const services = new ServiceController({ store, config, tcpBeLiberal, states, interfaceAddresses });
  services.update(store.takeDirty());
  for (const conflict of services.conflictDiagnostics())
    output.warn(`warning: ${diagnosticLine(conflict)}\n`);
  return services;
}
