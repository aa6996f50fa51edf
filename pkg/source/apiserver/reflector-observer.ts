import type { ObjectKind } from '../../api/index.ts';
import type { ChangeType } from './watch-stream.ts';

/** Who wants to know how listing and watching goes, for metrics. */
export interface ReflectorObserver {
  /** A complete state came, as a list or as the beginning of a watch. */
  listed(kind: ObjectKind, durationMs: number, items: number): void;
  /** `reason`: what made it necessary: `first`, `ended`, `overdue` or why the one before failed. */
  watchStarted(kind: ObjectKind, reason: string): void;
  /** Something came over the watch, be it only a bookmark, or the server let it begin; milliseconds since 1970. */
  heard(kind: ObjectKind, epochMs: number): void;
  event(kind: ObjectKind, type: ChangeType): void;
  /** A list or watch failed, or (`handler`) somebody who was told threw. */
  failed(kind: ObjectKind, reason: string): void;
}

export const noObserver: ReflectorObserver = {
  listed: () => undefined,
  watchStarted: () => undefined,
  heard: () => undefined,
  event: () => undefined,
  failed: () => undefined,
};
