import type { LabKind } from '../lab/settings.ts';
import { countsLine, countsOf, type SpecResult } from './report.ts';

/** A suite that was run as a whole. */
export interface Run {
  readonly suite: string;
  readonly settings: LabKind;
  readonly seconds: number;
  /** A few words on where it ran. */
  readonly circumstances: string;
  readonly results: readonly SpecResult[];
}

type Row = readonly string[];

const introduction = `# Results

Of upstream's end-to-end specs in the lab, written by \`npm run e2e\`. Which specs a suite leaves out, and why, is in suites.ts;
those that it runs are in expected/.`;
const summaryHead = ['suite', 'Services by', 'iptables', 'passed', 'failed', 'skipped', 'time'];
const specHead = ['outcome', 'time', 'spec', 'why'];

/** A document in Markdown with this run in it, in the place of the last one of its kind. An empty document becomes a whole one. */
export function withRun(document: string, run: Run): string {
  const title = titleOf(run);
  const [head = '', ...sections] = document.trimEnd().split('\n## ');
  const row = summaryRow(title, run);
  const rows = [...summaryRows(head).filter(([link]) => link !== row[0]), row];
  const others = sections.filter((section) => !section.startsWith(`${title}\n`));
  const blocks = [
    introduction,
    table(summaryHead, rows.toSorted(byCells)),
    ...[...others.map((text) => text.trimEnd()), section(title, run)].toSorted().map((text) => `## ${text}`),
  ];
  return `${blocks.join('\n\n')}\n`;
}

/** Runs of one kind have one title. */
export function titleOf({ suite, settings }: Pick<Run, 'suite' | 'settings'>): string {
  return `${suite}, ${settings.proxy}, iptables ${settings.backend}${besides(settings)}`;
}

/** What is not the rule. */
function besides({ network }: LabKind): string {
  return network === 'routed' ? '' : `, ${network} pods`;
}

function summaryRow(title: string, { suite, settings, results, seconds }: Run): Row {
  const { passed, failed, skipped } = countsOf(results);
  const link = `[${suite}${besides(settings)}](#${anchorOf(title)})`;
  return [link, settings.proxy, settings.backend, `${passed}`, `${failed}`, `${skipped}`, duration(seconds)];
}

/** Those that link to a section. */
function summaryRows(head: string): readonly Row[] {
  return head
    .split('\n')
    .filter((line) => line.startsWith('| ['))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
}

function section(title: string, { results, seconds, circumstances }: Run): string {
  const counts = countsOf(results);
  const notPassed = results.filter(({ outcome }) => outcome !== 'passed');
  const passed = specTable(results.filter(({ outcome }) => outcome === 'passed'));
  return [
    title,
    `${countsLine(counts)} in ${duration(seconds)}: ${circumstances}.`,
    ...(notPassed.length === 0 ? [] : [specTable(notPassed)]),
    `<details><summary>${counts.passed} passed</summary>\n\n${passed}\n\n</details>`,
  ].join('\n\n');
}

/** Failures first, then what was skipped, each by name. */
function specTable(results: readonly SpecResult[]): string {
  const rows = results.map(({ name, outcome, seconds, message }) => [
    outcome,
    outcome === 'skipped' ? '' : `${seconds} s`,
    // All are specs of the network.
    escaped(name.replace('[sig-network] ', '')),
    escaped(message),
  ]);
  const byOutcome = ([one = '', , oneName = '']: Row, [other = '', , otherName = '']: Row): number =>
    byCells([one, oneName], [other, otherName]);
  return table(specHead, rows.toSorted(byOutcome));
}

function byCells(one: Row, other: Row): number {
  return one.join('\n') < other.join('\n') ? -1 : 1;
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** As the formatter likes it: cells of a column have one width. */
function table(head: Row, rows: readonly Row[]): string {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: Row, filler = ' '): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width, filler)).join(' | ')} |`;
  return [line(head), line([], '-'), ...rows.map((row) => line(row))].join('\n');
}

export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** As those who show Markdown make them. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^a-z0-9 -]/gu, '')
    .replaceAll(' ', '-');
}
