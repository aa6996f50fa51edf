import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { lookAtMachine } from '../../test/e2e/machine.ts';
import { countsLine, countsOf, type SpecResult } from '../../test/e2e/report.ts';
import { duration, titleOf, withRun } from '../../test/e2e/results-document.ts';
import { allSpecs } from '../../test/e2e/run-specs.ts';
import { runSuite, type SuiteOutcome } from '../../test/e2e/run-suite.ts';
import { limited, type Suite, select, suites } from '../../test/e2e/suites.ts';
import { kindOf, kindOptions, type LabKind } from '../../test/lab/settings.ts';
import { build } from '../build.ts';
import { upstreamFolder } from '../upstream.ts';

interface Choices extends LabKind {
  readonly only: string;
  readonly nodes: number | undefined;
  readonly processes: number | undefined;
}

const expectedFolder = new URL('../../test/e2e/expected/', import.meta.url);
const resultsFile = new URL('../../test/e2e/RESULTS.md', import.meta.url);

/** Runs the suites that the words name, by the options that they are; says at the end how many specs passed. */
export async function runUpstream(words: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      only: { type: 'string', default: '' },
      ...kindOptions,
      nodes: { type: 'string' },
      procs: { type: 'string' },
      list: { type: 'boolean', default: false },
      accept: { type: 'boolean', default: false },
    },
  });
  const chosen = positionals.map((word) => suiteNamed(word));
  const choices: Choices = {
    only: values.only,
    ...kindOf(values),
    nodes: countOf('nodes', values.nodes),
    processes: countOf('procs', values.procs),
  };
  const programs = await upstreamFolder();
  const names = await allSpecs(programs);
  if (choices.proxy === 'weir' && !values.list && !values.accept) await build();
  const results: SpecResult[] = [];
  for (const suite of chosen) {
    if (values.list) list(suite, names);
    else if (values.accept) await accept(suite, names);
    else results.push(...(await run(suite, names, programs, choices)));
  }
  if (values.list || values.accept) return 0;
  const counts = countsOf(results);
  console.log(countsLine(counts));
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
}

function suiteNamed(word: string): Suite {
  const suite = suites.find(({ name }) => name === word);
  if (suite === undefined) throw new RangeError(`There is no suite ${word}: npm run e2e -- --help`);
  return suite;
}

function countOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d?$/u.test(text)) throw new RangeError(`--${option} is a number from 1 to 99, not ${text}`);
  return Number(text);
}

function list(suite: Suite, names: readonly string[]): void {
  const { selected, excluded } = select(suite, names);
  for (const name of selected) console.log(name);
  for (const { name, reason } of excluded) console.log(`not run: ${name} (${reason})`);
}

async function accept(suite: Suite, names: readonly string[]): Promise<void> {
  await mkdir(expectedFolder, { recursive: true });
  await writeFile(expectedFileOf(suite), `${select(suite, names).selected.join('\n')}\n`);
}

function expectedFileOf(suite: Suite): URL {
  return new URL(`${suite.name}.txt`, expectedFolder);
}

/** What became of each spec that is expected; one that has vanished has failed. */
async function run(
  suite: Suite,
  names: readonly string[],
  programs: string,
  choices: Choices,
): Promise<readonly SpecResult[]> {
  const { only, processes, ...settings } = choices;
  const expected = (await readFile(expectedFileOf(suite), 'utf8')).trimEnd().split('\n');
  const wanted = expected.filter((name) => name.includes(only));
  const notRun = limited(suite, wanted, await lookAtMachine(programs));
  const present = new Set(select(suite, names).selected);
  const left = new Set(notRun.map(({ name }) => name));
  const runnable = wanted.filter((name) => present.has(name) && !left.has(name));
  const outcome = await runSuite({ suite, names: wanted, runnable, notRun, programs, settings, processes });
  await say(suite, outcome, only === '');
  return outcome.results;
}

async function say(suite: Suite, outcome: SuiteOutcome, isWhole: boolean): Promise<void> {
  const { results, seconds } = outcome;
  const run = { ...outcome, suite: suite.name };
  if (isWhole) {
    const document = await readFile(resultsFile, 'utf8').catch(() => '');
    await writeFile(resultsFile, withRun(document, run));
  }
  for (const { name, outcome, message } of results)
    if (outcome !== 'passed' || message !== '') console.log(`${outcome}: ${name}: ${message}`);
  console.log(`${titleOf(run)}: ${countsLine(countsOf(results))} in ${duration(seconds)}`);
}
