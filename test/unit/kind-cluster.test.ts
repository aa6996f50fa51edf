import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { loadRunConfig } from '../../pkg/config/index.ts';

const root = new URL('../../', import.meta.url);
const text = (path: string): string => readFileSync(new URL(path, root), 'utf8');

function read(path: string): unknown {
  const [document] = parseAllDocuments(text(path));
  expect(document?.errors).toEqual([]);
  return document?.toJS();
}

interface Images {
  readonly images: readonly [{ readonly name: string; readonly newName: string; readonly newTag: string }];
}

const cluster = read('test/e2e/kind/cluster.yaml') as {
  readonly name: string;
  readonly networking: Readonly<Record<string, unknown>>;
  readonly nodes: readonly { readonly role: string }[];
};
const overlay = read('test/e2e/kind/weir/kustomization.yaml') as Images & {
  readonly resources: readonly string[];
};
const script = text('test/e2e/kind/run.sh');

async function config() {
  const flags = { config: 'config.yaml', nodeName: 'weir-worker' };
  const loaded = await loadRunConfig(flags, {
    readFile: () => Promise.resolve(text('test/e2e/kind/weir/config.yaml')),
    hostname: 'weir-worker',
  });
  expect(loaded).toMatchObject({ config: {}, warnings: [] });
  if ('errors' in loaded) throw new Error(loaded.errors.join('; '));
  return loaded.config;
}

test('nobody but Weir routes Services or enforces policies, on three nodes with both families', () => {
  expect(cluster.networking).toMatchObject({
    ipFamily: 'dual',
    kubeProxyMode: 'none',
    disableDefaultCNI: true,
  });
  expect(cluster.nodes.map(({ role }) => role)).toEqual(['control-plane', 'worker', 'worker']);
});

test('Weir knows the pods of the cluster by the same ranges', async () => {
  const { clusterCidr } = await config();
  expect(clusterCidr.join(',')).toBe(cluster.networking['podSubnet']);
  expect(String(cluster.networking['serviceSubnet']).split(',')).toHaveLength(2);
});

test('Weir reaches the API server by the name of its node, without any Service', async () => {
  const { master } = await config();
  expect(master).toBe(`https://${cluster.name}-control-plane:6443`);
});

test('the nodes run the image that was built, in the place of the one that the manifests name', () => {
  const installed = (read('manifests/kustomization.yaml') as Images).images[0];
  const [image] = overlay.images;
  expect(overlay.resources).toEqual(['../../../../manifests']);
  expect(image.name).toBe(installed.newName);
  expect(script).toContain(`image=${image.newName}:${image.newTag}\n`);
  expect(script).toContain(`cluster=${cluster.name}\n`);
});

test('the workflow runs the suites that the script knows', () => {
  const workflow = read('.github/workflows/kind.yaml') as {
    readonly jobs: {
      readonly specs: {
        readonly strategy: { readonly matrix: { readonly suite: readonly string[] } };
        readonly steps: readonly { readonly run?: string }[];
      };
    };
  };
  const { strategy, steps } = workflow.jobs.specs;
  expect(script).toContain(`suites=(${strategy.matrix.suite.join(' ')})`);
  expect(steps.map(({ run }) => run)).toContain('test/e2e/kind/run.sh ${{ matrix.suite }}');
});
