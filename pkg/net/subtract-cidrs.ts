import type { Cidr } from './cidr.ts';
import { cidrCovers, widthOf } from './cidr.ts';
import { mergeCidrs } from './merge-cidrs.ts';

/** The fewest blocks that contain the addresses of `from` that lie in none of the holes, sorted. Holes outside and of the other family change nothing. */
export function subtractCidrs(from: Cidr, holes: readonly Cidr[]): readonly Cidr[] {
  const rest: Cidr[] = [];
  collectRest(from, mergeCidrs(holes), rest);
  return rest;
}

/** Halves a block until each part lies wholly in a hole or wholly outside all of them; in order, and never smaller than needed. */
function collectRest(part: Cidr, holes: readonly Cidr[], rest: Cidr[]): void {
  const touching = holes.filter((hole) => cidrCovers(hole, part) || cidrCovers(part, hole));
  if (touching.length === 0) {
    rest.push(part);
    return;
  }
  if (touching.some((hole) => cidrCovers(hole, part))) return;
  const length = part.length + 1;
  const half = 1n << BigInt(widthOf(part.family) - length);
  collectRest({ ...part, length }, touching, rest);
  collectRest({ ...part, bits: part.bits + half, length }, touching, rest);
}
