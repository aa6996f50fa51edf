/** Seconds a sync may take: 1 ms, doubling, up to 16.384 s. kube-proxy's. */
export const syncBuckets: readonly number[] = Array.from({ length: 15 }, (_, power) => 2 ** power / 1000);

/** Seconds from the cause of a change to its effect: kube-proxy's for network programming, up to five minutes. */
export const programmingBuckets: readonly number[] = [
  0.25,
  0.5,
  ...steps(1, 59, 1),
  ...steps(60, 115, 5),
  ...steps(120, 300, 30),
];

/** Seconds from an event's arrival to its effect in the kernel: 5 ms, doubling, up to 164 s. */
export const latencyBuckets: readonly number[] = Array.from(
  { length: 16 },
  (_, power) => (5 * 2 ** power) / 1000,
);

/** Seconds until the API server answered: client-go's. */
export const requestBuckets: readonly number[] = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

function steps(first: number, last: number, step: number): readonly number[] {
  return Array.from({ length: (last - first) / step + 1 }, (_, index) => first + index * step);
}
