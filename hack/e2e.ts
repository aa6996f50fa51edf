import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import {
  resultsOf,
  type SpecResult,
  type SuiteReport,
  specName,
  specsOf,
  table,
  withSection,
} from '../test/e2e/report.ts';
import { select, suites } from '../test/e2e/suites.ts';
import { environmentInside, runningLab, startLab, stopLab, wordsInside } from '../test/lab/lab.ts';
import { backends, type LabState, oneOf, proxies } from '../test/lab/settings.ts';
import { build } from './build.ts';
import { upstreamFolder } from './upstream.ts';

const usage = `npm run e2e -- SUITE [OPTIONS]

Runs upstream's end-to-end specs in the lab; in the one that runs, else in one of its own.
  SUITE              ${suites.map(({ name }) => name).join(', ')}
  --only WORDS       only specs whose name contains this
  --proxy NAME       who programs Services: ${proxies.join(', ')} (default: weir)
  --backend NAME     kind of iptables: ${backends.join(', ')} (default: auto)
  --list             says which specs would run, and which not and why
  --accept           writes the list of specs that is expected from now on`;

const expectedFolder = new URL('../test/e2e/expected/', import.meta.url);
const resultsFile = new URL('../test/e2e/RESULTS.md', import.meta.url);
const resultsIntroduction = `# Results

Of upstream's end-to-end specs in the lab, written by \`npm run e2e\`. Which specs a suite leaves out, and why: suites.ts.
`;

async function main(words: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      only: { type: 'string', default: '' },
      proxy: { type: 'string', default: 'weir' },
      backend: { type: 'string', default: 'auto' },
      list: { type: 'boolean', default: false },
      accept: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const suite = suites.find(({ name }) => name === positionals[0]);
  if (values.help || suite === undefined) {
    console.log(usage);
    return values.help ? 0 : 2;
  }
  const proxy = oneOf('proxy', values.proxy, proxies);
  const backend = oneOf('backend', values.backend, backends);
  const programs = await upstreamFolder();
  const { selected, excluded } = select(suite, await allSpecs(programs));
  if (values.list) {
    for (const name of selected) console.log(name);
    for (const { name, reason } of excluded) console.log(`not run: ${name} (${reason})`);
    return 0;
  }
  const expectedFile = new URL(`${suite.name}.txt`, expectedFolder);
  if (values.accept) {
    await mkdir(expectedFolder, { recursive: true });
    await writeFile(expectedFile, `${selected.join('\n')}\n`);
    return 0;
  }
  const expected = (await readFile(expectedFile, 'utf8')).trimEnd().split('\n');
  const vanished = expected.filter((name) => !selected.includes(name));
  for (const name of vanished) console.error(`No spec has this name any more: ${name}`);
  const wanted = expected.filter((name) => name.includes(values.only));

  const running = await runningLab();
  if (running === undefined && proxy === 'weir') await build();
  const lab = running ?? (await startLab({ nodes: 2, proxy, backend }, programs));
  try {
    const results = await runSpecs(lab, wanted, suite.processes);
    return await conclude(suite.name, lab, results, values.only === '');
  } finally {
    if (running === undefined) await stopLab(lab);
  }
}

/** Names of all specs in the test program; none of them is run. */
async function allSpecs(programs: string): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-e2e-'));
  try {
    const report = join(folder, 'report.json');
    const args = [
      '--ginkgo.dry-run',
      `--ginkgo.json-report=${report}`,
      '--ginkgo.silence-skips',
      '--provider=skeleton',
    ];
    const run = await execa(join(programs, 'e2e.test'), args, { reject: false, all: true });
    if (run.failed) throw new Error(run.all);
    return specsOf(JSON.parse(await readFile(report, 'utf8')) as readonly SuiteReport[]).map(specName);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runSpecs(
  lab: LabState,
  names: readonly string[],
  processes: number,
): Promise<readonly SpecResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-e2e-'));
  try {
    const [file, ...prefix] = wordsInside(lab);
    const args = [
      ...prefix,
      join(lab.programs, 'ginkgo'),
      `--procs=${processes}`,
      '--timeout=80m',
      '--json-report=report.json',
      `--output-dir=${folder}`,
      '--silence-skips',
      '--no-color',
      ...names.map((name) => `--focus=${escaped(name)}`),
      join(lab.programs, 'e2e.test'),
      '--',
      '--provider=skeleton',
      `--kubeconfig=${environmentInside(lab)['KUBECONFIG']}`,
      `--num-nodes=${lab.nodes.length}`,
      '--minStartupPods=-1',
      '--disable-log-dump',
      '--dump-logs-on-failure=false',
      '--dump-systemd-journal=false',
    ];
    await execa(file, args, {
      reject: false,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: environmentInside(lab),
    });
    const report = await readFile(join(folder, 'report.json'), 'utf8').catch(() => '[]');
    return resultsOf(JSON.parse(report) as readonly SuiteReport[], names);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function conclude(
  suite: string,
  lab: LabState,
  results: readonly SpecResult[],
  whole: boolean,
): Promise<number> {
  const count = (outcome: SpecResult['outcome']): number =>
    results.filter((result) => result.outcome === outcome).length;
  const counts = `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`;
  const { proxy, backend } = lab.settings;
  if (whole) {
    const document = await readFile(resultsFile, 'utf8').catch(() => resultsIntroduction);
    const body = `${counts}.\n\n${table(results)}`;
    await writeFile(resultsFile, withSection(document, `${suite}, ${proxy}, iptables ${backend}`, body));
  }
  for (const { name, outcome, message } of results) {
    if (outcome !== 'passed') console.log(`${outcome}: ${name}: ${message}`);
  }
  console.log(counts);
  return count('failed') === 0 ? 0 : 1;
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/gu, '\\$&');
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
