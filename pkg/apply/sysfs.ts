import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { WeirError } from '../runtime/index.ts';

/** What Weir reads and sets below /sys. */
export interface SysFs {
  /** Processors of the machine that are on; a container's own share of them does not count. */
  cpuCount(): Promise<number>;
  /** Buckets of the kernel's table of tracked connections; undefined where that can't be read. */
  conntrackBuckets(): Promise<number | undefined>;
  /** Only possible in the host's network namespace. Throws WEIR_SYSCTL_FAILED. */
  setConntrackBuckets(count: number): Promise<void>;
}

const bucketsPath = 'module/nf_conntrack/parameters/hashsize';
const onlinePath = 'devices/system/cpu/online';

/** `root` is /sys unless told. */
export function createSysFs(root = '/sys'): SysFs {
  const read = (path: string): Promise<string> =>
    readFile(`${root}/${path}`, 'utf8').then(
      (text) => text.trim(),
      () => '',
    );
  return {
    cpuCount: async () => countOf(await read(onlinePath)) ?? Math.max(1, cpus().length),
    conntrackBuckets: async () => {
      const text = await read(bucketsPath);
      return /^\d+$/.test(text) ? Number(text) : undefined;
    },
    setConntrackBuckets: async (count) => {
      try {
        await writeFile(`${root}/${bucketsPath}`, String(count), { flag: 'r+' });
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        const message = `/sys/${bucketsPath} could not be set to ${count}: ${why}`;
        throw new WeirError('WEIR_SYSCTL_FAILED', message, { cause: error });
      }
    },
  };
}

/** How many numbers a list of ranges has: `0-3,6` has five. */
function countOf(list: string): number | undefined {
  if (!/^\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*$/.test(list)) return undefined;
  const ranges = list.split(',').map((range) => range.split('-').map(Number));
  return ranges.reduce((sum, [first = 0, last = first]) => sum + last - first + 1, 0);
}
