import { readdirSync, readFileSync } from 'node:fs';

function statusBytes(pid: number, field: string): number {
  try {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(line?.[1] ?? 0) * 1024;
  } catch {
    // Gone between two looks.
    return 0;
  }
}

/** Resident memory of one process in bytes; 0 when it is gone. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, 'VmRSS');
}

/** The most that was resident since the process began. */
export function peakBytes(pid: number): number {
  return statusBytes(pid, 'VmHWM');
}

function children(pid: number): readonly number[] {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    return tasks.flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
        .trim()
        .split(' ')
        .filter(Boolean)
        .map(Number),
    );
  } catch {
    return [];
  }
}

function treeBytes(pid: number): number {
  return residentBytes(pid) + children(pid).reduce((sum, child) => sum + treeBytes(child), 0);
}

/** Watches a process and all that it starts; `stop` gives the most memory they held together, in bytes. */
export function peakOfTree(pid: number): { stop(): number } {
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, treeBytes(pid));
  }, 10);
  return {
    stop: () => {
      clearInterval(timer);
      return peak;
    },
  };
}
