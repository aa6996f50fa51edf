import { execFileSync } from 'node:child_process';
import { BenchNode } from './bench-node.ts';
import { type ConnectSummary, connectTimes, summarise } from './first-packet.ts';
import { podPair, policyCluster } from './policy-cluster.ts';
import { percentile, round } from './statistics.ts';

interface Times {
  readonly p50: number;
  readonly p99: number;
}

/** Milliseconds from policy-in-process.ts, and connects through a node in microseconds. */
export interface PolicyResult {
  readonly backend: string;
  readonly policies: number;
  readonly pods: number;
  readonly fullMs: number;
  readonly heapMB: number;
  readonly policyChange: Times;
  readonly podLabelChange: Times;
  readonly namespaceLabelChange: Times;
  readonly manyBlocksMs: number;
  readonly profilesMs: number;
  readonly policed: ConnectSummary;
  readonly free: ConnectSummary;
  /** From the manifest that names a new pod to its first connection that passes. */
  readonly firstAllowed: Times;
}

const [policies, pods, localPods] = [1000, 10_000, 110] as const;
const client = '10.200.0.2';
const server = '10.201.0.2';

export async function benchPolicies(root: string, backend: string): Promise<PolicyResult> {
  console.error(`${backend}: ${policies} policies, ${pods} pods`);
  const script = `${root}hack/bench/policy-in-process.ts`;
  const args = [
    '--net',
    process.execPath,
    script,
    backend,
    String(policies),
    String(pods),
    String(localPods),
  ];
  const parts = JSON.parse(execFileSync('unshare', args, { encoding: 'utf8' })) as Omit<
    PolicyResult,
    'backend' | 'policed' | 'free' | 'firstAllowed'
  >;
  const cluster = policyCluster(policies, pods, localPods);
  const free = new BenchNode('free', [...cluster, ...podPair(client, server, false)]);
  const policed = new BenchNode('policed', [...cluster, ...podPair(client, server, true)]);
  const times: { free: number[]; policed: number[] } = { free: [], policed: [] };
  const firstAllowed: number[] = [];
  for (const node of [free, policed]) {
    await node.start(`${root}dist/weir.js`, backend);
    await node.listen();
  }
  for (let turn = 0; turn < 10; turn += 1) {
    times.free.push(...connectTimes(free.client, [`${server}:8080`], 400));
    times.policed.push(...connectTimes(policed.client, [`${server}:8080`], 400));
  }
  for (let turn = 0; turn < 20; turn += 1) firstAllowed.push(await policed.firstAllowedMs(turn));
  await free.dispose();
  await policed.dispose();
  return {
    ...parts,
    backend,
    policed: summarise(times.policed),
    free: summarise(times.free),
    firstAllowed: { p50: round(percentile(firstAllowed, 0.5)), p99: round(percentile(firstAllowed, 0.99)) },
  };
}
