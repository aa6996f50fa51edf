import type { Cidr } from './cidr.ts';
import { cidrCovers, compareCidrs, widthOf } from './cidr.ts';

/** The fewest blocks that contain the same addresses, sorted: IPv4 first, then by first address. */
export function mergeCidrs(cidrs: readonly Cidr[]): readonly Cidr[] {
  const merged: Cidr[] = [];
  for (const cidr of cidrs.toSorted(compareCidrs)) {
    const last = merged.at(-1);
    if (last !== undefined && cidrCovers(last, cidr)) continue;
    merged.push(cidr);
    joinHalvesAtEnd(merged);
  }
  return merged;
}

/** A block completed by its other half may itself be the other half of a larger one. */
function joinHalvesAtEnd(merged: Cidr[]): void {
  for (;;) {
    const [low, high] = merged.slice(-2);
    if (low === undefined || high === undefined || !areHalves(low, high)) return;
    merged.splice(-2, 2, { ...low, length: low.length - 1 });
  }
}

function areHalves(low: Cidr, high: Cidr): boolean {
  if (low.family !== high.family || low.length !== high.length || low.length === 0) return false;
  const half = 1n << BigInt(widthOf(low.family) - low.length);
  return (low.bits & half) === 0n && low.bits + half === high.bits;
}
