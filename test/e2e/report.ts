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
  /** First line of what went wrong, or why it was skipped. */
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
 * The outcome of each spec that was to run. One that the report does not know has failed: it vanished, or the run ended
 * before it.
 */
export function resultsOf(reports: readonly SuiteReport[], names: readonly string[]): readonly SpecResult[] {
  const byName = new Map(specsOf(reports).map((spec) => [specName(spec), spec]));
  return names.map((name) => {
    const spec = byName.get(name);
    if (spec === undefined) return { name, outcome: 'failed', seconds: 0, message: 'was not run' };
    const outcome = spec.State === 'passed' || spec.State === 'skipped' ? spec.State : 'failed';
    const message = (spec.Failure?.Message ?? '').split('\n')[0] ?? '';
    return { name, outcome, seconds: Math.round(spec.RunTime / 1e9), message: message.slice(0, 200) };
  });
}

/** A table in Markdown: failures first, then what was skipped, each by name. */
export function table(results: readonly SpecResult[]): string {
  const rank = { failed: 0, skipped: 1, passed: 2 } as const;
  const rows = results
    .toSorted((one, other) => rank[one.outcome] - rank[other.outcome] || (one.name < other.name ? -1 : 1))
    .map(({ name, outcome, seconds, message }) =>
      [outcome, `${seconds} s`, name, message].map(cell).join(' | '),
    );
  return [
    '| outcome | time | spec | why |',
    '| --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
  ].join('\n');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** A document in Markdown with this section in it: in the place of the one of this title, else behind all others. */
export function withSection(document: string, title: string, body: string): string {
  const heading = `## ${title}\n`;
  const section = `${heading}\n${body}\n`;
  const start = `\n${document}`.indexOf(`\n${heading}`);
  if (start === -1) return `${document.trimEnd()}\n\n${section}`;
  const next = document.indexOf('\n## ', start + heading.length);
  return document.slice(0, start) + section + (next === -1 ? '' : document.slice(next));
}
