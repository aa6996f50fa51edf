import { expect, test } from 'vitest';
import {
  bucketBounds,
  type MetricFamily,
  parsePrometheusText,
  sampleValue,
} from '../../test/support/prometheus-text.ts';
import { tellAll } from '../../test/support/told-metrics.ts';
import { createMetrics, type Metrics } from './metrics.ts';

let now = 1_000_000_000;
const metricsAt = (): Metrics => createMetrics({ version: '1.2.3', wallClock: () => now });

async function scrape(metrics: Metrics): Promise<ReadonlyMap<string, MetricFamily>> {
  return parsePrometheusText(await metrics.text());
}

test('a scrape is valid, whether nothing or everything has been told', async () => {
  const metrics = metricsAt();
  expect((await scrape(metrics)).size).toBeGreaterThan(30);
  tellAll(metrics, now);
  const told = await scrape(metrics);
  expect([...told.values()].filter((family) => family.samples.length === 0).map(({ name }) => name)).toEqual(
    [],
  );
  expect(metrics.contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
});

test("kube-proxy's metrics have its names, types and labels", async () => {
  const metrics = metricsAt();
  tellAll(metrics, now);
  const families = [...(await scrape(metrics)).values()];
  const labels = ({ samples }: MetricFamily): string =>
    [...new Set(samples.flatMap((sample) => Object.keys(sample.labels)))]
      .filter((label) => label !== 'le')
      .toSorted()
      .join(',');
  const lines = families
    .filter(({ name }) => /^(?:kubeproxy|rest_client|process)_/.test(name))
    .map((family) => `${family.name} ${family.type} ${labels(family)}`.trim());
  expect(lines.toSorted()).toEqual([
    'kubeproxy_conntrack_reconciler_deleted_entries_total counter ip_family',
    'kubeproxy_conntrack_reconciler_sync_duration_seconds histogram ip_family',
    'kubeproxy_iptables_ct_state_invalid_dropped_packets_total counter',
    'kubeproxy_iptables_localhost_nodeports_accepted_packets_total counter',
    'kubeproxy_network_programming_duration_seconds histogram ip_family',
    'kubeproxy_proxy_healthz_total counter code',
    'kubeproxy_proxy_livez_total counter code',
    'kubeproxy_sync_full_proxy_rules_duration_seconds histogram ip_family',
    'kubeproxy_sync_partial_proxy_rules_duration_seconds histogram ip_family',
    'kubeproxy_sync_proxy_rules_duration_seconds histogram ip_family',
    'kubeproxy_sync_proxy_rules_endpoint_changes_pending gauge',
    'kubeproxy_sync_proxy_rules_endpoint_changes_total counter',
    'kubeproxy_sync_proxy_rules_iptables_last gauge ip_family,table',
    'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total counter ip_family',
    'kubeproxy_sync_proxy_rules_iptables_restore_failures_total counter ip_family',
    'kubeproxy_sync_proxy_rules_iptables_total gauge ip_family,table',
    'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds gauge ip_family',
    'kubeproxy_sync_proxy_rules_last_timestamp_seconds gauge ip_family',
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total gauge ip_family,traffic_policy',
    'kubeproxy_sync_proxy_rules_service_changes_pending gauge',
    'kubeproxy_sync_proxy_rules_service_changes_total counter',
    'process_cpu_seconds_total counter',
    'process_max_fds gauge',
    'process_open_fds gauge',
    'process_resident_memory_bytes gauge',
    'process_start_time_seconds gauge',
    'process_virtual_memory_bytes gauge',
    'rest_client_request_duration_seconds histogram host,verb',
    'rest_client_requests_total counter code,host,method',
  ]);
});

test("histograms have kube-proxy's and client-go's buckets", async () => {
  const metrics = metricsAt();
  tellAll(metrics, now);
  const families = await scrape(metrics);
  const sync = [
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
  ];
  const syncHistograms = [
    'kubeproxy_sync_proxy_rules_duration_seconds',
    'kubeproxy_sync_full_proxy_rules_duration_seconds',
    'kubeproxy_sync_partial_proxy_rules_duration_seconds',
    'kubeproxy_conntrack_reconciler_sync_duration_seconds',
  ];
  for (const name of syncHistograms) expect(bucketBounds(families.get(name))).toEqual(sync);
  const programming = bucketBounds(families.get('kubeproxy_network_programming_duration_seconds'));
  expect(programming).toHaveLength(2 + 59 + 12 + 7);
  expect(programming.slice(0, 4)).toEqual([0.25, 0.5, 1, 2]);
  expect(programming.slice(59)).toEqual([
    58, 59, 60, 65, 70, 75, 80, 85, 90, 95, 100, 105, 110, 115, 120, 150, 180, 210, 240, 270, 300,
  ]);
  expect(bucketBounds(families.get('rest_client_request_duration_seconds'))).toEqual([
    0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60,
  ]);
});

test('what alerts ask for is zero before it first happens', async () => {
  const metrics = metricsAt();
  metrics.startFamilies(['IPv4']);
  const families = await scrape(metrics);
  const ofFamily = [
    'kubeproxy_sync_proxy_rules_iptables_restore_failures_total',
    'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total',
    'kubeproxy_network_programming_duration_seconds_count',
    'weir_policy_enforcement_seconds_count',
  ];
  for (const name of ofFamily) {
    expect(sampleValue(families, name, { ip_family: 'IPv4' })).toBe(0);
    expect(sampleValue(families, name, { ip_family: 'IPv6' })).toBeUndefined();
  }
  for (const kind of ['jump', 'chain', 'set'])
    expect(sampleValue(families, 'weir_drift_repairs_total', { kind })).toBe(0);
  expect(sampleValue(families, 'weir_contests_total')).toBe(0);
  expect(sampleValue(families, 'weir_ready')).toBe(0);
  expect(sampleValue(families, 'weir_diagnostics', { kind: 'NetworkPolicy', severity: 'error' })).toBe(0);
  expect(sampleValue(families, 'kubeproxy_proxy_healthz_total', { code: '503' })).toBe(0);
});

test('counts a failed sync as what failed, and its time as time', async () => {
  const metrics = metricsAt();
  metrics.startFamilies(['IPv6']);
  const failure = { family: 'IPv6', seconds: 1 } as const;
  metrics.sync.failed({ ...failure, full: true, restoreFailed: false });
  metrics.sync.failed({ ...failure, full: true, restoreFailed: true });
  metrics.sync.failed({ ...failure, full: false, restoreFailed: true });
  const families = await scrape(metrics);
  const value = (name: string): number | undefined => sampleValue(families, name, { ip_family: 'IPv6' });
  expect(value('kubeproxy_sync_proxy_rules_iptables_restore_failures_total')).toBe(2);
  expect(value('kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total')).toBe(1);
  expect(value('kubeproxy_sync_proxy_rules_duration_seconds_count')).toBe(3);
  expect(value('kubeproxy_sync_full_proxy_rules_duration_seconds_count')).toBe(2);
  expect(value('kubeproxy_sync_partial_proxy_rules_duration_seconds_count')).toBe(1);
  expect(value('kubeproxy_sync_proxy_rules_last_timestamp_seconds')).toBeUndefined();
});

test('the time of the last success is one for each part, and that of the last sync that of Services', async () => {
  const metrics = metricsAt();
  now = 5_000_000;
  metrics.sync.synced({ family: 'IPv4', full: false, seconds: 0.1, written: { filter: 0, nat: 0 } });
  now = 8_000_000;
  metrics.sync.verified('IPv4', 'services');
  now = 9_000_000;
  metrics.sync.verified('IPv4', 'policies');
  const families = await scrape(metrics);
  const labels = { ip_family: 'IPv4' };
  expect(sampleValue(families, 'kubeproxy_sync_proxy_rules_last_timestamp_seconds', labels)).toBe(5000);
  const success = (part: string): unknown =>
    sampleValue(families, 'weir_last_sync_success_timestamp_seconds', { ...labels, part });
  expect([success('services'), success('policies')]).toEqual([8000, 9000]);
});

test('pending changes end when a sync takes them in', async () => {
  const metrics = metricsAt();
  metrics.sync.changed('Service');
  metrics.sync.changed('EndpointSlice');
  metrics.sync.changed('EndpointSlice');
  const pending = 'kubeproxy_sync_proxy_rules_endpoint_changes_pending';
  expect(sampleValue(await scrape(metrics), pending)).toBe(2);
  metrics.sync.folded();
  const after = await scrape(metrics);
  expect(sampleValue(after, pending)).toBe(0);
  expect(sampleValue(after, 'kubeproxy_sync_proxy_rules_endpoint_changes_total')).toBe(2);
  expect(sampleValue(after, 'kubeproxy_sync_proxy_rules_service_changes_total')).toBe(1);
});

test('the age of a watch grows until something is heard', async () => {
  const metrics = metricsAt();
  now = 100_000;
  metrics.watch.heard('Pod', 100_000);
  now = 130_000;
  const age = 'weir_watch_age_seconds';
  expect(sampleValue(await scrape(metrics), age, { kind: 'Pod' })).toBe(30);
  metrics.watch.heard('Pod', 129_000);
  expect(sampleValue(await scrape(metrics), age, { kind: 'Pod' })).toBe(1);
});

test('a first watch is no restart, and a reason that is a whole message is no label', async () => {
  const metrics = metricsAt();
  metrics.watch.watchStarted('Pod', 'first');
  metrics.watch.watchStarted('Pod', 'expired');
  metrics.watch.failed('Pod', 'connect ECONNREFUSED 10.0.0.1:443 after 12 ms, request 4711');
  const families = await scrape(metrics);
  expect(families.get('weir_watch_restarts_total')?.samples).toEqual([
    { name: 'weir_watch_restarts_total', labels: { kind: 'Pod', reason: 'expired' }, value: 1 },
  ]);
  expect(sampleValue(families, 'weir_watch_failures_total', { kind: 'Pod', reason: 'other' })).toBe(1);
});

test('diagnostics are those that hold now, of all origins together', async () => {
  const metrics = metricsAt();
  const broken = { kind: 'Service', severity: 'error' } as const;
  metrics.node.setDiagnostics('a', [broken, broken, { kind: '', severity: 'hint' }]);
  metrics.node.setDiagnostics('b', [broken]);
  const errors = { kind: 'Service', severity: 'error' };
  expect(sampleValue(await scrape(metrics), 'weir_diagnostics', errors)).toBe(3);
  metrics.node.setDiagnostics('a', []);
  const after = await scrape(metrics);
  expect(sampleValue(after, 'weir_diagnostics', errors)).toBe(1);
  expect(sampleValue(after, 'weir_diagnostics', { kind: 'other', severity: 'hint' })).toBeUndefined();
});

test('calls to the API server count by what they are on the wire', async () => {
  const metrics = metricsAt();
  const call = { host: 'api:6443', code: '200', durationMs: 2000 };
  for (const verb of ['LIST', 'WATCH', 'GET', 'POST']) metrics.apiCalled({ ...call, verb });
  metrics.apiCalled({ ...call, verb: 'GET', code: '<error>' });
  const families = await scrape(metrics);
  const requests = (code: string, method: string): number | undefined =>
    sampleValue(families, 'rest_client_requests_total', { code, method, host: 'api:6443' });
  expect([requests('200', 'GET'), requests('<error>', 'GET'), requests('200', 'POST')]).toEqual([3, 1, 1]);
  const get = { verb: 'GET', host: 'api:6443' };
  expect(sampleValue(families, 'rest_client_request_duration_seconds_sum', get)).toBe(8);
});

test('profiles that are gone leave no series behind', async () => {
  const metrics = metricsAt();
  metrics.policy.setDrops([
    { direction: 'ingress', profile: 'A', packets: 1 },
    { direction: 'egress', profile: 'B', packets: 2 },
  ]);
  metrics.policy.setDrops([{ direction: 'egress', profile: 'B', packets: 5 }]);
  metrics.policy.setProfiles([{ direction: 'egress', profile: 'B', policies: 'shop/b' }]);
  const families = await scrape(metrics);
  expect(families.get('weir_policy_dropped_packets_total')?.samples).toEqual([
    {
      name: 'weir_policy_dropped_packets_total',
      labels: { direction: 'egress', profile: 'B' },
      value: 5,
    },
  ]);
  expect(
    sampleValue(families, 'weir_policy_profile_info', {
      direction: 'egress',
      profile: 'B',
      policies: 'shop/b',
    }),
  ).toBe(1);
});

test('a label with anything in it survives', async () => {
  const metrics = metricsAt();
  const policies = 'a "quoted" \\ name\nand a line';
  metrics.policy.setProfiles([{ direction: 'ingress', profile: 'A', policies }]);
  const info = (await scrape(metrics)).get('weir_policy_profile_info');
  expect(info?.samples[0]?.labels['policies']).toBe(policies);
});

test('a scrape asks those who want to look first, and goes on without one that fails', async () => {
  const metrics = metricsAt();
  metrics.onScrape(() => Promise.reject(new Error('not now')));
  metrics.onScrape(() => metrics.node.setReady(true));
  expect(sampleValue(await scrape(metrics), 'weir_ready')).toBe(1);
});

test('the process is described with true numbers', async () => {
  now = Date.now();
  const metrics = metricsAt();
  const families = await scrape(metrics);
  const value = (name: string): number => sampleValue(families, name) ?? Number.NaN;
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(10e6);
  expect(value('process_virtual_memory_bytes')).toBeGreaterThan(value('process_resident_memory_bytes'));
  expect(value('process_open_fds')).toBeGreaterThan(2);
  expect(value('process_max_fds')).toBeGreaterThan(value('process_open_fds'));
  expect(value('process_cpu_seconds_total')).toBeGreaterThan(0);
  const startedAt = value('process_start_time_seconds');
  expect(Math.abs(startedAt - (now / 1000 - process.uptime()))).toBeLessThan(60);
  expect(
    sampleValue(families, 'weir_build_info', { version: '1.2.3', node_version: process.versions.node }),
  ).toBe(1);
});

test('two sets of metrics know nothing of each other', async () => {
  const [one, other] = [metricsAt(), metricsAt()];
  one.node.contested();
  expect(sampleValue(await scrape(other), 'weir_contests_total')).toBe(0);
});

test('the check behind /healthz is counted', async () => {
  const metrics = metricsAt();
  metrics.sli.pinged();
  metrics.sli.pinged();
  const families = parsePrometheusText(await metrics.sli.text());
  const labels = { name: 'ping', type: 'healthz' };
  expect(sampleValue(families, 'kubernetes_healthcheck', labels)).toBe(1);
  expect(sampleValue(families, 'kubernetes_healthchecks_total', { ...labels, status: 'success' })).toBe(2);
});

test.each([
  ['policies', /^(kubeproxy_|weir_event_to_applied)/],
  ['services', /^weir_(policy|closed_start)/],
] as const)('%s alone have no metrics of the rest', async (part, others) => {
  const metrics = createMetrics({ version: '1.2.3', wallClock: () => now, parts: [part] });
  metrics.startFamilies(['IPv4']);
  const names = (text: string): readonly string[] =>
    [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
  const shown = names(await metrics.text());
  const all = names(await metricsAt().text());
  expect(shown).toEqual(all.filter((name) => !others.test(name)));
  expect(shown.length).toBeLessThan(all.length);
  expect(shown).toContain('weir_part_state');
});
