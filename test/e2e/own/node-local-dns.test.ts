import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scrapeNode, total } from './support/node-metrics.ts';
import { idlePod, type KubeManifest, serviceOf, yamlOf } from './support/objects.ts';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';

/** Where NodeLocal DNSCache listens on every node, beside the address of the Service. */
const cacheAddress = '169.254.20.10';
const patience = { timeout: 60_000, interval: 500 };
const name = 'web.default.svc.cluster.local';
const manifest = new URL('manifests/node-local-dns.yaml', import.meta.url);

describe('a DNS cache on every node', () => {
  let lab: OwnLab;
  let webAddress: string;
  let foreignRules: readonly string[];

  beforeAll(async () => {
    lab = await startOwnLab();
    await lab.apply(
      yamlOf(
        upstreamService(),
        serviceOf({ name: 'web', app: 'web' }),
        idlePod({ name: 'web', node: 'node-2', app: 'web' }),
        idlePod({ name: 'by-service', node: 'node-1', app: 'free' }),
        askingTheCache('by-cache', 'free'),
        askingTheCache('confined-by-cache', 'confined'),
        idlePod({ name: 'confined-by-service', node: 'node-1', app: 'confined' }),
        onlyDns(),
      ),
    );
    webAddress = await clusterIP('web');
    const text = await readFile(manifest, 'utf8');
    await lab.apply(text.replaceAll('UPSTREAM', await clusterIP('kube-dns-upstream', 'kube-system')));
    await lab.waitForRollout('daemonset/node-local-dns', 'kube-system', 120_000);
    foreignRules = await rulesOfTheCache();
  });
  afterAll(() => lab.stop());

  async function clusterIP(service: string, namespace = 'default'): Promise<string> {
    const { spec } = await lab.get<{ readonly spec: { readonly clusterIP: string } }>(
      '-n',
      namespace,
      'service',
      service,
    );
    return spec.clusterIP;
  }

  /** As a program in the pod sees it, by the pod's own resolv.conf. */
  async function resolved(pod: string, words = name): Promise<string> {
    await lab.waitForReadyPod(pod);
    const found = await lab.kubectl(['exec', pod, '--', 'getent', 'ahostsv4', words]);
    return found.split(/\s/u)[0] ?? '';
  }

  /** Addresses of pods from which the cache of node-1 heard a question for this name. */
  async function askers(words: string): Promise<readonly string[]> {
    const pods = await lab.pods('k8s-app=node-local-dns', 'kube-system');
    const cache = pods.find(({ spec }) => spec.nodeName === 'node-1')?.metadata.name ?? '';
    const log = await lab.kubectl(['-n', 'kube-system', 'logs', cache, '-c', 'node-cache']);
    const lines = log.split('\n').filter((line) => line.includes(` ${words}. `));
    return [...new Set(lines.map((line) => /\] ([\d.]+):\d+ - /u.exec(line)?.[1] ?? line))];
  }

  async function rulesOfTheCache(): Promise<readonly string[]> {
    const saved = await lab.exec('node-1', ['iptables-save']);
    return saved.split('\n').filter((line) => line.includes('NodeLocal DNS Cache'));
  }

  test.each(['by-cache', 'by-service', 'confined-by-cache', 'confined-by-service'])(
    'answers %s, which it sees by its own address',
    async (pod) => {
      // A name for each pod: none is in the cache before.
      const own = `${pod}.default.svc.cluster.local`;
      await lab.apply(yamlOf(serviceOf({ name: pod, app: 'nobody' })));
      await expect.poll(() => resolved(pod, own).catch(() => 'nothing'), patience).toBe(await clusterIP(pod));
      expect(await askers(own)).toEqual([await lab.podAddress(pod)]);
    },
  );

  test('lets pods that may only ask for names do nothing else', async () => {
    const web = await lab.podNetwork('web');
    const port = 8080;
    await web.listen({ protocol: 'tcp', port });
    const to = { protocol: 'tcp', address: webAddress, port, timeoutMs: 1500 } as const;
    const [free, confined] = await Promise.all(
      ['by-cache', 'confined-by-cache'].map((pod) => lab.podNetwork(pod)),
    );
    expect(await free?.connect(to)).toMatchObject({ kind: 'reply', name: 'web' });
    expect(await confined?.connect(to)).toMatchObject({ kind: 'timeout' });
  });

  test('keeps its rules while Weir writes, looks after its own and starts again', async () => {
    expect(foreignRules).toHaveLength(20);
    await lab.kubectl(['-n', 'kube-system', 'rollout', 'restart', 'daemonset/weir']);
    await lab.waitForRollout('daemonset/weir', 'kube-system', 120_000);
    expect(await rulesOfTheCache()).toEqual(foreignRules);
    expect(await resolved('by-cache')).toBe(webAddress);
    expect(await resolved('by-service')).toBe(webAddress);
    expect(total(await scrapeNode(lab, 'node-1'), 'weir_drift_repairs_total')).toBe(0);
  });
});

/** The cluster's DNS under a second address, for the cache: that of the first leads to the cache itself. */
function upstreamService(): KubeManifest {
  const port = (protocol: string) => ({ name: `dns-${protocol.toLowerCase()}`, port: 53, protocol });
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kube-dns-upstream', namespace: 'kube-system' },
    spec: { selector: { 'k8s-app': 'kube-dns' }, ports: [port('UDP'), port('TCP')] },
  };
}

/** As the kubelet makes pods when its clusterDNS is the cache. */
function askingTheCache(name: string, app: string): KubeManifest {
  const pod = idlePod({ name, node: 'node-1', app });
  const dnsConfig = { nameservers: [cacheAddress], options: [{ name: 'ndots', value: '5' }] };
  return { ...pod, spec: { ...(pod['spec'] as object), dnsPolicy: 'None', dnsConfig } };
}

/** The usual policy: the pods of the cluster's DNS, and nothing else. */
function onlyDns(): KubeManifest {
  const dns = {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
    podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } },
  };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'only-dns' },
    spec: {
      podSelector: { matchLabels: { app: 'confined' } },
      policyTypes: ['Egress'],
      egress: [
        {
          to: [dns],
          ports: [
            { protocol: 'UDP', port: 53 },
            { protocol: 'TCP', port: 53 },
          ],
        },
      ],
    },
  };
}
