import type { CommandResult } from '../runtime/index.ts';

/** How many lines of input to show on each side of the one that failed. */
const linesAround = 2;
const longestLine = 200;

/** Exit code 4 alone proves nothing: the nf_tables programs use it for whatever the kernel refuses. */
const contention = /xtables lock|Resource temporarily unavailable/;
/** The last one is iptables' own way of saying it of sets. */
const unprivileged = /must be root|Operation not permitted|Permission denied|Can't open socket to ipset/;

/** iptables-nft, of a table or a chain with rules that others wrote with nft: those it does not know, and those it cannot make out. */
const unprintable = /is incompatible, use 'nft' tool|Parsing nftables rule failed/;
const emptyForThat = /^# Table `\w+' is incompatible/m;
/** In order: of a chain that is listed (1.8.9 calls that one incompatible), of the target of a rule. */
const missing = /No chain\/target\/match by that name|Chain '.*' does not exist|Couldn't load target/;

/**
 * In order: legacy, of a table whose module is missing, when it is listed and when it is written; iptables-nft, of a family, a hook or
 * nf_tables that the kernel lacks.
 */
const noTable = new RegExp(
  [
    'Table does not exist \\(do you need to insmod\\?\\)',
    "can't initialize ip6?tables table",
    'unable to initialize table',
    'TABLE_ADD failed \\((?:No such file or directory|Operation not supported)\\)',
    'CHAIN_ADD failed \\(No such file or directory\\)',
    'Could not fetch rule set generation id: (?:Invalid argument|Operation not supported)',
  ].join('|'),
);

export function succeeded(result: CommandResult): boolean {
  return result.exitCode === 0 && !result.timedOut;
}

/** Whether the command lost a race for the kernel's rules, so that the same command may well succeed later. */
export function isContention(result: CommandResult): boolean {
  return !succeeded(result) && contention.test(result.stderr);
}

export function isUnprivileged(result: CommandResult): boolean {
  return unprivileged.test(result.stderr) && !contention.test(result.stderr);
}

/** What is missing is room or time, and not sense in the input. */
const shortage =
  /Cannot allocate memory|Out of memory|No buffer space|Message too long|Device or resource busy|in use by/i;

/** Whether the program took offence at its input, as far as its words tell: another time it would say the same. */
export function isRefusal(result: CommandResult): boolean {
  if (result.exitCode === undefined || result.exitCode === 0 || result.timedOut) return false;
  return (
    !contention.test(result.stderr) && !unprivileged.test(result.stderr) && !shortage.test(result.stderr)
  );
}

/** What a program says against its input. */
export interface Objection {
  /** Counts from 1; `undefined` where it names none. */
  readonly line: number | undefined;
  /** Its words, without its name and the line; empty where there are none. */
  readonly why: string;
}

/** All that a program says against its input, in its order: iptables-nft-restore lists every rule that the kernel refuses, the others end at the first. */
export function objections(stderr: string): readonly Objection[] {
  const lines = stderr.split('\n').map((line) => line.trim());
  const perLine = lines.flatMap((line) => {
    const [, number, why = ''] = /^line (\d+): (\w+ failed \([^)]*\))/.exec(line) ?? [];
    return number === undefined ? [] : [{ line: Number(number), why }];
  });
  if (perLine.length > 0) return perLine;
  const why = lines
    .filter((line) => line !== '' && !/^Try `|^Error occurred at line|^[\w-]+: line \d+ failed$/.test(line))
    .map((line) => line.replace(programName, '').replace(/^Error in line \d+: /, ''))
    .filter((line) => line !== '')
    .join('; ');
  return [{ line: failedLine(stderr), why }];
}

/** `ipset v7.17: `, `iptables-restore v1.8.9 (legacy): `. */
const programName = /^[\w-]+ v[\d.]+(?: \(\w+\))?:\s*/;

/** Whether iptables-nft cannot print what it was asked for, since another program wrote rules there with nft. */
export function isUnprintable(result: CommandResult): boolean {
  // iptables-save says so in a comment, exits with 0 and shows nothing else: that must not pass for an empty table.
  return unprintable.test(result.stderr) || emptyForThat.test(result.stdout.slice(0, 1000));
}

/** Whether a chain that was asked for, or that a rule jumps to, is not there. */
export function isMissing(result: CommandResult): boolean {
  return missing.test(result.stderr);
}

/** Whether the kernel lacks the table that was asked for, or all of them. It may come: with a module that somebody loads. */
export function isNoTable(result: CommandResult): boolean {
  return !succeeded(result) && noTable.test(result.stderr);
}

/** How a command failed, in one line: `could not be started: ENOENT`, `exit code 2: Chain 'X' does not exist`. */
export function failureText(result: CommandResult): string {
  if (result.spawnError !== undefined) return `could not be started: ${result.spawnError}`;
  if (result.timedOut) return `did not end within ${Math.round(result.durationMs / 1000)} s`;
  const said = result.stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('Try `'));
  const how = result.exitCode === undefined ? 'was killed' : `exit code ${result.exitCode}`;
  return said.length === 0 ? how : `${how}: ${said.slice(0, 4).join('; ')}`;
}

/**
 * The number of the input line a restore complains about. The tools have four ways to say it: `line 5 failed`,
 * `Error occurred at line: 5`, `line 5: RULE_APPEND failed (…)` and, for ipset, `Error in line 5: …`.
 */
export function failedLine(stderr: string): number | undefined {
  const match = /\bline:? ([1-9]\d*)\b/.exec(stderr);
  return match === null ? undefined : Number(match[1]);
}

/** The input around a line, each line with its number, the line itself marked. Empty when there is no such line. */
export function inputAround(input: readonly string[], line: number): string {
  const first = line - linesAround;
  const shown: string[] = [];
  let number = 0;
  for (const text of input) {
    const count = countLines(text);
    if (number + count >= first) {
      for (const [index, content] of text.split('\n', count).entries()) {
        const current = number + index + 1;
        if (current < first || current > line + linesAround) continue;
        shown.push(`${current === line ? '>' : ' '}${current}: ${content.slice(0, longestLine)}`);
      }
    }
    number += count;
    if (number >= line + linesAround) break;
  }
  return number < line ? '' : shown.join('\n');
}

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}
