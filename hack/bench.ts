import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { findSandbox, runInvocation, sandboxed, sandboxVariable } from '../test/support/sandbox.ts';
import { BenchNode } from './bench/bench-node.ts';
import { benchServices, clusterObjects } from './bench/cluster.ts';
import { connectTimes, summarise } from './bench/first-packet.ts';
import { benchPolicies } from './bench/policies.ts';
import { runInProcess } from './bench/run-in-process.ts';
import { round } from './bench/statistics.ts';
import { printPolicyTable, printTable, type TableRow as Row } from './bench/table.ts';
import { build } from './build.ts';

const usage = `npm run bench [-- OPTIONS]

Measures Weir in network namespaces of its own, beside the bare iptables-restore on the same bytes in the same run.
  --services 100,1000     sizes to measure (default 100,1000,5000,10000, and one row of 44000 × 1)
  --backends legacy,nft   backends to measure
  --json FILE             where to write the numbers (default bench.json)`;

const root = new URL('../', import.meta.url).pathname;

interface Options {
  readonly services: readonly (readonly [services: number, endpoints: number])[];
  readonly backends: readonly string[];
  readonly json: string;
}

function parseOptions(words: readonly string[]): Options {
  const value = (name: string): string | undefined => {
    const index = words.indexOf(name);
    return index === -1 ? undefined : words[index + 1];
  };
  const sizes = value('--services')?.split(',').map(Number);
  return {
    services: sizes?.map((size) => [size, size > 10_000 ? 1 : 5] as const) ?? [
      [100, 5],
      [1000, 5],
      [5000, 5],
      [10_000, 5],
      [44_000, 1],
    ],
    backends: value('--backends')?.split(',') ?? ['legacy', 'nft'],
    json: value('--json') ?? 'bench.json',
  };
}

async function benchBackend(backend: string, { services: sizes }: Options): Promise<readonly Row[]> {
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
  const options = parseOptions(words);
  const rows: Row[] = [];
  for (const backend of options.backends) rows.push(...(await benchBackend(backend, options)));
  const policies = [];
  for (const backend of options.backends) policies.push(await benchPolicies(root, backend));
  const kernel = execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim();
  console.log(`${printTable(rows)}\n\n${printPolicyTable(policies)}`);
  writeFileSync(
    options.json,
    `${JSON.stringify({ kernel, node: process.version, rows, policies }, undefined, 2)}\n`,
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
