import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { parse, stringify } from 'yaml';
import { yamlOf } from './objects.ts';
import type { OwnLab, PodView } from './own-lab.ts';

const monitoring = new URL('../../../../manifests/monitoring/', import.meta.url);
const ownManifests = new URL('../manifests/', import.meta.url);
const namespace = 'monitoring';
const everySecond = '1s';

/** As the API of Prometheus tells of a target. */
export interface Target {
  readonly labels: Readonly<Record<string, string>>;
  readonly health: 'up' | 'down' | 'unknown';
  readonly lastError: string;
}

/** An alert as it stands, with its rule's health. */
export interface AlertRule {
  readonly name: string;
  readonly state: 'inactive' | 'pending' | 'firing';
  readonly health: 'ok' | 'err' | 'unknown';
  readonly lastEvaluation: string;
  readonly alerts: readonly { readonly labels: Readonly<Record<string, string>> }[];
}

/** The groups of the alerts that people install, as a rule file. */
export async function ruleFile(): Promise<string> {
  const text = await readFile(new URL('prometheus-rule.yaml', monitoring), 'utf8');
  return stringify((parse(text) as { readonly spec: object }).spec);
}

interface PodMonitor {
  readonly spec: {
    readonly jobLabel: string;
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly podMetricsEndpoints: readonly [
      {
        readonly port: string;
        readonly path: string;
        readonly relabelings: readonly {
          readonly sourceLabels: readonly string[];
          readonly targetLabel: string;
        }[];
      },
    ];
  };
}

type PodWithPorts = PodView & {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly {
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
    }[];
  };
};

/** The name under which Prometheus knows a pod's label. */
function metaLabel(name: string): string {
  return `__meta_kubernetes_pod_label_${name.replaceAll(/[^A-Za-z0-9]/gu, '_')}`;
}

/** Every port of the pods, with the labels that Prometheus' discovery gives; Debian builds it without. */
function discovered(pods: readonly PodWithPorts[]): readonly object[] {
  return pods.flatMap(({ metadata, spec, status }) =>
    spec.containers
      .flatMap(({ ports = [] }) => ports)
      .map(({ name = '', containerPort }) => ({
        targets: [`${status.podIP}:${containerPort}`],
        labels: {
          __meta_kubernetes_pod_name: metadata.name,
          __meta_kubernetes_pod_node_name: spec.nodeName ?? '',
          __meta_kubernetes_pod_container_port_name: name,
          ...Object.fromEntries(
            Object.entries(metadata.labels ?? {}).map(([label, value]) => [metaLabel(label), value]),
          ),
        },
      })),
  );
}

/** What the operator makes of the PodMonitor that people install, but for the interval. */
async function scrapeConfig(pods: readonly PodWithPorts[]): Promise<object> {
  const text = await readFile(new URL('pod-monitor.yaml', monitoring), 'utf8');
  const { spec } = parse(text) as PodMonitor;
  const [endpoint] = spec.podMetricsEndpoints;
  const keep = (label: string, regex: string) => ({ source_labels: [label], regex, action: 'keep' });
  return {
    job_name: 'weir',
    metrics_path: endpoint.path,
    static_configs: discovered(pods),
    relabel_configs: [
      ...Object.entries(spec.selector.matchLabels).map(([name, value]) => keep(metaLabel(name), value)),
      keep('__meta_kubernetes_pod_container_port_name', endpoint.port),
      { source_labels: [metaLabel(spec.jobLabel)], target_label: 'job' },
      ...endpoint.relabelings.map(({ sourceLabels, targetLabel }) => ({
        source_labels: sourceLabels,
        target_label: targetLabel,
      })),
    ],
  };
}

/** A Prometheus in the lab that scrapes the pods of Weir there are when it starts, and evaluates the alerts. */
export class Prometheus {
  readonly #lab: OwnLab;

  /** `programs` is the folder of Debian's package. Resolves when it is ready. */
  static async start(lab: OwnLab, programs: string): Promise<Prometheus> {
    const manifest = await readFile(new URL('prometheus.yaml', ownManifests), 'utf8');
    const pods = await lab.get<{ readonly items: readonly PodWithPorts[] }>('-n', 'kube-system', 'pods');
    const settings = {
      global: { scrape_interval: everySecond, evaluation_interval: everySecond },
      rule_files: ['/etc/prometheus/rules.yml'],
      scrape_configs: [await scrapeConfig(pods.items)],
    };
    const data = { 'prometheus.yml': stringify(settings), 'rules.yml': await ruleFile() };
    await lab.apply(yamlOf({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }));
    await lab.apply(
      yamlOf({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'prometheus', namespace }, data }),
    );
    await lab.apply(manifest.replace('PROGRAMS', programs));
    await lab.waitForReadyPod('prometheus', namespace);
    return new Prometheus(lab);
  }

  private constructor(lab: OwnLab) {
    this.#lab = lab;
  }

  async targets(): Promise<readonly Target[]> {
    const { activeTargets } = await this.#ask<{ readonly activeTargets: readonly Target[] }>('targets');
    return activeTargets;
  }

  async rules(): Promise<readonly AlertRule[]> {
    const { groups } = await this.#ask<{
      readonly groups: readonly { readonly rules: readonly AlertRule[] }[];
    }>('rules');
    return groups.flatMap(({ rules }) => rules);
  }

  async #ask<Data>(what: string): Promise<Data> {
    const path = `/api/v1/namespaces/${namespace}/services/prometheus:9090/proxy/api/v1/${what}`;
    const answer = JSON.parse(await this.#lab.kubectl(['get', '--raw', path])) as { readonly data: Data };
    return answer.data;
  }
}

/** Runs promtool on files of these contents, by name; throws with its words when it is not content. */
export async function promtool(
  programs: string,
  words: readonly string[],
  files: Readonly<Record<string, string>>,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-promtool-'));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const file = join(programs, 'usr/bin/promtool');
    const result = await execa(file, [...words], { cwd: folder, reject: false, all: true, stdin: 'ignore' });
    if (result.failed) throw new Error(`promtool ${words.join(' ')}: ${result.all}`);
    return result.all;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
