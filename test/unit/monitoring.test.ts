import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { createMetrics } from '../../pkg/metrics/index.ts';
import { type MetricFamily, parsePrometheusText } from '../support/prometheus-text.ts';
import { tellAll } from '../support/told-metrics.ts';

const folder = new URL('../../manifests/monitoring/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}
interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}
interface Variable {
  readonly name: string;
  readonly type: string;
  readonly query: string;
}

const { groups } = (
  parse(read('prometheus-rule.yaml')) as { spec: { groups: readonly { rules: readonly Rule[] }[] } }
).spec;
const rules = groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(read('weir-dashboard.json')) as {
  panels: readonly Panel[];
  templating: { list: readonly Variable[] };
};
const queries = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => [title, expr] as const),
);

/** Labels that Prometheus gives to every series of a target. */
const targetLabels = ['job', 'instance', 'namespace', 'pod'];
/** What Prometheus itself makes for every target. */
const targetSeries = new Map([['up', new Set(targetLabels)]]);

let families: ReadonlyMap<string, MetricFamily>;

beforeAll(async () => {
  const metrics = createMetrics({ version: '0.0.0', wallClock: () => 0 });
  tellAll(metrics, 0);
  families = parsePrometheusText(await metrics.text());
});

/** Labels of a series by its name; `undefined` when Weir has no such series. */
function labelsOf(name: string): ReadonlySet<string> | undefined {
  const known = targetSeries.get(name);
  if (known !== undefined) return known;
  const histogram = families.get(name.replace(/_(?:bucket|sum|count)$/, ''));
  const family = families.get(name) ?? (histogram?.type === 'histogram' ? histogram : undefined);
  const samples = family?.samples.filter((sample) => sample.name === name) ?? [];
  if (samples.length === 0) return undefined;
  return new Set([...targetLabels, ...samples.flatMap(({ labels }) => Object.keys(labels))]);
}

/** The series that an expression names, with the labels it selects them by. */
function selectors(expr: string): readonly { readonly name: string; readonly labels: readonly string[] }[] {
  const bare = expr.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
  const found = [...bare.matchAll(/\b((?:up|[a-z]+_[a-z_]+))\b(?!\s*\()(?:\{([^}]*)\})?/g)];
  return found
    .filter(([, name = '']) => !['group_left', 'group_right', ...allLabels(bare)].includes(name))
    .map(([, name = '', matchers = '']) => ({
      name,
      labels: [...matchers.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label),
    }));
}

/** Labels that an expression groups or joins by. */
function allLabels(expr: string): readonly string[] {
  const lists = [...expr.matchAll(/\b(?:by|on|without|group_left|group_right)\s*\(([^)]*)\)/g)];
  return lists.flatMap(([, list = '']) => list.split(',').map((label) => label.trim()));
}

/** What an expression asks for that Weir does not have. */
function unknownIn(expr: string): readonly string[] {
  const named = selectors(expr);
  if (named.length === 0) return ['no metric at all'];
  const known = new Set(named.flatMap(({ name }) => [...(labelsOf(name) ?? [])]));
  const ofSeries = named.flatMap(({ name, labels }) => {
    const existing = labelsOf(name);
    if (existing === undefined) return [name];
    return labels.filter((label) => !existing.has(label)).map((label) => `${name}{${label}}`);
  });
  return [...ofSeries, ...allLabels(expr).filter((label) => label !== 'le' && !known.has(label))];
}

/** Whether every bracket is closed by its own kind. */
function isBalanced(expr: string): boolean {
  const open: string[] = [];
  const pairs: Readonly<Record<string, string>> = { ')': '(', '}': '{', ']': '[' };
  for (const letter of expr.replaceAll(/"(?:[^"\\]|\\.)*"/g, '')) {
    if ('({['.includes(letter)) open.push(letter);
    else if (letter in pairs && open.pop() !== pairs[letter]) return false;
  }
  return open.length === 0;
}

test.each([
  ['rate(weir_no_such_total[5m])', 'weir_no_such_total'],
  ['weir_ready{colour="red"}', 'weir_ready{colour}'],
  ['sum by (colour) (weir_ready)', 'colour'],
  ['rate(weir_event_to_applied_seconds[5m])', 'weir_event_to_applied_seconds'],
  ['time() - 1', 'no metric at all'],
])('the check itself sees what is wrong with %s', (expr, problem) => {
  expect(unknownIn(expr)).toEqual([problem]);
});

describe('alerts', () => {
  test.each(rules.map((rule) => [rule.alert, rule] as const))('%s asks for metrics there are', (_, rule) => {
    expect(unknownIn(rule.expr)).toEqual([]);
    expect(isBalanced(rule.expr)).toBe(true);
  });

  test.each(rules.map((rule) => [rule.alert, rule] as const))('%s tells people what to do', (_, rule) => {
    expect(rule.alert).toMatch(/^(?:Weir|KubeProxy)[A-Za-z]+$/);
    expect(rule.for).toMatch(/^\d+m$/);
    expect(['critical', 'warning']).toContain(rule.labels['severity']);
    expect(rule.annotations['summary']).toMatch(/\.$/);
    expect(rule.annotations['description']).toMatch(/\.$/);
    const used = Object.values(rule.annotations).flatMap((text) =>
      [...text.matchAll(/\$labels\.(\w+)/g)].map(([, label = '']) => label),
    );
    const grouped = /^sum by \(([^)]*)\)/.exec(rule.expr)?.[1]?.split(', ');
    const available = new Set(
      grouped ?? selectors(rule.expr).flatMap(({ name }) => [...(labelsOf(name) ?? [])]),
    );
    expect([...available]).toEqual(expect.arrayContaining(used));
  });

  test('there is one of each name, and none of what must not be missed is missing', () => {
    const names = rules.map((rule) => rule.alert);
    expect(new Set(names).size).toBe(names.length);
    const asked = new Set(rules.flatMap((rule) => selectors(rule.expr).map(({ name }) => name)));
    expect([...asked]).toEqual(
      expect.arrayContaining([
        'up',
        'weir_ready',
        'weir_last_sync_success_timestamp_seconds',
        'kubeproxy_network_programming_duration_seconds_bucket',
        'kubeproxy_sync_proxy_rules_iptables_restore_failures_total',
        'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total',
        'weir_drift_repairs_total',
        'weir_watch_age_seconds',
      ]),
    );
  });
});

describe('dashboard', () => {
  test.each(queries)('%s asks for metrics there are: %s', (_, expr) => {
    expect(unknownIn(expr)).toEqual([]);
    expect(isBalanced(expr)).toBe(true);
  });

  test('its panels have ids of their own, and its variables ask for metrics there are', () => {
    const ids = dashboard.panels.map((panel) => panel.id);
    expect(new Set(ids).size).toBe(ids.length);
    const asked = dashboard.templating.list.filter(({ type }) => type === 'query');
    expect(asked.map(({ name }) => name)).toEqual(['job', 'instance']);
    for (const { query } of asked) {
      const [, name = '', label = ''] = /^label_values\(([a-z_]+)(?:\{.*\})?, (\w+)\)$/.exec(query) ?? [];
      expect([...(labelsOf(name) ?? [])]).toContain(label);
    }
  });
});

test('the monitor finds the metrics port of the DaemonSet', () => {
  interface DaemonSet {
    readonly kind: string;
    readonly spec: {
      readonly template: {
        readonly metadata: { readonly labels: Readonly<Record<string, string>> };
        readonly spec: {
          readonly containers: readonly { readonly ports?: readonly { readonly name: string }[] }[];
        };
      };
    };
  }
  interface PodMonitor {
    readonly spec: {
      readonly jobLabel: string;
      readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
      readonly podMetricsEndpoints: readonly { readonly port: string }[];
    };
  }
  const monitor = parse(read('pod-monitor.yaml')) as PodMonitor;
  const objects = parseAllDocuments(read('../daemonset.yaml')).map((one) => one.toJS() as DaemonSet);
  const template = objects.find((object) => object.kind === 'DaemonSet')?.spec.template;
  expect(template?.metadata.labels).toMatchObject(monitor.spec.selector.matchLabels);
  expect(template?.metadata.labels[monitor.spec.jobLabel]).toBe('kube-proxy');
  const ports = template?.spec.containers
    .flatMap((container) => container.ports ?? [])
    .map(({ name }) => name);
  for (const { port } of monitor.spec.podMetricsEndpoints) expect(ports).toContain(port);
});
