// A virtual kubelet: a node of the lab. It runs in the network of its node until the lab ends.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiClient, ApiError, type KubeObject } from '../api-client.ts';
import { apiServiceAddresses, type Backend, nodeRoot } from '../settings.ts';
import { timestamp } from './container-runner.ts';
import { HostPorts } from './host-ports.ts';
import { nodeCpus, nodeMemoryBytes, nodeObject, nodeStatus } from './node-object.ts';
import type { Pod } from './pod.ts';
import { type NodeNetwork, PodNetworks } from './pod-network.ts';
import { type NodeContext, PodWorker } from './pod-worker.ts';
import { startKubeletServer } from './server.ts';

export interface KubeletPlan extends NodeNetwork {
  readonly server: string;
  readonly caFile: string;
  readonly token: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly imageLayer: string;
  readonly version: string;
  readonly backend: Backend;
}

const heartbeatMs = 10_000;
const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const workers = new Map<string, PodWorker>();

async function main(plan: KubeletPlan): Promise<void> {
  const api = new ApiClient(plan.server, await readFile(plan.caFile, 'utf8'), plan.token);
  const context: NodeContext = {
    api,
    networks: await PodNetworks.create(plan, nodeRoot(plan.node.name)),
    hostPorts: new HostPorts(plan.backend),
    node: {
      name: plan.node.name,
      addresses: plan.node.addresses,
      cpus: nodeCpus,
      memoryBytes: nodeMemoryBytes,
    },
    imageLayer: plan.imageLayer,
    apiAddress: apiServiceAddresses[0],
  };
  await startKubeletServer({
    certificate: await readFile(plan.certificateFile, 'utf8'),
    key: await readFile(plan.keyFile, 'utf8'),
    find: (namespace, name) =>
      [...workers.values()].findLast(
        ({ pod }) => pod.metadata.namespace === namespace && pod.metadata.name === name,
      ),
    all: () => [...workers.values()],
  });
  await register(api, plan);
  void forever('heartbeat', heartbeatMs, () => heartbeat(api, plan));
  await forever('pods', 1000, () => followPods(context, plan.node.name));
}

async function register(api: ApiClient, plan: KubeletPlan): Promise<void> {
  try {
    await api.request('POST', '/api/v1/nodes', nodeObject(plan.node, plan.index));
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
  }
  await heartbeat(api, plan);
}

async function heartbeat(api: ApiClient, { node, version }: KubeletPlan): Promise<void> {
  const status = nodeStatus(node, version, timestamp());
  await api.request('PATCH', `/api/v1/nodes/${node.name}/status`, { status });
  const renewTime = `${timestamp().slice(0, -1)}.000000Z`;
  await api.apply(`${leases}/${node.name}`, {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: node.name, namespace: 'kube-node-lease' },
    spec: { holderIdentity: node.name, leaseDurationSeconds: 40, renewTime },
  });
}

/** From a list to the end of the watch behind it. Pods that are gone meanwhile are ended. */
async function followPods(context: NodeContext, node: string): Promise<void> {
  const path = `/api/v1/pods?fieldSelector=spec.nodeName%3D${node}`;
  const list = await context.api.get<{
    readonly metadata: KubeObject['metadata'];
    readonly items: readonly Pod[];
  }>(path);
  const listed = new Set(list.items.map(({ metadata }) => metadata.uid));
  for (const pod of list.items) take(context, pod);
  for (const [uid, worker] of workers) if (!listed.has(uid)) drop(uid, worker);
  const since = `&watch=true&resourceVersion=${list.metadata.resourceVersion}`;
  for await (const { type, object } of context.api.watch<Pod>(path + since, new AbortController().signal)) {
    const uid = object.metadata.uid ?? '';
    const worker = workers.get(uid);
    if (type === 'DELETED' && worker !== undefined) drop(uid, worker);
    else if (type === 'ADDED' || type === 'MODIFIED') take(context, object);
  }
}

function take(context: NodeContext, pod: Pod): void {
  const uid = pod.metadata.uid ?? '';
  const worker = workers.get(uid);
  if (worker !== undefined) worker.update(pod);
  else if (pod.status?.phase !== 'Succeeded' && pod.status?.phase !== 'Failed') {
    const added = new PodWorker(context, pod);
    workers.set(uid, added);
    if (pod.metadata.deletionTimestamp !== undefined) added.update(pod);
  }
}

/** Its object is gone: whoever deleted it did not want to wait. */
function drop(uid: string, worker: PodWorker): void {
  void worker.stop(0).finally(() => workers.delete(uid));
}

async function forever(what: string, pauseMs: number, task: () => Promise<void>): Promise<never> {
  for (;;) {
    try {
      await task();
    } catch (error) {
      console.error(`${timestamp()} ${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
    await sleep(pauseMs);
  }
}

await main(JSON.parse(process.argv[2] ?? '{}') as KubeletPlan);
