import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { requestBuckets } from './buckets.ts';

/** What lists and watches tell: the shape of a reflector's observer. Kinds are the objects' own (`Service`). */
export interface WatchMetrics {
  listed(kind: string, durationMs: number, items: number): void;
  /** `first` is no restart; every other reason is. */
  watchStarted(kind: string, reason: string): void;
  /** Any sign of life: an event, a bookmark, a watch that began; milliseconds since 1970. */
  heard(kind: string, epochMs: number): void;
  event(kind: string, type: string): void;
  failed(kind: string, reason: string): void;
}

export function createWatchMetrics(registry: Registry, nowSeconds: () => number): WatchMetrics {
  const registers = [registry];
  const heard = new Map<string, number>();
  const lists = new Histogram({
    name: 'weir_list_duration_seconds',
    help: 'How long it took to list all objects of a kind.',
    labelNames: ['kind'],
    buckets: [...requestBuckets],
    registers,
  });
  const listed = new Gauge({
    name: 'weir_list_objects',
    help: 'Objects in the last list of a kind.',
    labelNames: ['kind'],
    registers,
  });
  const restarts = new Counter({
    name: 'weir_watch_restarts_total',
    help: 'Watches started again, by why the one before had ended.',
    labelNames: ['kind', 'reason'],
    registers,
  });
  const failures = new Counter({
    name: 'weir_watch_failures_total',
    help: 'Lists and watches that failed.',
    labelNames: ['kind', 'reason'],
    registers,
  });
  const events = new Counter({
    name: 'weir_watch_events_total',
    help: 'Events that watches brought.',
    labelNames: ['kind', 'type'],
    registers,
  });
  const age = new Gauge({
    name: 'weir_watch_age_seconds',
    help: 'How long ago the API server was last heard of a kind: an event, a bookmark, or a watch that it let begin.',
    labelNames: ['kind'],
    registers: [],
    collect() {
      for (const [kind, at] of heard) this.set({ kind }, Math.max(nowSeconds() - at, 0));
    },
  });
  registry.registerMetric(age);
  return {
    listed: (kind, durationMs, items) => {
      lists.observe({ kind }, durationMs / 1000);
      listed.set({ kind }, items);
    },
    watchStarted: (kind, reason) => {
      if (reason !== 'first') restarts.inc({ kind, reason: reasonLabel(reason) });
    },
    heard: (kind, epochMs) => {
      heard.set(kind, epochMs / 1000);
    },
    event: (kind, type) => events.inc({ kind, type }),
    failed: (kind, reason) => failures.inc({ kind, reason: reasonLabel(reason) }),
  };
}

/** A word or two become a label; a whole message would make a new series each time it says something else. */
function reasonLabel(reason: string): string {
  return /^[\w<>-]+(?: [\w-]+)?$/.test(reason) && reason.length <= 32 ? reason : 'other';
}
