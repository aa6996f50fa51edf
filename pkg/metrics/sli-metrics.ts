import { Counter, Gauge, Registry } from 'prom-client';

/** What `/metrics/slis` shows: the checks behind `/healthz`, of which there is one, that the process answers. */
export interface SliMetrics {
  /** The check was made. */
  pinged(): void;
  text(): Promise<string>;
}

export function createSliMetrics(): SliMetrics {
  const registry = new Registry();
  const registers = [registry];
  const labels = { name: 'ping', type: 'healthz' } as const;
  const last = new Gauge({
    name: 'kubernetes_healthcheck',
    help: '1 when the check last went well.',
    labelNames: ['name', 'type'],
    registers,
  });
  const total = new Counter({
    name: 'kubernetes_healthchecks_total',
    help: 'Checks made, by how they went.',
    labelNames: ['name', 'type', 'status'],
    registers,
  });
  return {
    pinged: () => {
      last.set(labels, 1);
      total.inc({ ...labels, status: 'success' });
    },
    text: () => registry.metrics(),
  };
}
