// Runs in the network of the control plane, until the lab ends. Says on standard output, in one line of JSON, that the
// cluster is up.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { ApiClient } from './api-client.ts';
import { kubeconfig, makeSecrets } from './certificates.ts';
import {
  type ControlPlane,
  etcd,
  kubeApiserver,
  kubeControllerManager,
  kubeScheduler,
} from './control-plane.ts';
import { makeImageLayer } from './image-layer.ts';
import { markBackend, toolFolder } from './iptables-backend.ts';
import { kubelet, kubeProxy } from './node-programs.ts';
import { type RunningProgram, startProgram } from './program.ts';
import { serveProgramSocket } from './program-socket.ts';
import { relay } from './relay.ts';
import {
  allPodCidrs,
  apiPort,
  apiServiceAddresses,
  type LabMachine,
  type LabNode,
  type LabSettings,
  labFiles,
  runFolder,
} from './settings.ts';

/** What the network gives and the user asked for. */
export interface ClusterPlan {
  readonly settings: LabSettings;
  readonly programs: string;
  readonly controlPlane: string;
  readonly address: string;
  readonly outside: LabMachine;
  readonly nodes: readonly LabNode[];
}

const readyTimeoutMs = 240_000;

async function main(plan: ClusterPlan): Promise<void> {
  await mkdir(runFolder, { recursive: true });
  const names = [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
  ];
  const secrets = await makeSecrets(labFiles.secrets, names, [
    plan.address,
    '127.0.0.1',
    ...apiServiceAddresses,
  ]);
  const caCertificate = await readFile(secrets.caCertificate, 'utf8');
  const server = `https://${plan.address}:${apiPort}`;
  const writeKubeconfig = async (name: string, token: string): Promise<string> => {
    const path = join(labFiles.secrets, `${name}.kubeconfig`);
    await writeFile(path, kubeconfig(server, caCertificate, token), { mode: 0o600 });
    return path;
  };
  const admin = await writeKubeconfig('admin', secrets.tokens.admin);
  const plane: ControlPlane = {
    namespace: plan.controlPlane,
    address: plan.address,
    programs: plan.programs,
    secrets,
    kubeconfigs: {
      controllerManager: await writeKubeconfig(
        'kube-controller-manager',
        secrets.tokens['system:kube-controller-manager'],
      ),
      scheduler: await writeKubeconfig('kube-scheduler', secrets.tokens['system:kube-scheduler']),
    },
  };
  const api = new ApiClient(server, caCertificate, secrets.tokens.admin);

  const first = [startProgram(etcd(plane)), startProgram(kubeApiserver(plane))];
  await relay(labFiles.apiSocket, { host: plan.address, port: apiPort });
  await ready(api, first);
  const all = [...first, startProgram(kubeControllerManager(plane)), startProgram(kubeScheduler(plane))];
  await serviceAccountsReady(api, all);
  const caFile = secrets.caCertificate;
  const { proxy, backend, network } = plan.settings;
  const kubelets = {
    server,
    caFile,
    token: secrets.tokens['system:node'],
    certificateFile: secrets.serverCertificate,
    keyFile: secrets.serverKey,
    backend,
    network,
    imageLayer: await makeImageLayer(plan.programs, secrets),
    version: (await api.get<{ readonly gitVersion: string }>('/version')).gitVersion,
  };
  for (const node of plan.nodes) await markBackend(node, backend);
  all.push(...plan.nodes.map((node, index) => startProgram(kubelet({ ...kubelets, node, index }))));
  if (proxy === 'kube-proxy') {
    const options = {
      programs: plan.programs,
      kubeconfig: await writeKubeconfig('kube-proxy', secrets.tokens['system:kube-proxy']),
      podCidrs: allPodCidrs,
      tools: await toolFolder(backend),
    };
    all.push(...plan.nodes.map((node) => startProgram(kubeProxy(node, options))));
  }
  await nodesReady(api, all, plan.nodes.length);
  const manifests = new URL('manifests/', import.meta.url).pathname;
  if (proxy === 'weir') {
    await kubectl(plan.programs, admin, ['apply', '-k', join(manifests, 'weir')]);
    await weirReady(api, all, plan.nodes.length);
  }
  await kubectl(plan.programs, admin, ['apply', '-f', join(manifests, 'coredns.yaml')]);
  // Without a proxy its pods do not even reach the API server.
  if (proxy !== 'none') await dnsReady(api, all);
  const { controlPlane, outside, nodes } = plan;
  await serveProgramSocket(labFiles.programSocket, all);
  console.log(JSON.stringify({ controlPlane, outside, nodes }));
  throw new Error(await Promise.race(all.map((program) => program.ended)));
}

async function ready(api: ApiClient, programs: readonly RunningProgram[]): Promise<void> {
  await until('the API server to be ready', programs, async () => (await api.text('/readyz')) === 'ok');
}

/** No pod can be made before the namespace has its account; the controllers make it. */
async function serviceAccountsReady(api: ApiClient, programs: readonly RunningProgram[]): Promise<void> {
  const path = '/api/v1/namespaces/default/serviceaccounts/default';
  await until('the default service account', programs, async () => (await api.find(path)) !== undefined);
}

async function nodesReady(api: ApiClient, programs: readonly RunningProgram[], count: number): Promise<void> {
  await until('the nodes to register', programs, async () => {
    const list = await api.get<{ readonly items: readonly unknown[] }>('/api/v1/nodes');
    return list.items.length === count;
  });
}

async function kubectl(programs: string, kubeconfig: string, words: readonly string[]): Promise<void> {
  const args = ['--kubeconfig', kubeconfig, ...words];
  const result = await execa(join(programs, 'kubectl'), args, { reject: false, stdin: 'ignore' });
  if (result.failed) throw new Error(`kubectl ${words.join(' ')}: ${result.stderr}`);
}

async function weirReady(api: ApiClient, programs: readonly RunningProgram[], count: number): Promise<void> {
  await until('Weir on every node', programs, async () => {
    const path = '/apis/apps/v1/namespaces/kube-system/daemonsets/weir';
    const { status } = await api.get<{ readonly status: { readonly numberReady?: number } }>(path);
    return status.numberReady === count;
  });
}

async function dnsReady(api: ApiClient, programs: readonly RunningProgram[]): Promise<void> {
  await until('the DNS of the cluster', programs, async () => {
    const path = '/apis/apps/v1/namespaces/kube-system/deployments/coredns';
    const { status } = await api.get<{ readonly status: { readonly availableReplicas?: number } }>(path);
    return (status.availableReplicas ?? 0) > 0;
  });
}

/** Asks until the answer is yes; a program that ends meanwhile, and too long a time, are errors. */
async function until(
  what: string,
  programs: readonly RunningProgram[],
  ask: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs;
  let last = '';
  let ended: string | undefined;
  for (const program of programs) void program.ended.then((words) => (ended ??= words));
  while (Date.now() < deadline) {
    if (ended !== undefined) throw new Error(`${ended} while waiting for ${what}; see ${labFiles.logs}`);
    try {
      if (await ask()) return;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    await sleep(100);
  }
  throw new Error(`waited in vain for ${what}: ${last}`);
}

await main(JSON.parse(process.argv[2] ?? '{}') as ClusterPlan);
