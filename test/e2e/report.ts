import type { NotRun } from './suites.ts';

/** The parts of ginkgo's JSON report that count here. */
export interface SpecReport {
  readonly ContainerHierarchyTexts: readonly string[] | null;
  readonly LeafNodeText: string;
  readonly LeafNodeType: string;
  readonly State:
    | 'passed'
    | 'failed'
    | 'skipped'
    | 'pending'
    | 'timedout'
    | 'interrupted'
    | 'panicked'
    | 'aborted';
  /** In nanoseconds. */
  readonly RunTime: number;
  readonly Failure?: { readonly Message: string };
}

export interface SuiteReport {
  readonly SpecReports: readonly SpecReport[] | null;
}

/** One spec as people read it. */
export interface SpecResult {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly seconds: number;
  /** First line of what went wrong, be it at a first attempt, or why it was not run. */
  readonly message: string;
}

/** Full names are the texts of all containers and the spec's own. */
export function specName(report: SpecReport): string {
  return [...(report.ContainerHierarchyTexts ?? []), report.LeafNodeText].join(' ');
}

export function specsOf(reports: readonly SuiteReport[]): readonly SpecReport[] {
  return reports
    .flatMap(({ SpecReports }) => SpecReports ?? [])
    .filter(({ LeafNodeType }) => LeafNodeType === 'It');
}

/**
 * The outcome of each spec of a suite, of one that ran twice the second: `notRun` says which were left out on purpose, and why. One that the report does not know
 * has failed, for it vanished or the run ended before it; and so has one that skipped itself, for nobody knew that it would.
 */
export function resultsOf(
  reports: readonly SuiteReport[],
  names: readonly string[],
  notRun: readonly NotRun[],
): readonly SpecResult[] {
  const attempts = Map.groupBy(specsOf(reports).filter(wasSelected), specName);
  const reasons = new Map(notRun.map(({ name, reason }) => [name, reason]));
  return names.map((name) => {
    const reason = reasons.get(name);
    if (reason !== undefined) return { name, outcome: 'skipped', seconds: 0, message: reason };
    const [first, second] = attempts.get(name) ?? [];
    if (first === undefined) return { name, outcome: 'failed', seconds: 0, message: 'was not run' };
    const last = second ?? first;
    return {
      name,
      outcome: last.State === 'passed' ? 'passed' : 'failed',
      seconds: Math.round(last.RunTime / 1e9),
      message:
        second === undefined ? complaint(first) : `at the second attempt; the first: ${complaint(first)}`,
    };
  });
}

/** Which of these specs failed. */
export function failedOf(reports: readonly SuiteReport[], names: readonly string[]): readonly string[] {
  return resultsOf(reports, names, [])
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ name }) => name);
}

function complaint({ State, Failure }: SpecReport): string {
  const said = (Failure?.Message ?? '').split('\n')[0]?.slice(0, 200) ?? '';
  return State === 'skipped' ? `skipped itself: ${said}` : said;
}

/** A report names all specs that there are; those that were not asked for look like skipped ones without a reason. */
function wasSelected({ State, Failure }: SpecReport): boolean {
  return State !== 'skipped' || (Failure?.Message ?? '') !== '';
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function countsOf(results: readonly SpecResult[]): Counts {
  const count = (outcome: SpecResult['outcome']): number =>
    results.filter((result) => result.outcome === outcome).length;
  return { passed: count('passed'), failed: count('failed'), skipped: count('skipped') };
}

export function countsLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
