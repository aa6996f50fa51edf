import type { Diagnostic } from '../../pkg/api/index.ts';
import {
  absentText,
  createSysctl,
  detectBackend,
  findProxyLeftovers,
  type ProxyLeftover,
  readKernel,
  sysctlNames,
} from '../../pkg/apply/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { type Flags, loadPlanConfig, type PlanConfig, type RuleConfig } from '../../pkg/config/index.ts';
import {
  BuiltinChains,
  type ChainName,
  type KernelSnapshot,
  type Ownership,
  planTogether,
  RuleState,
  type TableName,
} from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { createCommandRunner, systemClock } from '../../pkg/runtime/index.ts';
import { noObserver, type ReflectorObserver, type SourceLog } from '../../pkg/source/index.ts';
import { diagnosticLine } from '../diagnostic-log.ts';
import { interfaceAddresses } from '../node/interface-addresses.ts';
import { nodeDiagnostics } from '../node/node-diagnostic.ts';
import { PolicyController } from '../policies/policy-controller.ts';
import { mismatchDiagnostic } from '../policies/range-mismatch-log.ts';
import { ServiceController } from '../services/service-controller.ts';
import {
  parts as allParts,
  type Part,
  partOwnership,
  ruleLandmarks,
  tablesOf,
} from '../sync/part-ownership.ts';
import { storeHandler } from '../sync/store-handler.ts';
import { readCniResults } from './cni-results.ts';
import { configHost } from './config-host.ts';
import { existingTables } from './existing-tables.ts';
import { countChanges, type ExplainedPlan } from './explained-plan.ts';
import { leftoversAsJson } from './leftover-report.ts';
import { type Caller, openSource } from './open-source.ts';
import type { Output } from './output.ts';
import { type Paint, painter } from './paint.ts';
import { planAsJson } from './plan-as-json.ts';
import { planSummary } from './plan-summary.ts';
import { plannedObjects } from './planned-objects.ts';
import { printPlans } from './print-plan.ts';
import { printSummary } from './print-summary.ts';
import { requireLoaded } from './require-config.ts';
import { readSavedRules } from './saved-rules.ts';
import { warnOfGaps } from './warn-of-gaps.ts';

/** A cluster of 10,000 Services tells everything in seconds; an API server that is away does not come back for a plan. */
const apiDeadlineMs = 60_000;
/** What the API server refuses it will hardly give a minute later; an API server that has just started may refuse for a moment. */
const refusedMs = 5000;

export interface PlanCommand extends Caller {
  readonly flags: Flags;
  readonly output: Output;
}

/** What the rules depend on besides objects and configuration: the node itself, or what is known of one that is elsewhere. */
interface PlannedNode {
  readonly kernels: ReadonlyMap<Family, KernelSnapshot>;
  /** What kube-proxy in modes without iptables rules has left, or keeps up. */
  readonly leftovers: readonly ProxyLeftover[];
  readonly tcpBeLiberal: boolean;
  readonly interfaceAddresses: (store: Store) => readonly string[];
}

/** The rules of one family, by part. Of a part that is not asked for there are none. */
type PlannedFamily = Readonly<Record<Part, RuleState>>;

const nothingOwned: Ownership = { tables: [], chain: () => 'foreign', jump: () => false, set: () => false };

/** Each chain belongs to one part. */
function appliedIn(family: PlannedFamily, table: TableName, chain: ChainName): string | undefined {
  return allParts.map((part) => family[part].appliedChain(table, chain)).find((rules) => rules !== undefined);
}

/** `weir plan`: the difference between what should be and what is. Writes nothing. Returns 0 for no change, 2 for changes. */
export async function plan(command: PlanCommand): Promise<number> {
  const { flags, output } = command;
  const { config, warnings } = requireLoaded(await loadPlanConfig(flags, configHost()));
  const warn = (line: string): void => output.warn(`warning: ${line}\n`);
  for (const warning of warnings) warn(warning);
  const store = await readObjects(config, command);
  const cniResults = await readCniResults(config, output);
  const node = config.against.length > 0 ? await savedNode(config) : await thisNode(config, output);
  const { parts } = config;
  const families = [...node.kernels].map(([family, snapshot]) => plannedFamily(family, snapshot, parts));
  const services = new ServiceController({
    store,
    config,
    tcpBeLiberal: node.tcpBeLiberal,
    states: parts.includes('services') ? families.map((family) => family.services) : [],
    interfaceAddresses: () => node.interfaceAddresses(store),
  });
  const dirty = store.takeDirty();
  services.update(dirty);
  const policies = new PolicyController({
    store,
    config,
    states: parts.includes('policies') ? families.map((family) => family.policies) : [],
    cniResults: () => cniResults,
  });
  policies.update(dirty, services.podCIDRs);
  tell(output, [
    ...nodeDiagnostics(store, config.nodeName),
    ...services.conflictDiagnostics(),
    ...(parts.includes('policies') ? policies.hints() : []),
    ...policies.rangeMismatches().map((mismatch) => mismatchDiagnostic(config.nodeName, mismatch)),
  ]);
  const plans = families.map((family) => explainedPlan(family, store, services, policies));
  const leftovers = parts.includes('services') ? node.leftovers : [];
  const changes = plans.reduce((sum, explained) => sum + countChanges(explained), leftovers.length);
  output.write(printed(config, plans, leftovers, painter(output.isColoured)));
  return changes === 0 ? 0 : 2;
}

function plannedFamily(family: Family, snapshot: KernelSnapshot, parts: readonly Part[]): PlannedFamily {
  const builtins = new BuiltinChains();
  const stateOf = (part: Part): RuleState => {
    const ownership = parts.includes(part) ? partOwnership(part, family) : nothingOwned;
    const state = new RuleState(family, ownership, builtins);
    state.replaceApplied(snapshot);
    return state;
  };
  return { policies: stateOf('policies'), services: stateOf('services') };
}

function explainedPlan(
  states: PlannedFamily,
  store: Store,
  services: ServiceController,
  policies: PolicyController,
): ExplainedPlan {
  const { family } = states.services;
  const { plans, whole } = planTogether([states.policies, states.services]);
  const [ofPolicies = whole, ofServices = whole] = plans;
  const finders = [services.originFinder(family), policies.originFinder(family)];
  return {
    plan: whole,
    parts: { policies: ofPolicies, services: ofServices },
    state: { appliedChain: (...chain) => appliedIn(states, ...chain) },
    owners: services.chainOwners(),
    originsOf: (element) => finders.flatMap((find) => find(element)),
    objects: plannedObjects({
      store,
      family,
      elementsOf: (service) => services.elementsOf(family, service),
      unowned: policies.unownedAddresses(),
    }),
  };
}

function printed(
  { output, summary }: Pick<PlanConfig, 'output' | 'summary'>,
  plans: readonly ExplainedPlan[],
  leftovers: readonly ProxyLeftover[],
  paint: Paint,
): string {
  if (output === 'text')
    return summary
      ? `${printSummary(plans, leftovers, paint).join('\n')}\n`
      : printPlans(plans, leftovers, paint);
  const json = {
    changes: plans.reduce((sum, explained) => sum + countChanges(explained), leftovers.length),
    summary: plans.map(planSummary),
    ...(summary ? {} : { families: plans.map(planAsJson) }),
    leftovers: leftoversAsJson(leftovers),
  };
  return `${JSON.stringify(json, undefined, 2)}\n`;
}

/** The addresses of another node's interfaces are not known; those of its Node object are. */
async function savedNode(config: PlanConfig): Promise<PlannedNode> {
  const { kernels, proxyTables } = await readSavedRules(config.against);
  return {
    kernels,
    leftovers: proxyTables.map((family) => ({ kind: 'table', family }) as const),
    tcpBeLiberal: config.conntrackTcpBeLiberal,
    interfaceAddresses: (store) => store.get('Node', '', config.nodeName)?.addresses ?? [],
  };
}

async function thisNode({ parts, ...config }: RuleConfig, output: Output): Promise<PlannedNode> {
  const commands = createCommandRunner();
  const { families, absent, warnings } = await detectBackend({ commands, choice: config.iptablesBackend });
  for (const warning of [...absent.map(absentText), ...warnings]) output.warn(`warning: ${warning}\n`);
  const kernels = new Map<Family, KernelSnapshot>();
  for (const tools of families) {
    const tables = await existingTables(tools, tablesOf(parts, tools.family));
    const kernel = await readKernel(commands, tools, tables, { landmarks: ruleLandmarks(parts) });
    warnOfGaps(tools.family, kernel, output);
    kernels.set(tools.family, kernel);
  }
  const { leftovers, unknown } = parts.includes('services')
    ? await findProxyLeftovers(commands)
    : { leftovers: [], unknown: [] };
  for (const line of unknown) output.warn(`warning: ${line}\n`);
  const liberal = (await createSysctl().read(sysctlNames.tcpBeLiberal)) ?? '0';
  return {
    kernels,
    leftovers,
    tcpBeLiberal: config.conntrackTcpBeLiberal || liberal !== '0',
    interfaceAddresses: () => interfaceAddresses(),
  };
}

/** Everything there is, once. Rejects with WEIR_API_UNREACHABLE when the API server does not tell it in time. */
async function readObjects(config: PlanConfig, { env, version, output }: PlanCommand): Promise<Store> {
  const store = new Store();
  const log: SourceLog = { info: () => undefined, warn: (line) => output.warn(`warning: ${line}\n`) };
  const told = new AbortController();
  const stopAfter = (ms: number): void => {
    const sleepAndStop = systemClock.sleep(ms, told.signal).then(() => source.stop());
    sleepAndStop.catch(() => undefined);
  };
  const observer: ReflectorObserver = {
    ...noObserver,
    failed: (kind, reason) => {
      // Without ServiceCIDRs there is a plan all the same.
      const isFinal = reason === 'forbidden' || reason === 'unauthorized';
      if (isFinal && kind !== 'ServiceCIDR') stopAfter(refusedMs);
    },
  };
  const { source, client } = await openSource({ config, env, version, log, observer });
  stopAfter(apiDeadlineMs);
  try {
    await source.start(storeHandler({ store, diagnostics: (_, list) => tell(output, list) }));
    return store;
  } finally {
    told.abort(new Error('told'));
    await source.stop();
    await client?.close();
  }
}

/** Both families may have the same to say. */
function tell(output: Output, diagnostics: readonly Diagnostic[]): void {
  const lines = diagnostics.map((diagnostic) => `${diagnostic.severity}: ${diagnosticLine(diagnostic)}\n`);
  for (const line of new Set(lines)) output.warn(line);
}
