/** Ports from `first` to `last`, both included; 1 to 65535. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

const DECIMAL = /^[1-9]\d{0,4}$/;

/** A port number, 1 to 65535, decimal without leading zeros; `undefined` for anything else. */
export function parsePort(text: string): number | undefined {
  if (!DECIMAL.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}

/** `80`, `80:90` (as iptables writes it) or `80-90` (as people and ipset write it); `undefined` for anything else, also when the range runs backwards. */
export function parsePortRange(text: string): PortRange | undefined {
  const [low = '', high = low, ...more] = text.split(/[:-]/);
  const first = parsePort(low);
  const last = parsePort(high);
  if (first === undefined || last === undefined || last < first || more.length > 0) return undefined;
  return { first, last };
}

/** The fewest ranges that contain the same ports, sorted; neighbours are joined. */
export function mergePortRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  const merged: PortRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const last = merged.at(-1);
    if (last === undefined || range.first > last.last + 1) merged.push(range);
    else if (range.last > last.last) merged[merged.length - 1] = { first: last.first, last: range.last };
  }
  return merged;
}
