import { afterEach, beforeEach, expect, test } from 'vitest';
import { createMetrics, type Metrics } from '../../pkg/metrics/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { ask, type SeenAnswer } from '../../test/support/http-answer.ts';
import { parsePrometheusText, sampleValue } from '../../test/support/prometheus-text.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { startAdminServer } from './admin-server.ts';
import type { HttpServer } from './http-server.ts';

let metrics: Metrics;
let server: HttpServer;
let log: RecordedLog;
let configuration: () => unknown;

beforeEach(async () => {
  metrics = createMetrics({ version: '0.0.0', wallClock: () => 0 });
  log = recordedLog();
  configuration = () => ({ kind: 'KubeProxyConfiguration', mode: 'iptables' });
  server = await startAdminServer({
    address: '127.0.0.1:0',
    clock: new FakeClock(),
    log,
    hardFail: true,
    metrics,
    isProxy: true,
    configuration: () => configuration(),
  });
});

afterEach(() => server.stop());

const get = (path: string): Promise<SeenAnswer> => ask(server.port ?? 0, path);
const text = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };

test('serves a scrape that a Prometheus can read', async () => {
  metrics.node.contested();
  const { status, headers, body } = await get('/metrics');
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(sampleValue(parsePrometheusText(body), 'weir_contests_total')).toBe(1);
});

test('answers what people and tools ask kube-proxy', async () => {
  expect(await get('/healthz')).toEqual({
    status: 200,
    headers: { ...text, 'content-length': '2' },
    body: 'ok',
  });
  expect(await get('/proxyMode')).toEqual({
    status: 200,
    headers: { ...text, 'content-length': '8' },
    body: 'iptables',
  });
  expect(await get('/configz')).toEqual({
    status: 200,
    headers: {
      'content-type': 'application/json',
      'x-content-type-options': 'nosniff',
      'content-length': '79',
    },
    body: '{"kubeproxy.config.k8s.io":{"kind":"KubeProxyConfiguration","mode":"iptables"}}',
  });
  expect((await get('/debug/pprof')).status).toBe(404);
});

test('counts the checks that it answered', async () => {
  await get('/healthz');
  await get('/healthz');
  const families = parsePrometheusText((await get('/metrics/slis')).body);
  const labels = { name: 'ping', type: 'healthz', status: 'success' };
  expect(sampleValue(families, 'kubernetes_healthchecks_total', labels)).toBe(2);
});

test('an answer that can not be made is one failed request and one line in the log', async () => {
  configuration = () => {
    throw new Error('no configuration');
  };
  expect(await get('/configz')).toMatchObject({ status: 500, body: 'internal error\n' });
  expect(log.lines).toEqual(['ERROR a request to the metrics server could not be answered']);
  expect((await get('/healthz')).status).toBe(200);
});
