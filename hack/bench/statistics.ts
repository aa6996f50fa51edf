/** The value below which `share` (0 to 1) of the values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function round(value: number, digits = 1): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

/** How many values were at most `upTo`; counts rise with it, as in Prometheus' histograms. */
export interface Bucket {
  readonly upTo: number;
  readonly count: number;
}

/** As Prometheus' histogram_quantile: in the bucket in which it falls, as if its values were spread evenly. */
export function bucketPercentile(buckets: readonly Bucket[], share: number): number {
  const rank = (buckets.at(-1)?.count ?? 0) * share;
  const at = buckets.findIndex(({ count }) => count >= rank);
  const [below, found] = [buckets[at - 1] ?? { upTo: 0, count: 0 }, buckets[at]];
  if (found === undefined || rank === 0) return Number.NaN;
  if (found.upTo === Number.POSITIVE_INFINITY) return below.upTo;
  return below.upTo + ((found.upTo - below.upTo) * (rank - below.count)) / (found.count - below.count);
}
