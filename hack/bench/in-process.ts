import { execFileSync } from 'node:child_process';
import { ServiceController } from '../../controllers/services/service-controller.ts';
import { decodeObject, namespacedName } from '../../pkg/api/index.ts';
import { KernelWriter, readKernel } from '../../pkg/apply/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { parseRuleConfig, type RuleConfig } from '../../pkg/config/index.ts';
import { type Plan, RuleState } from '../../pkg/kernel/index.ts';
import { type Command, createCommandRunner, systemClock } from '../../pkg/runtime/index.ts';
import { serviceOwnership } from '../../pkg/service/iptables/index.ts';
import { bareMilliseconds } from './bare-tools.ts';
import { benchTools } from './bench-tools.ts';
import {
  type BenchService,
  benchServices,
  clusterObjects,
  listJson,
  podIP,
  serviceObject,
  sliceObject,
} from './cluster.ts';
import { type RecordingRunner, recordingRunner } from './recording-runner.ts';
import { percentile, round } from './statistics.ts';

/**
 * Measures the parts one by one, in the network namespace that this process runs in: decode, render and plan, write, single
 * changes of each kind beside the bare tools on the same bytes, a resync without changes, a whole read-back. Prints one JSON object.
 */
const [backend = 'nft', servicesText = '100', endpointsText = '5', repeatText = '40'] = process.argv.slice(2);

interface Bench {
  readonly store: Store;
  readonly controller: ServiceController;
  readonly state: RuleState;
  readonly writer: KernelWriter;
  readonly recorder: RecordingRunner;
}

function ruleConfig(): RuleConfig {
  const parsed = parseRuleConfig({ manifests: '-', nodeName: 'node-0', clusterCidr: '10.244.0.0/14' });
  if ('errors' in parsed) throw new Error(parsed.errors.join('; '));
  return parsed.config;
}

function createBench(): Bench {
  const recorder = recordingRunner(createCommandRunner());
  const tools = benchTools(backend);
  const store = new Store();
  const state = new RuleState('IPv4', serviceOwnership('IPv4'));
  const controller = new ServiceController({
    store,
    config: ruleConfig(),
    tcpBeLiberal: false,
    states: [state],
    interfaceAddresses: () => ['127.0.0.1'],
  });
  const writer = new KernelWriter({
    tools,
    commands: recorder,
    clock: systemClock,
    onContention: () => undefined,
  });
  return { store, controller, state, writer, recorder };
}

function upsert(store: Store, raw: unknown): void {
  const result = decodeObject(raw);
  if (!('object' in result)) throw new Error('an object of the bench was refused');
  store.upsert(result.object);
}

/** One change from the event to the kernel: milliseconds, and the plan. */
async function sync({ store, controller, state, writer }: Bench): Promise<Plan> {
  controller.update(store.takeDirty());
  const plan = state.plan();
  await writer.apply(plan);
  state.applied(plan);
  return plan;
}

async function measureChange(bench: Bench, events: readonly (() => void)[]): Promise<object> {
  const times: number[] = [];
  const bare: number[] = [];
  for (const event of events) {
    bench.recorder.taken();
    const start = performance.now();
    event();
    await sync(bench);
    times.push(performance.now() - start);
    bare.push(bareMilliseconds(bench.recorder.taken()));
  }
  return {
    p50: round(percentile(times, 0.5)),
    p99: round(percentile(times, 0.99)),
    bareP50: round(percentile(bare, 0.5)),
    bareP99: round(percentile(bare, 0.99)),
  };
}

/** The whole load by the bare tools alone, in a fresh network namespace. */
function bareLoadMs(load: readonly Command[]): number {
  const namespace = `bare-${process.pid}`;
  execFileSync('ip', ['netns', 'add', namespace]);
  try {
    const inNamespace = load.map((command) => ({
      ...command,
      file: 'nsenter',
      args: [`--net=/run/netns/${namespace}`, command.file, ...command.args],
    }));
    return bareMilliseconds(inNamespace);
  } finally {
    execFileSync('ip', ['netns', 'delete', namespace]);
  }
}

async function main(): Promise<void> {
  const services = benchServices(Number(servicesText), Number(endpointsText));
  const text = listJson(clusterObjects(services));
  const bench = createBench();
  const { store, controller, state, writer, recorder } = bench;

  const decodeStart = performance.now();
  for (const item of (JSON.parse(text) as { items: unknown[] }).items) upsert(store, item);
  const decodeMs = performance.now() - decodeStart;
  const renderStart = performance.now();
  controller.update(store.takeDirty());
  const plan = state.plan();
  const renderMs = performance.now() - renderStart;
  const writeStart = performance.now();
  await writer.apply(plan);
  const writeMs = performance.now() - writeStart;
  state.applied(plan);
  const load = recorder.taken();
  const bareWriteMs = bareLoadMs(load);

  const repeat = Number(repeatText);
  const pick = (index: number): BenchService => {
    const service = services[(index * 7919) % services.length];
    if (service === undefined) throw new Error('no Services');
    return service;
  };
  const extra = (index: number): BenchService => ({
    name: `extra-${index}`,
    ip: `10.111.255.${index + 1}`,
    endpoints: [podIP(200_000 + index)],
  });
  const replaced = await measureChange(
    bench,
    Array.from({ length: repeat }, (_, index) => () => {
      const service = pick(index);
      const endpoints = [...service.endpoints.slice(1), podIP(210_000 + index)];
      upsert(store, sliceObject({ ...service, endpoints }));
    }),
  );
  const added = await measureChange(
    bench,
    Array.from({ length: repeat }, (_, index) => () => {
      upsert(store, serviceObject(extra(index)));
      upsert(store, sliceObject(extra(index)));
    }),
  );
  const deleted = await measureChange(
    bench,
    Array.from({ length: repeat }, (_, index) => () => {
      store.remove('Service', 'bench', extra(index).name);
      store.remove('EndpointSlice', 'bench', `${extra(index).name}-1`);
    }),
  );

  const cpuBefore = process.cpuUsage();
  controller.update(allDirty(store, services));
  const resyncPlan = state.plan();
  const cpu = process.cpuUsage(cpuBefore);
  const readStart = performance.now();
  const commands = createCommandRunner();
  const tools = benchTools(backend);
  state.replaceApplied(await readKernel(commands, tools, ['filter', 'nat']));
  const readBackMs = performance.now() - readStart;
  const afterReadBack = state.plan();
  console.log(
    JSON.stringify({
      decodeMs: round(decodeMs),
      renderMs: round(renderMs),
      writeMs: round(writeMs),
      bareWriteMs: round(bareWriteMs),
      loadPieces: load.length,
      replaced,
      added,
      deleted,
      resyncCpuMs: round((cpu.user + cpu.system) / 1000),
      resyncWrites: resyncPlan.writeChains.length,
      readBackMs: round(readBackMs),
      writesAfterReadBack: afterReadBack.writeChains.length + afterReadBack.addMembers.length,
    }),
  );
}

/** Every Service looked at again although nothing changed. */
function allDirty(store: Store, services: readonly BenchService[]): ReturnType<Store['takeDirty']> {
  const names = services.map((service) => namespacedName('bench', service.name));
  return { ...store.takeDirty(), services: new Set(names) };
}

await main();
