import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { traefikFolder } from '../../../hack/traefik.ts';
import { httpAnswers } from './support/http-names.ts';
import { idlePod, type KubeManifest, yamlOf } from './support/objects.ts';
import { isReady, type OwnLab, startOwnLab } from './support/own-lab.ts';

const port = 8080;
const nodePort = 30_080;
const patience = { timeout: 60_000, interval: 500 };
const manifest = new URL('manifests/traefik.yaml', import.meta.url);
const apps = ['front', 'api', 'other'] as const;
type App = (typeof apps)[number];

describe('an ingress controller that sends to cluster IPs', { timeout: 300_000 }, () => {
  let lab: OwnLab;

  beforeAll(async () => {
    const programs = await traefikFolder();
    lab = await startOwnLab();
    const text = await readFile(manifest, 'utf8');
    await lab.apply(text.replaceAll('PROGRAMS', programs));
    await lab.apply(
      yamlOf(
        ...apps.flatMap((app) => [deployment(app), service(app)]),
        ingress('shop', 'shop.example.com', { '/': 'front', '/api/': 'api' }),
        ingress('other', 'other.example.com', { '/': 'other' }),
        idlePod({ name: 'stranger', node: 'node-1', app: 'stranger' }),
        onlyFromTheController('api'),
      ),
    );
    for (const app of apps) await lab.waitForRollout(`deployment/${app}`, 'default', 120_000);
    await lab.waitForRollout('deployment/traefik', 'ingress', 120_000);
  }, 600_000);
  afterAll(() => lab.stop());

  /** The pods that answer a client outside for this host and path, through each node and family in turn. */
  async function answers(host: string, path: string): Promise<readonly string[]> {
    const families = ['IPv4', 'IPv6'] as const;
    const urls = lab.state.nodes.flatMap(({ name }) =>
      families.map((family) => {
        const address = lab.nodeNetwork(name).address(family);
        return `http://${address.includes(':') ? `[${address}]` : address}:${nodePort}${path}`;
      }),
    );
    const each = await Promise.all(
      urls.map((url) => httpAnswers(lab.outside, { url, headers: { host }, count: 10, timeoutMs: 5000 })),
    );
    return [...new Set(each.flat())].toSorted();
  }

  /** What the pods of an application answer with. */
  async function expected(app: App): Promise<readonly string[]> {
    const pods = await lab.pods(`app=${app}`);
    return pods
      .filter(isReady)
      .map(({ metadata }) => `200 ${metadata.name}`)
      .toSorted();
  }

  test.each([
    ['shop.example.com', '/', 'front'],
    ['shop.example.com', '/api/basket', 'api'],
    ['other.example.com', '/', 'other'],
  ] as const)('%s%s leads to all pods of %s', async (host, path, app) => {
    await expect.poll(() => answers(host, path), patience).toEqual(await expected(app));
  });

  test('a host that no Ingress names leads nowhere', async () => {
    expect(await answers('nobody.example.com', '/')).toEqual(['404 404 page not found']);
  });

  test('it is Weir that chooses the pods: the controller knows cluster IPs only', async () => {
    const services = await Promise.all(
      apps.map((app) => lab.get<{ readonly spec: { readonly clusterIP: string } }>('service', app)),
    );
    const [controller] = await lab.pods('app=traefik', 'ingress');
    const path = `/api/v1/namespaces/ingress/pods/${controller?.metadata.name}:8080/proxy/api/http/services`;
    const known = JSON.parse(await lab.kubectl(['get', '--raw', path])) as readonly {
      readonly provider: string;
      readonly loadBalancer?: { readonly servers?: readonly { readonly url: string }[] };
    }[];
    const urls = known
      .filter(({ provider }) => provider === 'kubernetes')
      .flatMap(({ loadBalancer }) => loadBalancer?.servers ?? [])
      .map(({ url }) => url);
    expect(urls.toSorted()).toEqual(services.map(({ spec }) => `http://${spec.clusterIP}:80`).toSorted());
  });

  test('new pods take over from old ones', async () => {
    const before = await expected('front');
    await lab.kubectl(['rollout', 'restart', 'deployment/front']);
    await lab.waitForRollout('deployment/front', 'default', 120_000);
    await lab.kubectl([
      'wait',
      '--for=delete',
      'pods',
      ...before.map((answer) => answer.slice(4)),
      '--timeout=60s',
    ]);
    await expect.poll(() => answers('shop.example.com', '/'), patience).toEqual(await expected('front'));
  });

  test('a policy lets the controller in and nobody else', async () => {
    const stranger = await lab.podNetwork('stranger');
    const { spec } = await lab.get<{ readonly spec: { readonly clusterIP: string } }>('service', 'api');
    const url = `http://${spec.clusterIP}/api/basket`;
    expect(await httpAnswers(stranger, { url, count: 2, timeoutMs: 1500 })).toEqual(['timeout', 'timeout']);
    expect(await answers('shop.example.com', '/api/basket')).toEqual(await expected('api'));
  });
});

function deployment(app: App): KubeManifest {
  // Answers with the name of its pod, whatever the path.
  const args = ['serve-hostname', '--http', `--port=${port}`];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: app },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app } },
      template: {
        metadata: { labels: { app } },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'server', image: 'agnhost', args }],
        },
      },
    },
  };
}

function service(app: App): KubeManifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: app,
      annotations: { 'traefik.ingress.kubernetes.io/service.nativelb': 'true' },
    },
    spec: { selector: { app }, ports: [{ port: 80, targetPort: port }] },
  };
}

function ingress(name: string, host: string, paths: Readonly<Record<string, App>>): KubeManifest {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name },
    spec: {
      ingressClassName: 'traefik',
      rules: [
        {
          host,
          http: {
            paths: Object.entries(paths).map(([path, app]) => ({
              path,
              pathType: 'Prefix',
              backend: { service: { name: app, port: { number: 80 } } },
            })),
          },
        },
      ],
    },
  };
}

function onlyFromTheController(app: App): KubeManifest {
  const controller = {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ingress' } },
    podSelector: { matchLabels: { app: 'traefik' } },
  };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: `${app}-from-the-controller` },
    spec: {
      podSelector: { matchLabels: { app } },
      policyTypes: ['Ingress'],
      ingress: [{ from: [controller], ports: [{ port }] }],
    },
  };
}
