// Runs suites in the cluster that run.sh has made: run-specs.ts PROGRAMS KUBECONFIG NODES SUITE...
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { lookAtMachine } from '../machine.ts';
import { countsLine, countsOf, failedOf, resultsOf, type SpecResult, type SuiteReport } from '../report.ts';
import { ginkgoArguments, readReports } from '../run-specs.ts';
import { limited, type NotRun, runAgain, type Suite, suites } from '../suites.ts';

const expectedFolder = new URL('../expected/', import.meta.url);
const processes = 8;
const zones = /Traffic Distribution/u;

interface Cluster {
  /** Folder of upstream's programs. */
  readonly programs: string;
  readonly kubeconfig: string;
  readonly nodes: string;
}

async function main([
  programs = '',
  kubeconfig = '',
  nodes = '',
  ...names
]: readonly string[]): Promise<number> {
  const chosen = names.map((name) => {
    const suite = suites.find((suite) => suite.name === name);
    if (suite === undefined) throw new RangeError(`There is no suite ${name}.`);
    return suite;
  });
  const results: SpecResult[] = [];
  for (const suite of chosen) results.push(...(await run(suite, { programs, kubeconfig, nodes })));
  for (const { name, outcome, message } of results) {
    if (outcome !== 'passed' || message !== '') console.log(`${outcome}: ${name}: ${message}`);
  }
  const counts = countsOf(results);
  console.log(countsLine(counts));
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
}

async function run(suite: Suite, cluster: Cluster): Promise<readonly SpecResult[]> {
  const expected = await readFile(new URL(`${suite.name}.txt`, expectedFolder), 'utf8');
  const names = expected.trimEnd().split('\n');
  const notRun: readonly NotRun[] = [
    ...limited(suite, names, await lookAtMachine(cluster.programs)),
    ...names
      .filter((name) => zones.test(name))
      .map((name) => ({ name, reason: 'needs two nodes in each of three zones' })),
  ];
  const left = new Set(notRun.map(({ name }) => name));
  const wanted = names.filter((name) => !left.has(name));
  const first = await reportsOf(wanted, cluster);
  const again = runAgain(suite, failedOf(first, wanted));
  const second = again.length === 0 ? [] : await reportsOf(again, cluster);
  return resultsOf([...first, ...second], names, notRun);
}

async function reportsOf(
  names: readonly string[],
  { programs, kubeconfig, nodes }: Cluster,
): Promise<readonly SuiteReport[]> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-kind-'));
  try {
    const args = ginkgoArguments({ names, processes, timeout: '100m', folder, programs, kubeconfig, nodes });
    await execa(join(programs, 'ginkgo'), args, { reject: false, stdio: ['ignore', 'inherit', 'inherit'] });
    return await readReports(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
