import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NetworkNamespace } from '../../support/network-namespace.ts';
import { httpAnswers } from './support/http-names.ts';
import { scrapeNode, total } from './support/node-metrics.ts';
import { idlePod, type KubeManifest, yamlOf } from './support/objects.ts';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';

const port = 8080;
/** Pods at a time; each step makes as many new ones. */
const replicas = 30;
const steps = ['scale up', 'replace', 'replace', 'replace', 'replace'] as const;
const rounds = 2;
/** A minute on an idle machine. */
const timeoutMs = 600_000;
/** To somebody who may and somebody who may not, while there is no pod. */
const refusedToAll = { client: ['ECONNREFUSED'], stranger: ['ECONNREFUSED'] };
const patience = { timeout: 60_000, interval: 500 };
/** Half of what the manifest grants. */
const memoryBytes = 256 * 2 ** 20;

let lab: OwnLab;
let client: NetworkNamespace;
let stranger: NetworkNamespace;
let nodes: readonly string[];
let url: string;

beforeAll(async () => {
  lab = await startOwnLab({ nodes: 3 });
  nodes = lab.state.nodes.map(({ name }) => name);
  await lab.apply(
    yamlOf(
      idlePod({ name: 'client', node: 'node-1', app: 'client' }),
      idlePod({ name: 'stranger', node: 'node-2', app: 'stranger' }),
      idlePod({ name: 'store', node: 'node-3', app: 'store' }),
      deployment(),
      service(),
      policy('churn', 'churn', {
        ingress: [{ from: [peer('client')], ports: [{ port }] }],
        egress: [{ to: [peer('store'), { ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.7/32'] } }] }],
      }),
      policy('store', 'store', { ingress: [{ from: [peer('churn')] }], egress: [] }),
    ),
  );
  client = await lab.podNetwork('client');
  stranger = await lab.podNetwork('stranger');
  await lab.waitForReadyPod('store');
  const { spec } = await lab.get<{ readonly spec: { readonly clusterIP: string } }>('service', 'churn');
  url = `http://${spec.clusterIP}:${port}/hostname`;
});
afterAll(() => lab.stop());

test('300 pods that come and go leave nothing behind', { timeout: timeoutMs }, async () => {
  // Then the Service and the policies are in the kernel everywhere.
  await expect.poll(reached, patience).toEqual(refusedToAll);
  const before = await everyNode(rulesOf);
  const filesBefore = await everyNode(openFiles);
  for (let round = 1; round <= rounds; round += 1) {
    for (const step of steps) {
      await perform(step);
      // Pods that are on their way out may answer for a moment.
      await expect.poll(strangeAnswers, patience).toEqual([]);
      const { client, stranger } = await reached();
      expect(client.length).toBeGreaterThan(1);
      expect(stranger).toEqual(['timeout']);
    }
    await perform('scale down');
    await expect.poll(() => everyNode(rulesOf), patience).toEqual(before);
    await expect.poll(reached, patience).toEqual(refusedToAll);
  }
  for (const [index, node] of nodes.entries()) {
    const scrape = await scrapeNode(lab, node);
    const failures = {
      restores: total(scrape, 'kubeproxy_sync_proxy_rules_iptables_restore_failures_total'),
      partial: total(scrape, 'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total'),
      repairs: total(scrape, 'weir_drift_repairs_total'),
    };
    expect({ node, failures }).toEqual({ node, failures: { restores: 0, partial: 0, repairs: 0 } });
    expect(total(scrape, 'weir_ready')).toBe(1);
    expect(total(scrape, 'process_resident_memory_bytes')).toBeLessThan(memoryBytes);
    // A few are of commands that run just now.
    await expect.poll(() => openFiles(node), patience).toBeLessThanOrEqual((filesBefore[index] ?? 0) + 4);
  }
});

async function perform(step: 'scale up' | 'replace' | 'scale down'): Promise<void> {
  switch (step) {
    case 'scale up':
      await lab.kubectl(['scale', 'deployment/churn', `--replicas=${replicas}`]);
      return lab.waitForRollout('deployment/churn', 'default', 180_000);
    case 'replace':
      await lab.kubectl(['rollout', 'restart', 'deployment/churn']);
      return lab.waitForRollout('deployment/churn', 'default', 180_000);
    case 'scale down':
      await lab.kubectl(['scale', 'deployment/churn', '--replicas=0']);
      await lab.kubectl(['wait', '--for=delete', 'pods', '-l', 'app=churn', '--timeout=120s']);
  }
}

/** What the client gets from others than the pods there are. */
async function strangeAnswers(): Promise<readonly string[]> {
  const pods = await lab.pods('app=churn');
  const names = new Set(pods.map(({ metadata }) => `200 ${metadata.name}`));
  return (await reached()).client.filter((answer) => !names.has(answer));
}

/** What the Service answers to somebody who may and somebody who may not: each answer once, sorted. */
async function reached(): Promise<Readonly<Record<'client' | 'stranger', readonly string[]>>> {
  const once = (answers: readonly string[]) => [...new Set(answers)].toSorted();
  const [byClient, byStranger] = await Promise.all([
    httpAnswers(client, { url, count: 20, timeoutMs: 5000 }),
    httpAnswers(stranger, { url, count: 2, timeoutMs: 1000 }),
  ]);
  return { client: once(byClient), stranger: once(byStranger) };
}

/** Rules, sets and members, without the sizes of hash tables, which only ever grow. */
async function rulesOf(node: string): Promise<readonly string[]> {
  const rules = await lab.rules(node);
  return rules.split('\n').map((line) => line.replaceAll(/ (?:hashsize|bucketsize|initval) \S+/gu, ''));
}

async function openFiles(node: string): Promise<number> {
  return total(await scrapeNode(lab, node), 'process_open_fds');
}

function everyNode<Value>(ask: (node: string) => Promise<Value>): Promise<readonly Value[]> {
  return Promise.all(nodes.map(ask));
}

function peer(app: string): object {
  return { podSelector: { matchLabels: { app } } };
}

function policy(name: string, app: string, rules: object): KubeManifest {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name },
    spec: { podSelector: { matchLabels: { app } }, policyTypes: ['Ingress', 'Egress'], ...rules },
  };
}

function service(): KubeManifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'churn' },
    spec: { ipFamilyPolicy: 'RequireDualStack', selector: { app: 'churn' }, ports: [{ port }] },
  };
}

function deployment(): KubeManifest {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'churn' },
    spec: {
      replicas: 0,
      strategy: { rollingUpdate: { maxSurge: '50%', maxUnavailable: '50%' } },
      selector: { matchLabels: { app: 'churn' } },
      template: {
        metadata: { labels: { app: 'churn' } },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [
            { name: 'server', image: 'agnhost', args: ['netexec', `--http-port=${port}`, '--udp-port=-1'] },
          ],
        },
      },
    },
  };
}
