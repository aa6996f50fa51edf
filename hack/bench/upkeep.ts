import type { Manifest } from '../../test/support/service-manifests.ts';
import {
  type AgentClusterSize,
  agentCluster,
  changedSlice,
  pairObjects,
  pairService,
} from './agent-cluster.ts';
import { AgentNode } from './agent-node.ts';
import { percentile, round } from './statistics.ts';

interface Times {
  readonly p50: number;
  readonly p90: number;
}

/** Milliseconds from the moment an object is given to the API server to the moment the last rule for it is in the kernel. */
export interface ChangeTimes {
  /** A slice with another endpoint. */
  readonly replaced: Times;
  /** A Service, whose slice was there before. */
  readonly added: Times;
  readonly deleted: Times;
}

/** Milliseconds, MB and shares of a core (1 is all of it). */
export interface UpkeepResult {
  readonly backend: string;
  readonly services: number;
  readonly readyMs: number;
  /** Of `node dist/weir.js run`, without any flags of Node.js. */
  readonly memory: { readonly residentMB: number; readonly peakMB: number };
  readonly idle: {
    readonly cpu: number;
    /** Of `cpu`, what iptables, ipset and the like take. */
    readonly cpuOfPrograms: number;
  };
  /** Not measured where there are no Services. */
  readonly changes: ChangeTimes | undefined;
}

interface Effort {
  /** Until the agent is at rest. */
  readonly settleMs: number;
  /** Long enough for what happens from time to time, such as a full resync. */
  readonly idleMs: number;
  readonly changes: number;
}

const small: Effort = { settleMs: 20_000, idleMs: 120_000, changes: 40 };
/** Here everything is compared only once in several minutes. */
const large: Effort = { ...small, idleMs: 600_000 };
const manyServices = 5000;
const quick: Effort = { settleMs: 5000, idleMs: 10_000, changes: 5 };

/** No Services, a small cluster with policies, and the largest that Kubernetes supports. */
export function upkeepSizes(isQuick: boolean): readonly number[] {
  return isQuick ? [0, 50, 1000] : [0, 50, 10_000];
}

const written = /IPv4 (service )?rules written/;

/** What an agent costs that has nothing to do, and how soon it follows when there is something to do. */
export async function benchUpkeep(
  root: string,
  backend: string,
  { sizes, isQuick }: { readonly sizes: readonly number[]; readonly isQuick: boolean },
): Promise<readonly UpkeepResult[]> {
  const results: UpkeepResult[] = [];
  for (const services of sizes) {
    console.error(`${backend}: upkeep with ${services} Services`);
    const effort = services < manyServices ? small : large;
    const result = await benchSize(`${root}dist/weir.js`, backend, services, isQuick ? quick : effort);
    console.error(JSON.stringify(result));
    results.push(result);
  }
  return results;
}

/** How many times as long as half of the changes of a kind 90 % of them take, of the worst kind. */
export function mostP90({ replaced, added, deleted }: ChangeTimes): number {
  return Math.max(...[replaced, added, deleted].map(({ p50, p90 }) => p90 / p50));
}

async function benchSize(
  program: string,
  backend: string,
  services: number,
  effort: Effort,
): Promise<UpkeepResult> {
  const size = clusterSize(services);
  const node = await AgentNode.create('upkeep', agentCluster(size));
  try {
    const readyMs = round(await node.start(program, backend));
    await sleep(effort.settleMs);
    const idle = await idleCost(node, effort.idleMs);
    const { now, peak } = node.memory();
    const changes = services === 0 ? undefined : await changeTimes(node, size, effort.changes);
    return {
      backend,
      services,
      readyMs,
      memory: { residentMB: round(now), peakMB: round(peak) },
      idle,
      changes,
    };
  } finally {
    await node.dispose();
  }
}

function clusterSize(services: number): AgentClusterSize {
  return {
    services,
    endpointsEach: services > 10_000 ? 1 : 5,
    pods: Math.min(15_000, Math.ceil(services * 1.5)),
    policies: services <= 50 ? 10 : 0,
  };
}

async function idleCost(node: AgentNode, ms: number): Promise<UpkeepResult['idle']> {
  const before = node.cpu();
  await sleep(ms);
  const after = node.cpu();
  const programs = after.programs - before.programs;
  return {
    cpu: round((after.own - before.own + programs) / ms, 5),
    cpuOfPrograms: round(programs / ms, 5),
  };
}

async function changeTimes(node: AgentNode, size: AgentClusterSize, turns: number): Promise<ChangeTimes> {
  const replaced: number[] = [];
  const added: number[] = [];
  const deleted: number[] = [];
  for (let turn = 0; turn < turns; turn += 1) {
    const [service, slice] = pairObjects(turn);
    const { name } = pairService(turn);
    replaced.push(await timeOf(node, turn * 3, put(node, changedSlice(size, turn))));
    await node.server.put([slice]);
    added.push(await timeOf(node, turn * 3 + 1, put(node, service)));
    deleted.push(await timeOf(node, turn * 3 + 2, () => node.server.remove('services', 'bench', name)));
  }
  const of = (times: readonly number[]): Times => ({
    p50: round(percentile(times, 0.5)),
    p90: round(percentile(times, 0.9)),
  });
  return { replaced: of(replaced), added: of(added), deleted: of(deleted) };
}

function put(node: AgentNode, object: Manifest): () => Promise<void> {
  return () => node.server.put([object]);
}

async function timeOf(node: AgentNode, turn: number, change: () => Promise<void>): Promise<number> {
  // At any moment between two quick checks, and far enough from the change before.
  await sleep(1000 + ((turn * 617) % 1500));
  const [ms = Number.NaN] = await Promise.all([node.follow(written), change()]).then(([times]) => times);
  return ms;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
