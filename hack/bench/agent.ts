import { spawnSync } from 'node:child_process';
import { namespacePrefix } from '../../test/support/in-namespace.ts';
import { parsePrometheusText } from '../../test/support/prometheus-text.ts';
import {
  type AgentClusterSize,
  agentCluster,
  changedSlice,
  pairObjects,
  pairService,
} from './agent-cluster.ts';
import { AgentNode } from './agent-node.ts';
import { firstConnectMs } from './first-packet.ts';
import { type Bucket, bucketPercentile, percentile, round } from './statistics.ts';

interface Times {
  readonly p50: number;
  readonly p99: number;
}

/** Milliseconds after somebody else emptied a table. */
export interface FlushTimes {
  readonly noticed: Times;
  readonly repaired: Times;
}

/** Milliseconds. */
export interface AgentResult {
  readonly backend: string;
  readonly big: {
    readonly services: number;
    readonly readyMs: number;
    readonly flushed: Readonly<Record<Table, FlushTimes>>;
  };
  readonly middle: {
    /** From a new Service at the API server to the first connection through it. */
    readonly firstPacket: Times;
    /** From the arrival of an event to the rules, as Weir's own metric says. */
    readonly eventApplied: Times;
    readonly flushed: Readonly<Record<Table, FlushTimes>>;
  };
}

type Table = 'filter' | 'nat';

/** How large and how often. */
interface AgentBench {
  readonly middle: AgentClusterSize;
  readonly big: AgentClusterSize;
  /** Until the agent is at rest. */
  readonly settleMs: number;
  readonly changes: number;
  readonly middleFlushes: number;
  readonly bigFlushes: number;
}

const full: AgentBench = {
  middle: { services: 1000, endpointsEach: 5, pods: 1500, policies: 0 },
  big: { services: 10_000, endpointsEach: 5, pods: 15_000, policies: 0 },
  settleMs: 20_000,
  changes: 60,
  middleFlushes: 8,
  bigFlushes: 3,
};

/** Enough to see that everything is measured, and what is far off. */
const quick: AgentBench = {
  middle: { ...full.middle, services: 200, pods: 300 },
  big: { ...full.big, services: 1000, pods: 1500 },
  settleMs: 5000,
  changes: 10,
  middleFlushes: 2,
  bigFlushes: 1,
};

/** Nothing else is written meanwhile. */
const repaired = /IPv4 (service|policy) rules written/;
/** A look that was on its way already may find it, too. */
const noticed = /reading the kernel|IPv4 (service|policy) rules written/;

export async function benchAgent(root: string, backend: string, isQuick: boolean): Promise<AgentResult> {
  const program = `${root}dist/weir.js`;
  const bench = isQuick ? quick : full;
  const middle = await benchMiddle(program, backend, bench);
  console.error(JSON.stringify(middle));
  return { backend, middle, big: await benchBig(program, backend, bench) };
}

async function benchMiddle(
  program: string,
  backend: string,
  { middle, changes, middleFlushes }: AgentBench,
): Promise<AgentResult['middle']> {
  const { services, endpointsEach } = middle;
  console.error(`${backend}: agent with ${services} Services × ${endpointsEach} endpoints`);
  const node = await AgentNode.create('middle', agentCluster(middle));
  try {
    await node.start(program, backend, '-v=1');
    node.network.swallowServices();
    await node.network.listen();
    const firstPacket: number[] = [];
    for (let turn = 0; turn < changes; turn += 1) firstPacket.push(await firstPacketMs(node, turn));
    const before = await eventBuckets(node);
    for (let turn = 0; turn < changes; turn += 1) {
      await node.server.put([changedSlice(middle, turn)]);
      await sleep(250);
    }
    const applied = difference(before, await eventBuckets(node));
    return {
      firstPacket: timesOf(firstPacket),
      eventApplied: {
        p50: round(bucketPercentile(applied, 0.5) * 1000),
        p99: round(bucketPercentile(applied, 0.99) * 1000),
      },
      flushed: await benchFlushes(node, backend, middleFlushes),
    };
  } finally {
    await node.dispose();
  }
}

async function benchBig(
  program: string,
  backend: string,
  { big, settleMs, bigFlushes }: AgentBench,
): Promise<AgentResult['big']> {
  const { services, endpointsEach, pods } = big;
  console.error(`${backend}: agent with ${services} Services × ${endpointsEach} endpoints, ${pods} pods`);
  const node = await AgentNode.create('big', agentCluster(big));
  try {
    const readyMs = round(await node.start(program, backend, '-v=1'));
    await sleep(settleMs);
    const flushed = await benchFlushes(node, backend, bigFlushes);
    return { services, readyMs, flushed };
  } finally {
    await node.dispose();
  }
}

/** The slice is there before; the Service comes last and lets packets pass. */
async function firstPacketMs(node: AgentNode, turn: number): Promise<number> {
  const [service, slice] = pairObjects(turn);
  await node.server.put([slice]);
  await sleep(150);
  return firstConnectMs(node.network.client, ['10.200.0.2', pairService(turn).ip, 80], () => {
    void node.server.put([service]);
  });
}

async function benchFlushes(
  node: AgentNode,
  backend: string,
  rounds: number,
): Promise<Readonly<Record<Table, FlushTimes>>> {
  const seen = { filter: [], nat: [] } as Record<Table, (readonly number[])[]>;
  for (let turn = 0; turn < rounds; turn += 1) {
    for (const table of ['filter', 'nat'] as const) {
      // At any moment between two glances.
      await sleep(2000 + ((turn * 617) % 1500));
      const [file, ...prefix] = namespacePrefix(node.network.node);
      const flush = spawnSync(file, [...prefix, `iptables-${backend}`, '-w', '30', '-t', table, '-F']);
      if (flush.status !== 0) throw new Error(`flush: ${flush.stderr.toString()}`);
      seen[table].push(await node.follow(noticed, repaired));
    }
  }
  const of = (table: Table): FlushTimes => ({
    noticed: timesOf(seen[table].map(([noticed = Number.NaN]) => noticed)),
    repaired: timesOf(seen[table].map(([, repaired = Number.NaN]) => repaired)),
  });
  return { filter: of('filter'), nat: of('nat') };
}

async function eventBuckets(node: AgentNode): Promise<readonly Bucket[]> {
  const family = parsePrometheusText(await node.metrics()).get('weir_event_to_applied_seconds');
  const samples = (family?.samples ?? []).filter(
    ({ name, labels }) => name.endsWith('_bucket') && Object.values(labels).includes('IPv4'),
  );
  return samples.map(({ labels, value }) => ({
    upTo: Number(labels['le']?.replace('+Inf', 'Infinity')),
    count: value,
  }));
}

function difference(before: readonly Bucket[], after: readonly Bucket[]): readonly Bucket[] {
  return after.map(({ upTo, count }, index) => ({ upTo, count: count - (before[index]?.count ?? 0) }));
}

function timesOf(values: readonly number[]): Times {
  return { p50: round(percentile(values, 0.5)), p99: round(percentile(values, 0.99)) };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
