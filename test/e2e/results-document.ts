import { type Counts, countsLine, countsOf, type SpecResult } from './report.ts';

/** A suite that was run as a whole. */
export interface Run {
  readonly suite: string;
  readonly proxy: string;
  /** Kind of iptables. */
  readonly backend: string;
  readonly seconds: number;
  /** A few words on where it ran. */
  readonly circumstances: string;
  readonly results: readonly SpecResult[];
}

const introduction = `# Results

Of upstream's end-to-end specs in the lab, written by \`npm run e2e\`. Which specs a suite leaves out, and why, is in suites.ts;
those that it runs are in expected/.`;
const tableHead = `| suite | Services by | iptables | passed | failed | skipped | time |
| --- | --- | --- | --- | --- | --- | --- |`;

/** A document in Markdown with this run in it, in the place of the last one of its kind. An empty document becomes a whole one. */
export function withRun(document: string, run: Run): string {
  const title = `${run.suite}, ${run.proxy}, iptables ${run.backend}`;
  const [head = '', ...sections] = document.trimEnd().split('\n## ');
  const rows = head.split('\n').filter((line) => line.startsWith('| ['));
  const link = `| [${run.suite}](#${anchorOf(title)}) |`;
  const allRows = [...rows.filter((row) => !row.startsWith(link)), summaryRow(link, run)].toSorted();
  const others = sections.filter((section) => !section.startsWith(`${title}\n`));
  const allSections = [...others.map((text) => text.trimEnd()), section(title, run)].toSorted();
  const blocks = [
    introduction,
    [tableHead, ...allRows].join('\n'),
    ...allSections.map((text) => `## ${text}`),
  ];
  return `${blocks.join('\n\n')}\n`;
}

function summaryRow(link: string, { proxy, backend, results, seconds }: Run): string {
  const { passed, failed, skipped }: Counts = countsOf(results);
  return `${link} ${[proxy, backend, passed, failed, skipped, duration(seconds)].join(' | ')} |`;
}

function section(title: string, { results, seconds, circumstances }: Run): string {
  const counts = countsOf(results);
  const notPassed = results.filter(({ outcome }) => outcome !== 'passed');
  const passed = table(results.filter(({ outcome }) => outcome === 'passed'));
  return [
    title,
    `${countsLine(counts)} in ${duration(seconds)}: ${circumstances}.`,
    ...(notPassed.length === 0 ? [] : [table(notPassed)]),
    `<details><summary>${counts.passed} passed</summary>\n\n${passed}\n\n</details>`,
  ].join('\n\n');
}

/** Failures first, then what was skipped, each by name. */
function table(results: readonly SpecResult[]): string {
  const rank = { failed: 0, skipped: 1, passed: 2 } as const;
  const rows = results
    .toSorted((one, other) => rank[one.outcome] - rank[other.outcome] || (one.name < other.name ? -1 : 1))
    .map(({ name, outcome, seconds, message }) =>
      [outcome, outcome === 'skipped' ? '' : `${seconds} s`, shortName(name), message].map(cell).join(' | '),
    );
  return [
    '| outcome | time | spec | why |',
    '| --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
  ].join('\n');
}

/** All are specs of the network. */
function shortName(name: string): string {
  return name.replace('[sig-network] ', '');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
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
