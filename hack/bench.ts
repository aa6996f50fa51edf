import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { findSandbox, runInvocation, sandboxed, sandboxVariable } from '../test/support/sandbox.ts';
import { benchAgent } from './bench/agent.ts';
import { BenchNode } from './bench/bench-node.ts';
import { benchServices, clusterObjects } from './bench/cluster.ts';
import { connectTimes, summarise } from './bench/first-packet.ts';
import { benchPolicies } from './bench/policies.ts';
import { runInProcess } from './bench/run-in-process.ts';
import { round } from './bench/statistics.ts';
import {
  printAgentTable,
  printPolicyTable,
  printTable,
  printUpkeepTable,
  type TableRow as Row,
} from './bench/table.ts';
import { benchUpkeep, upkeepSizes } from './bench/upkeep.ts';
import { build } from './build.ts';

const usage = `npm run bench [-- OPTIONS]

Measures Weir in network namespaces of its own, beside the bare iptables-restore on the same bytes in the same run.
  --tables services,agent tables to measure (default services,policies,agent,upkeep)
  --services 100,1000     sizes to measure (default 100,1000,5000,10000, and one row of 44000 × 1; upkeep: 0,50,10000)
  --backends legacy,nft   backends to measure
  --quick                 small sizes and few rounds for the agent, 100 and 1000 Services unless told: a look, no measurement
  --json FILE             where to write the numbers (default bench.json)`;

const root = new URL('../', import.meta.url).pathname;

const allTables = ['services', 'policies', 'agent', 'upkeep'] as const;
type Table = (typeof allTables)[number];

interface Options {
  readonly tables: readonly Table[];
  readonly services: readonly (readonly [services: number, endpoints: number])[];
  /** Of the table `upkeep`. */
  readonly upkeep: readonly number[];
  readonly backends: readonly string[];
  readonly isQuick: boolean;
  readonly json: string;
}

/** Services, and endpoints of each. */
const quickSizes = [
  [100, 5],
  [1000, 5],
] as const;
const allSizes = [...quickSizes, [5000, 5], [10_000, 5], [44_000, 1]] as const;

function parseOptions(words: readonly string[]): Options {
  const value = (name: string): string | undefined => {
    const index = words.indexOf(name);
    return index === -1 ? undefined : words[index + 1];
  };
  const sizes = value('--services')?.split(',').map(Number);
  const tables = value('--tables')?.split(',');
  const isQuick = words.includes('--quick');
  return {
    tables: allTables.filter((table) => tables?.includes(table) ?? true),
    services:
      sizes?.map((size) => [size, size > 10_000 ? 1 : 5] as const) ?? (isQuick ? quickSizes : allSizes),
    upkeep: sizes ?? upkeepSizes(isQuick),
    backends: value('--backends')?.split(',') ?? ['legacy', 'nft'],
    isQuick,
    json: value('--json') ?? 'bench.json',
  };
}

async function benchBackend(backend: string, sizes: Options['services']): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const nodes: { readonly node: BenchNode; readonly row: Row; readonly targets: readonly string[] }[] = [];
  for (const [services, endpoints] of sizes) {
    console.error(`${backend}: ${services} Services × ${endpoints} endpoints`);
    const cluster = benchServices(services, endpoints);
    const parts = runInProcess(root, backend, services, endpoints);
    const node = new BenchNode(`b${services}`, clusterObjects(cluster));
    const started = await node.start(`${root}dist/weir.js`, backend);
    await node.listen();
    const row = {
      backend,
      services,
      endpoints,
      fromNothingMs: round(started.readyMs),
      residentMB: round(started.residentMB),
      treePeakMB: round(started.treePeakMB),
      parts,
    };
    nodes.push({
      node,
      row,
      targets: cluster
        .filter((_, index) => index % 7 === 0)
        .slice(0, 500)
        .map((one) => `${one.ip}:80`),
    });
  }
  // All sizes in turn, several rounds: a slow moment of the machine hits all of them alike.
  const through = nodes.map((): number[] => []);
  const past = nodes.map((): number[] => []);
  for (let round = 0; round < 10; round += 1) {
    for (const [index, { node, targets }] of nodes.entries()) {
      through[index]?.push(...connectTimes(node.client, targets, 400));
      past[index]?.push(...connectTimes(node.client, ['10.201.0.2:8080'], 400));
    }
  }
  for (const [index, { node, row }] of nodes.entries()) {
    await node.dispose();
    rows.push({ ...row, through: summarise(through[index] ?? []), past: summarise(past[index] ?? []) });
  }
  return rows;
}

async function main(words: readonly string[]): Promise<void> {
  const { tables, backends, ...options } = parseOptions(words);
  const each = async <Result>(
    table: Table,
    measure: (backend: string) => Promise<Result>,
  ): Promise<readonly Result[]> => {
    const results: Result[] = [];
    if (tables.includes(table)) for (const backend of backends) results.push(await measure(backend));
    return results;
  };
  const rows = (await each('services', (backend) => benchBackend(backend, options.services))).flat();
  const policies = await each('policies', (backend) => benchPolicies(root, backend));
  const agent = await each('agent', (backend) => benchAgent(root, backend, options.isQuick));
  const upkeep = (
    await each('upkeep', (backend) =>
      benchUpkeep(root, backend, { sizes: options.upkeep, isQuick: options.isQuick }),
    )
  ).flat();
  const kernel = execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim();
  const printed = [
    rows.length > 0 ? printTable(rows) : '',
    policies.length > 0 ? printPolicyTable(policies) : '',
    agent.length > 0 ? printAgentTable(agent) : '',
    upkeep.length > 0 ? printUpkeepTable(upkeep) : '',
  ];
  console.log(printed.filter((text) => text !== '').join('\n\n'));
  writeFileSync(
    options.json,
    `${JSON.stringify({ kernel, node: process.version, rows, policies, agent, upkeep }, undefined, 2)}\n`,
  );
  console.log(`written to ${options.json}`);
}

const words = process.argv.slice(2).filter((word) => word !== '--');
if (words.includes('--help') || words.includes('-h')) console.log(usage);
else if (process.env[sandboxVariable] === undefined) {
  await build();
  const sandbox = await findSandbox();
  if (sandbox.kind === 'none') throw new Error(`the bench needs network namespaces: ${sandbox.reason}`);
  process.exitCode = await runInvocation(
    sandboxed(sandbox, { file: process.execPath, args: [`${root}hack/bench.ts`, ...words] }),
  );
} else await main(words);
