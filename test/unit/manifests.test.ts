import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { eventsPath } from '../../controllers/events/event-object.ts';
import { type Actions, createProgram } from '../../controllers/program.ts';
import { type Flags, loadRunConfig, type RunConfig } from '../../pkg/config/index.ts';
import { watchedResources } from '../../pkg/source/apiserver/resources.ts';
import { kubeadmConfig } from '../support/kubeadm-config.ts';

const folder = new URL('../../manifests/', import.meta.url);

interface Container {
  readonly name: string;
  readonly image?: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly valueFrom: unknown }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: unknown;
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly resources: {
    readonly requests: Readonly<Record<string, string>>;
    readonly limits: Readonly<Record<string, string>>;
  };
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
  readonly failureThreshold: number;
}

interface PodSpec {
  readonly containers: readonly [Container];
  readonly initContainers: readonly [Container];
  readonly volumes: readonly {
    readonly name: string;
    readonly configMap?: { readonly name: string };
    readonly hostPath?: unknown;
  }[];
  readonly [field: string]: unknown;
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
  readonly roleRef: { readonly name: string };
  readonly subjects: readonly { readonly name: string; readonly namespace: string }[];
  readonly spec: {
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly updateStrategy: unknown;
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: PodSpec;
    };
  };
}

interface Kustomization {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly resources: readonly string[];
  readonly configMapGenerator: readonly { readonly name: string; readonly files: readonly string[] }[];
  readonly images: readonly { readonly name: string }[];
  readonly patches: readonly { readonly path: string }[];
}

/** Every document of a file; throws on what YAML does not allow. */
function read(path: string): readonly unknown[] {
  const documents = parseAllDocuments(readFileSync(new URL(path, folder), 'utf8'));
  return documents.map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as unknown;
  });
}

const kustomization = read('kustomization.yaml')[0] as Kustomization;
const [daemonSet] = read('daemonset.yaml') as [Manifest];
const pod = daemonSet.spec.template.spec;
const [agent] = pod.containers;
const [init] = pod.initContainers;

/** What the program makes of a container's arguments, as the kubelet hands them over. Throws unless they are for `command`. */
async function flagsOf(args: readonly string[], command: keyof Actions = 'run'): Promise<Flags> {
  const seen: Flags[] = [];
  const refuse = (): Promise<void> => Promise.reject(new Error('another command was asked for'));
  const accept = (flags: Flags): Promise<void> => Promise.resolve(void seen.push(flags));
  const actions: Actions = { run: refuse, plan: refuse, config: refuse, cleanup: refuse };
  const program = createProgram('0.0.0', { ...actions, [command]: accept });
  const given = args.map((arg) => arg.replace('$(NODE_NAME)', 'node-1'));
  await program.parseAsync(given, { from: 'user' });
  const [flags] = seen;
  if (flags === undefined) throw new Error(`weir ${command} did not start`);
  return flags;
}

async function load(args: readonly string[], file: string): Promise<RunConfig> {
  const flags = await flagsOf(args);
  const loaded = await loadRunConfig(flags, {
    readFile: (path) =>
      path === flags['config'] ? Promise.resolve(file) : Promise.reject(new Error(`no ${path}`)),
    hostname: 'another-name',
  });
  expect(loaded).toMatchObject({ config: {}, warnings: [] });
  if ('errors' in loaded) throw new Error(loaded.errors.join('; '));
  return loaded.config;
}

function configYaml(): string {
  return readFileSync(new URL('config.yaml', folder), 'utf8');
}

describe('the manifests', () => {
  test('kustomize finds all that it is told to read', () => {
    expect(kustomization).toMatchObject({
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      namespace: 'kube-system',
    });
    const files = [
      ...kustomization.resources,
      ...kustomization.configMapGenerator.flatMap((generator) => generator.files),
    ];
    expect(files.filter((path) => !existsSync(new URL(path, folder)))).toEqual([]);
    expect(kustomization.images.map((image) => image.name)).toEqual([agent.image]);
    expect(agent.image).toBe(init.image);
  });

  test('every file in the folder is read by someone', () => {
    const named = new Set([
      'kustomization.yaml',
      ...kustomization.resources,
      ...kustomization.configMapGenerator.flatMap((generator) => generator.files),
    ]);
    expect(readdirSync(folder).filter((name) => name.endsWith('.yaml') && !named.has(name))).toEqual([]);
  });

  test('the objects are of the kinds and versions that an API server has', () => {
    const objects = kustomization.resources.flatMap(read) as readonly Manifest[];
    expect(objects.map(({ apiVersion, kind, metadata }) => `${apiVersion} ${kind} ${metadata.name}`)).toEqual(
      [
        'v1 ServiceAccount weir',
        'rbac.authorization.k8s.io/v1 ClusterRole weir',
        'rbac.authorization.k8s.io/v1 ClusterRoleBinding weir',
        'apps/v1 DaemonSet weir',
      ],
    );
    const namespaced = objects.filter(({ kind }) => !kind.startsWith('Cluster'));
    expect(new Set(namespaced.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['kube-system']));
  });
});

describe('RBAC', () => {
  const [account, role, binding] = read('rbac.yaml') as [Manifest, Manifest, Manifest];

  test('allows what the agent asks for, and nothing else', () => {
    const granted = role.rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
      ),
    );
    const watched = watchedResources('node-1').flatMap(({ group, plural }) =>
      ['list', 'watch'].map((verb) => `${verb} ${group}/${plural}`),
    );
    const [, , group, , , , events] = eventsPath('default').split('/');
    const written = ['create', 'patch'].map((verb) => `${verb} ${group}/${events}`);
    expect(granted.toSorted()).toEqual([...watched, ...written].toSorted());
  });

  test('is bound to the account that the pods run as', () => {
    expect(binding.roleRef.name).toBe(role.metadata.name);
    expect(binding.subjects).toEqual([
      { kind: 'ServiceAccount', name: account.metadata.name, namespace: account.metadata.namespace },
    ]);
    expect(pod['serviceAccountName']).toBe(account.metadata.name);
  });
});

describe('the DaemonSet', () => {
  test("runs on every Linux node, in its network, and is found by kube-proxy's label without selecting its pods", () => {
    expect(pod).toMatchObject({
      hostNetwork: true,
      dnsPolicy: 'Default',
      priorityClassName: 'system-node-critical',
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ operator: 'Exists' }],
    });
    const { labels } = daemonSet.spec.template.metadata;
    expect(labels).toEqual({ 'app.kubernetes.io/name': 'weir', 'k8s-app': 'kube-proxy' });
    expect(daemonSet.spec.selector.matchLabels).toEqual({ 'app.kubernetes.io/name': 'weir' });
    expect(daemonSet.spec.updateStrategy).toEqual({
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: '10%' },
    });
  });

  test('the agent may change the network of the node, and nothing else', () => {
    expect(agent.securityContext).toEqual({
      runAsUser: 0,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
  });

  test('only the init container is privileged, and it ends', () => {
    expect(init.securityContext).toEqual({ privileged: true, readOnlyRootFilesystem: true });
    expect(init.args).toContain('--init-only');
  });

  test('of the node they see the lock of iptables, CNI results, kernel modules and a folder of their own', () => {
    const paths = pod.volumes.flatMap(({ hostPath }) => (hostPath === undefined ? [] : [hostPath]));
    expect(paths).toEqual([
      { path: '/run/xtables.lock', type: 'FileOrCreate' },
      { path: '/var/lib/weir', type: 'DirectoryOrCreate' },
      { path: '/lib/modules' },
      { path: '/var/lib/cni', type: 'DirectoryOrCreate' },
    ]);
    const writable = (container: Container): readonly string[] =>
      container.volumeMounts.filter((mount) => mount.readOnly !== true).map((mount) => mount.mountPath);
    expect(writable(agent)).toEqual(['/run/xtables.lock', '/var/lib/weir']);
    expect(writable(init)).toEqual(['/run/xtables.lock', '/var/lib/weir']);
    const volumes = new Set(pod.volumes.map((volume) => volume.name));
    for (const mount of [...agent.volumeMounts, ...init.volumeMounts]) expect(volumes).toContain(mount.name);
  });

  test.each([
    ['agent', agent],
    ['init container', init],
  ])(
    'the %s is started with flags that exist, the name of the node and the configuration',
    async (_, container) => {
      const flags = await flagsOf(container.args);
      expect(flags).toMatchObject({ hostnameOverride: 'node-1' });
      expect(container.env).toEqual([
        { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      ]);
      const mount = container.volumeMounts.find(
        ({ mountPath }) => `${mountPath}/config.yaml` === flags['config'],
      );
      const volume = pod.volumes.find(({ name }) => name === mount?.name);
      expect(volume?.configMap?.name).toBe(kustomization.configMapGenerator[0]?.name);
    },
  );

  test('a flag that does not exist would be noticed here', async () => {
    await expect(flagsOf([...agent.args, '--no-such-flag'])).rejects.toThrow(CommanderError);
  });

  test('the probes ask the health server, and patiently', () => {
    expect(agent.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'healthz' });
    expect(agent.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'healthz' });
    const patience = agent.livenessProbe.periodSeconds * agent.livenessProbe.failureThreshold;
    // A slow kernel keeps a healthy agent busy for minutes in the biggest clusters.
    expect(patience).toBeGreaterThanOrEqual(300);
  });

  test('there is memory enough for a big cluster', () => {
    expect(agent.resources).toEqual({
      requests: { cpu: '100m', memory: '160Mi' },
      limits: { memory: '512Mi' },
    });
  });
});

describe('config.yaml', () => {
  test('is understood without a warning', async () => {
    const config = await load(agent.args, configYaml());
    expect(config).toMatchObject({
      nodeName: 'node-1',
      manifests: undefined,
      clusterCidr: ['10.244.0.0/16'],
      policyClosedStart: 'known',
      kubeconfig: '',
    });
  });

  test('names the API server itself, whose Service does not work before Weir does', async () => {
    const { master } = await load(agent.args, configYaml());
    expect(new URL(master).protocol).toBe('https:');
  });

  test('listens where the DaemonSet says', async () => {
    const config = await load(agent.args, configYaml());
    const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));
    expect(agent.ports.map(({ name, containerPort }) => [name, containerPort])).toEqual([
      ['healthz', portOf(config.healthzBindAddress)],
      ['metrics', portOf(config.metricsBindAddress)],
    ]);
  });

  test('keeps state where the DaemonSet has a folder of the node for it', async () => {
    const { stateDir } = await load(agent.args, configYaml());
    for (const { volumeMounts } of [agent, init]) {
      expect(volumeMounts).toContainEqual({ name: 'state', mountPath: stateDir });
    }
  });
});

describe('the component kubeadm', () => {
  const component = read('kubeadm/kustomization.yaml')[0] as Kustomization;
  const [patch] = read('kubeadm/daemonset.yaml') as [Manifest];
  const patched = patch.spec.template.spec;

  const configConf = kubeadmConfig.replace('10.244.0.0/16', '192.168.0.0/16');

  test('patches the DaemonSet and its containers by their names', () => {
    expect(component).toMatchObject({ apiVersion: 'kustomize.config.k8s.io/v1alpha1', kind: 'Component' });
    expect(component.patches.map(({ path }) => path)).toEqual(['daemonset.yaml']);
    expect(patch.metadata).toMatchObject({ name: 'weir', namespace: 'kube-system' });
    expect(patched.containers.map(({ name }) => name)).toEqual([agent.name]);
    expect(patched.initContainers.map(({ name }) => name)).toEqual([init.name]);
    expect(patched.initContainers[0].args).toContain('--init-only');
  });

  test.each([
    ['agent', patched.containers[0]],
    ['init container', patched.initContainers[0]],
  ])("the %s reads kubeadm's ConfigMap as it is, where its kubeconfig is expected", async (_, container) => {
    const config = await load(container.args, configConf);
    expect(config).toMatchObject({
      nodeName: 'node-1',
      clusterCidr: ['192.168.0.0/16'],
      manifests: undefined,
    });
    expect(container.volumeMounts).toEqual([
      { name: 'kube-proxy', mountPath: '/var/lib/kube-proxy', readOnly: true },
    ]);
    expect(config.kubeconfig).toBe('/var/lib/kube-proxy/kubeconfig.conf');
    expect(patched.volumes).toEqual([{ name: 'kube-proxy', configMap: { name: 'kube-proxy' } }]);
  });

  test('its probes find the health server where it listens without being told', async () => {
    const { healthzBindAddress, metricsBindAddress } = await load(patched.containers[0].args, configConf);
    expect([healthzBindAddress, metricsBindAddress]).toEqual(['0.0.0.0:10256', '127.0.0.1:10249']);
  });
});

describe('the hand-back', () => {
  const [handBack] = read('hand-back/daemonset.yaml') as [Manifest];
  const spec = handBack.spec.template.spec;
  const [cleanup] = spec.initContainers;

  test('runs weir cleanup --hand-back on every node, with the privileges of the agent', async () => {
    expect(await flagsOf(cleanup.args, 'cleanup')).toEqual({ handBack: true });
    expect(cleanup.securityContext).toEqual(agent.securityContext);
    expect(cleanup.volumeMounts.map(({ mountPath }) => mountPath)).toEqual(['/run/xtables.lock']);
    for (const field of ['hostNetwork', 'nodeSelector', 'tolerations', 'priorityClassName'])
      expect(spec[field]).toEqual(pod[field]);
  });

  test('has the image of the agent, and a name and labels of its own', () => {
    const its = read('hand-back/kustomization.yaml')[0] as Kustomization;
    expect(its.images).toEqual(kustomization.images);
    expect(handBack.metadata).toMatchObject({ name: 'weir-hand-back', namespace: 'kube-system' });
    expect(handBack.spec.template.metadata.labels).toEqual(handBack.spec.selector.matchLabels);
    expect(handBack.spec.selector.matchLabels).not.toEqual(daemonSet.spec.selector.matchLabels);
  });

  test('its privileges end with the init container', () => {
    expect(spec.containers[0].securityContext).toMatchObject({
      runAsUser: 65_534,
      capabilities: { drop: ['ALL'] },
    });
  });
});
