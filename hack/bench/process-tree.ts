import { readFileSync, readlinkSync } from 'node:fs';
import { childrenOf } from '../../test/support/process-facts.ts';

/** Of the times in /proc/PID/stat. */
const msPerTick = 10;

/** What an agent and the programs it has started have used of a core until now, in milliseconds. */
export interface ProcessTimes {
  /** Of the agent's own processes: those that run Node.js. */
  readonly own: number;
  /** Of all others in its tree, those that have ended included. */
  readonly programs: number;
}

/** The processes that run Node.js in the tree of a process, itself among them: an agent may start itself a second time. */
export function nodesOf(pid: number): readonly number[] {
  return treeOf(pid).filter(isNode);
}

export function processTimes(pid: number): ProcessTimes {
  const times = treeOf(pid).map((one) => ({ isOwn: isNode(one), ...timesOf(one) }));
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    own: sum(times.map(({ isOwn, used }) => (isOwn ? used : 0))),
    programs: sum(times.map(({ isOwn, used, usedByEnded }) => usedByEnded + (isOwn ? 0 : used))),
  };
}

function treeOf(pid: number): readonly number[] {
  try {
    return [pid, ...childrenOf(pid).flatMap(treeOf)];
  } catch {
    // Gone between two looks; its parent has its times.
    return [];
  }
}

function isNode(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`).endsWith('/node');
  } catch {
    return false;
  }
}

function timesOf(pid: number): { readonly used: number; readonly usedByEnded: number } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const ticks = (first: number): number => ((fields[first] ?? 0) + (fields[first + 1] ?? 0)) * msPerTick;
    return { used: ticks(11), usedByEnded: ticks(13) };
  } catch {
    return { used: 0, usedByEnded: 0 };
  }
}
