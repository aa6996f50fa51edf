import { formatIPv4, parseIPv4 } from './ipv4.ts';

/** The eight 16-bit groups of an IPv6 address. */
export type Groups = readonly number[];

const GROUP = /^[0-9a-fA-F]{1,4}$/;

/** Groups of an IPv6 address in any form of RFC 4291 §2.2, the last 32 bits as a dotted quad included; `undefined` for anything else, zones too. */
export function parseIPv6(text: string): Groups | undefined {
  if (text.length > 45 || !text.includes(':')) return undefined;
  const gap = text.indexOf('::');
  if (gap === -1) return parseGroups(text, 8, true);
  const head = gap === 0 ? [] : parseGroups(text.slice(0, gap), 7, false);
  const tail = gap + 2 === text.length ? [] : parseGroups(text.slice(gap + 2), 7, true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (missing < 1) return undefined;
  return [...head, ...Array.from({ length: missing }, () => 0), ...tail];
}

/** Groups separated by single colons: exactly 8 when `limit` is 8, else 1 to `limit`. */
function parseGroups(text: string, limit: number, isEnd: boolean): readonly number[] | undefined {
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const quad = isEnd && index === parts.length - 1 ? parseIPv4(part) : undefined;
    if (quad === undefined) return undefined;
    groups.push(quad >>> 16, quad & 0xffff);
  }
  const fits = limit === 8 ? groups.length === 8 : groups.length <= limit;
  return fits ? groups : undefined;
}

const COLON = 0x3a;

/**
 * Whether the text is an address in its canonical form, by a look at its characters: many texts that the kernel gives are compared, and
 * reading one takes ten times as long. `false` proves nothing.
 */
export function isPlainlyCanonicalIPv6(text: string): boolean {
  const end = text.length;
  let groups = 0;
  let digits = 0;
  let gaps = 0;
  for (let i = 0; i < end; i += 1) {
    const code = text.charCodeAt(i);
    if (code === COLON) {
      if (text.charCodeAt(i + 1) === COLON) {
        gaps += 1;
        i += 1;
      } else if (digits === 0 || i + 1 === end) return false;
      digits = 0;
    } else {
      const isLowerHex = (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);
      // Without groups of zero, the longest run of them is the gap.
      if (!isLowerHex || digits === 4 || (digits === 0 && code === 0x30)) return false;
      if (digits === 0) groups += 1;
      digits += 1;
    }
  }
  if (gaps === 0) return groups === 8;
  return gaps === 1 && groups <= 6 && !text.startsWith('::ffff:');
}

/** Canonical text of RFC 5952: lower case, the first longest run of two or more zero groups as '::', IPv4-mapped addresses with a dotted quad (§5). */
export function formatIPv6(groups: Groups): string {
  if (isIPv4Mapped(groups)) return `::ffff:${formatIPv4((groups[6] ?? 0) * 0x10000 + (groups[7] ?? 0))}`;
  const run = longestZeroRun(groups);
  if (run.length < 2) return joinHex(groups);
  return `${joinHex(groups.slice(0, run.start))}::${joinHex(groups.slice(run.start + run.length))}`;
}

function isIPv4Mapped(groups: Groups): boolean {
  return groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
}

function longestZeroRun(groups: Groups): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: index - length + 1, length };
  }
  return best;
}

function joinHex(groups: Groups): string {
  return groups.map((group) => group.toString(16)).join(':');
}

/** Numeric value of eight groups. */
export function groupsToBits(groups: Groups): bigint {
  let bits = 0n;
  for (let i = 0; i < 8; i += 2)
    bits = (bits << 32n) | BigInt((groups[i] ?? 0) * 0x10000 + (groups[i + 1] ?? 0));
  return bits;
}

/** Groups of a numeric value below 2¹²⁸. */
export function bitsToGroups(bits: bigint): Groups {
  const hex = bits.toString(16).padStart(32, '0');
  return Array.from({ length: 8 }, (_, i) => Number.parseInt(hex.slice(i * 4, i * 4 + 4), 16));
}
