import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { kindsOf } from '../../controllers/sync/part-kinds.ts';
import { loadRunConfig } from '../../pkg/config/index.ts';
import { watchedResources } from '../../pkg/source/apiserver/resources.ts';

const folder = new URL('../../manifests/', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, folder), 'utf8');

interface Operation {
  readonly op: 'add' | 'replace';
  readonly path: string;
  readonly value: unknown;
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const component = parse(read('policies-alone/kustomization.yaml')) as {
  readonly kind: string;
  readonly patches: readonly { readonly target: { readonly kind: string }; readonly patch: string }[];
};

function operations(kind: string): readonly Operation[] {
  const ofKind = component.patches.filter(({ target }) => target.kind === kind);
  return ofKind.flatMap(({ patch }) => parse(patch) as readonly Operation[]);
}

/** What stands at a path of the document, which a JSON patch would replace; of a list also what stands at `-`. */
function at(document: unknown, path: string): unknown {
  const keys = path
    .split('/')
    .slice(1)
    .filter((key) => key !== '-');
  return keys.reduce((inner, key) => (inner as Readonly<Record<string, unknown>>)[key], document);
}

const daemonSet: unknown = parse(read('daemonset.yaml'));

test('every place that it patches is in the DaemonSet', () => {
  expect(component.kind).toBe('Component');
  const missing = operations('DaemonSet').filter(({ path }) => at(daemonSet, path) === undefined);
  expect(missing).toEqual([]);
});

test('both containers are started with policies alone, and the pods are not taken for kube-proxy', () => {
  const args = operations('DaemonSet').filter(({ path }) => path.endsWith('/args/-'));
  expect(args.map(({ path, value }) => [path, value])).toEqual([
    ['/spec/template/spec/initContainers/0/args/-', '--parts=policies'],
    ['/spec/template/spec/containers/0/args/-', '--parts=policies'],
  ]);
  expect(operations('DaemonSet')).toContainEqual({
    op: 'replace',
    path: '/spec/template/metadata/labels/k8s-app',
    value: 'weir',
  });
});

test('the ports are those where config.yaml makes policies alone listen, and no port of kube-proxy', async () => {
  const host = { hostname: 'node-1', readFile: () => Promise.resolve(read('config.yaml')) };
  const loaded = await loadRunConfig({ config: 'config.yaml', parts: 'policies' }, host);
  if ('errors' in loaded) throw new Error(loaded.errors.join('; '));
  expect(loaded.warnings).toEqual([]);
  const { healthzBindAddress, metricsBindAddress } = loaded.config;
  const names = [0, 1].map((index) => at(daemonSet, `/spec/template/spec/containers/0/ports/${index}/name`));
  expect(names).toEqual(['healthz', 'metrics']);
  const ports = operations('DaemonSet').filter(({ path }) => path.endsWith('/containerPort'));
  const listening = [healthzBindAddress, metricsBindAddress].map((address) =>
    Number(address.replace(/^.*:/, '')),
  );
  expect(ports.map(({ value }) => value)).toEqual(listening);
  expect(listening).not.toContain(10_256);
  expect(listening).not.toContain(10_249);
});

test('it may read what policies are decided from, and nothing of Services', () => {
  const rules = operations('ClusterRole').flatMap(({ value }) => value as readonly Rule[]);
  const granted = rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((one) => verbs.map((verb) => `${verb} ${group}/${one}`))),
  );
  const watched = watchedResources('node-1', kindsOf(['policies'])).flatMap(({ group, plural }) =>
    ['list', 'watch'].map((verb) => `${verb} ${group}/${plural}`),
  );
  const written = ['create events.k8s.io/events', 'patch events.k8s.io/events'];
  expect(granted.toSorted()).toEqual([...watched, ...written].toSorted());
});
