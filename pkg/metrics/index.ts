export { createMetrics, type Metrics, type MetricsOptions } from './metrics.ts';
export type { DriftKind } from './node-metrics.ts';
export type { GuardDropTotal, PolicyProfile, ProfileDrops, ProfileInfo } from './policy-metrics.ts';
export type { NoLocalEndpoints, RuleCount, SyncFailure, SyncReport, SyncSuccess } from './sync-metrics.ts';
