import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runningLab, startLab, stopLab } from '../lab/lab.ts';
import { type LabKind, type LabState, labFiles, labFolder } from '../lab/settings.ts';
import { failedOf, resultsOf, type SpecResult, type SuiteReport } from './report.ts';
import { runSpecs } from './run-specs.ts';
import { dealOut, type NotRun, type Part, runAgain, type Suite } from './suites.ts';

export interface SuiteRun {
  readonly suite: Suite;
  /** All specs that are expected. */
  readonly names: readonly string[];
  /** Those of them that exist and can run here. */
  readonly runnable: readonly string[];
  readonly notRun: readonly NotRun[];
  readonly programs: string;
  /** Without a number of nodes, what each part of the suite needs. */
  readonly settings: LabKind & { readonly nodes: number | undefined };
  /** Specs at a time; without a number, what suits each part. */
  readonly processes: number | undefined;
}

export interface SuiteOutcome {
  readonly results: readonly SpecResult[];
  readonly seconds: number;
  /** In the lab that really ran. */
  readonly settings: LabKind;
  /** A few words on where it ran. */
  readonly circumstances: string;
}

/** Runs a suite, part by part: in the lab that runs, else each in one of its own, which ends with it or with this process. */
export async function runSuite(run: SuiteRun): Promise<SuiteOutcome> {
  const begun = Date.now();
  const reports: SuiteReport[] = [];
  const circumstances: string[] = [];
  let settings: LabKind = run.settings;
  for (const part of dealOut(run.suite.parts, run.runnable)) {
    const lab = await labFor(run, part);
    ({ settings } = lab.state);
    try {
      const groups =
        run.processes === undefined
          ? dealOut(part.groups, part.names)
          : [{ names: part.names, processes: run.processes }];
      const report = await runSpecs(lab.state, groups);
      const processes = groups.reduce((sum, group) => sum + group.processes, 0);
      circumstances.push(`${part.names.length} on ${lab.state.nodes.length} nodes, ${processes} at a time`);
      const failed = failedOf(report, part.names);
      if (failed.length > 0) await keepLogs(lab.state);
      const again = runAgain(run.suite, failed);
      reports.push(...report);
      if (again.length > 0) reports.push(...(await runSpecs(lab.state, [{ names: again, processes: 1 }])));
    } finally {
      if (lab.isOurs) await stopLab(lab.state);
    }
  }
  return {
    results: resultsOf(reports, run.names, run.notRun),
    seconds: (Date.now() - begun) / 1000,
    settings,
    circumstances: circumstances.join('; '),
  };
}

async function labFor(
  { settings, programs }: SuiteRun,
  part: Part,
): Promise<{ readonly state: LabState; readonly isOurs: boolean }> {
  const running = await runningLab();
  if (running !== undefined) return { state: running, isOurs: false };
  const nodes = settings.nodes ?? part.nodes;
  return { state: await startLab({ ...settings, nodes }, programs, 'untilExit'), isOurs: true };
}

const shownLines = 30;
const failedFolder = `${labFolder}-failed`;

/** Shows the last words of who programmed the nodes, and keeps all logs, since the next lab throws its folder away. */
async function keepLogs({ settings }: LabState): Promise<void> {
  const name = settings.proxy === 'weir' ? /_weir-.*_weir-\d+\.log$/u : /^kube-proxy-/u;
  const files = await readdir(labFiles.logs);
  for (const file of files.filter((file) => name.test(file)).toSorted()) {
    const lines = (await readFile(join(labFiles.logs, file), 'utf8')).trimEnd().split('\n');
    console.log(`--- the last lines of ${file}`);
    console.log(lines.slice(-shownLines).join('\n'));
  }
  await rm(failedFolder, { recursive: true, force: true });
  for (const folder of ['logs', 'e2e'])
    await cp(join(labFolder, folder), join(failedFolder, folder), { recursive: true });
  console.log(`--- all logs and ginkgo's reports, until the next failure: ${failedFolder}`);
}
