import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { environmentInside, wordsInside } from '../lab/lab.ts';
import { type LabState, labFolder } from '../lab/settings.ts';
import { type SuiteReport, specName, specsOf } from './report.ts';

const reportFile = 'report.json';

/** Names of all specs in the test program; none of them is run. */
export async function allSpecs(programs: string): Promise<readonly string[]> {
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

/** Specs that run side by side, so many at a time. */
export interface SpecGroup {
  readonly names: readonly string[];
  readonly processes: number;
}

/**
 * Runs all groups in the lab at once, says on standard output how they fare, and returns ginkgo's reports. One that ended too early
 * gives none.
 */
export async function runSpecs(lab: LabState, groups: readonly SpecGroup[]): Promise<readonly SuiteReport[]> {
  // With the lab's own files, and so gone with them also when nobody is left to tidy up.
  const folder = join(labFolder, 'e2e');
  await rm(folder, { recursive: true, force: true });
  const reports = groups.map((group, index) => runGroup(lab, group, join(folder, `${index + 1}`)));
  return (await Promise.all(reports)).flat();
}

async function runGroup(
  lab: LabState,
  { names, processes }: SpecGroup,
  folder: string,
): Promise<readonly SuiteReport[]> {
  await mkdir(folder, { recursive: true });
  const [file, ...prefix] = wordsInside(lab);
  const args = ginkgoArguments({
    names,
    processes,
    timeout: '80m',
    folder,
    programs: lab.programs,
    kubeconfig: environmentInside(lab)['KUBECONFIG'] ?? '',
    nodes: lab.nodes.length,
  });
  const quiet = [
    '--minStartupPods=-1',
    '--disable-log-dump',
    '--dump-logs-on-failure=false',
    '--dump-systemd-journal=false',
  ];
  await execa(file, [...prefix, join(lab.programs, 'ginkgo'), ...args, ...quiet], {
    reject: false,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: environmentInside(lab),
  });
  return readReports(folder);
}

export interface GinkgoRun extends SpecGroup {
  /** As ginkgo writes durations, `80m` say. */
  readonly timeout: string;
  /** For the report. */
  readonly folder: string;
  /** Folder of upstream's programs. */
  readonly programs: string;
  readonly kubeconfig: string;
  readonly nodes: number | string;
}

/** What ginkgo is told to run these specs of the test program in a cluster; further options are those of the test program. */
export function ginkgoArguments(run: GinkgoRun): readonly string[] {
  return [
    `--procs=${run.processes}`,
    `--timeout=${run.timeout}`,
    `--json-report=${reportFile}`,
    `--output-dir=${run.folder}`,
    '--silence-skips',
    '--no-color',
    ...run.names.map((name) => `--focus=${escaped(name)}`),
    join(run.programs, 'e2e.test'),
    '--',
    '--provider=skeleton',
    `--kubeconfig=${run.kubeconfig}`,
    `--num-nodes=${run.nodes}`,
  ];
}

/** Ginkgo's reports in that folder; none where it ended too early. */
export async function readReports(folder: string): Promise<readonly SuiteReport[]> {
  const report = await readFile(join(folder, reportFile), 'utf8').catch(() => '[]');
  return JSON.parse(report) as readonly SuiteReport[];
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/gu, '\\$&');
}
