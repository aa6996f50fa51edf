import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { ApiClient, ApiError } from '../../lab/api-client.ts';
import { type ClusterSecrets, kubeconfig, makeSecrets } from '../../lab/certificates.ts';
import { type ControlPlane, etcd, kubeApiserver } from '../../lab/control-plane.ts';
import { type RunningProgram, startProgram } from '../../lab/program.ts';
import { apiPort, apiServiceAddresses, labFiles, runFolder } from '../../lab/settings.ts';
import type { Manifest } from '../../support/service-manifests.ts';
import { type ApiObject, identityLabel, namespace } from './objects.ts';

/** Who asks, and by which address: two nodes that are alike in all else reach the server by cables of their own. */
export interface Client {
  readonly identity: 'admin' | 'system:kube-proxy';
  readonly server: string;
}

const readyTimeoutMs = 100_000;
/** The name of this process's own network, which is that of the control plane. */
const ownNetwork = 'control-plane';

/** etcd and the real API server, and nobody else: what is written stays as it is. `addresses`: by which nodes reach it. */
export async function startControlPlane(programs: string, addresses: readonly string[]): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-secrets-'));
  await mkdir(labFiles.logs, { recursive: true });
  await mkdir(runFolder, { recursive: true });
  await execa('ip', ['netns', 'attach', ownNetwork, `${process.pid}`]);
  const secrets = await makeSecrets(
    folder,
    ['kubernetes'],
    ['127.0.0.1', ...addresses, ...apiServiceAddresses],
  );
  const plane: ControlPlane = {
    namespace: ownNetwork,
    address: addresses[0] ?? '',
    programs,
    secrets,
    kubeconfigs: { controllerManager: '', scheduler: '' },
  };
  const running = [startProgram(etcd(plane)), startProgram(kubeApiserver(plane))];
  const ca = await readFile(secrets.caCertificate, 'utf8');
  const api = new ApiClient(`https://127.0.0.1:${apiPort}`, ca, secrets.tokens.admin);
  const cluster = new Cluster(api, { folder, ca, tokens: secrets.tokens, running });
  try {
    await cluster.ready();
  } catch (error) {
    await cluster.dispose();
    throw error;
  }
  return cluster;
}

interface Parts {
  readonly folder: string;
  readonly ca: string;
  readonly tokens: ClusterSecrets['tokens'];
  readonly running: readonly RunningProgram[];
}

export class Cluster {
  readonly #api: ApiClient;
  readonly #parts: Parts;
  /** As last written. */
  #objects = new Map<string, ApiObject>();

  constructor(api: ApiClient, parts: Parts) {
    this.#api = api;
    this.#parts = parts;
  }

  /** Once, by `startControlPlane`. */
  async ready(): Promise<void> {
    const deadline = Date.now() + readyTimeoutMs;
    for (;;) {
      try {
        if ((await this.#api.text('/readyz')) === 'ok') break;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
      await sleep(200);
    }
    while ((await this.#api.find(`/api/v1/namespaces/${namespace}`)) === undefined) await sleep(100);
  }

  /** The path of a new kubeconfig file. */
  async kubeconfig(name: string, { identity, server }: Client): Promise<string> {
    const path = join(this.#parts.folder, `${name}.kubeconfig`);
    const url = `https://${server}:${apiPort}`;
    await writeFile(path, kubeconfig(url, this.#parts.ca, this.#parts.tokens[identity]), { mode: 0o600 });
    return path;
  }

  /** The Node, made anew. */
  async replaceNode(name: string, node: Manifest): Promise<void> {
    const path = '/api/v1/nodes';
    await this.#delete(`${path}/${name}`);
    await this.#api.request('POST', path, node);
    await this.#api.request('PATCH', `${path}/${name}/status`, { status: node['status'] });
  }

  /** Sets the Node's label, or takes it away. */
  async labelNode(name: string, label: string, value: string | undefined): Promise<void> {
    const metadata = { labels: { [label]: value ?? null } };
    await this.#api.request('PATCH', `/api/v1/nodes/${name}`, { metadata });
  }

  /** Writes what differs from before and deletes what is not there any more; several at once, in no order. */
  async become(objects: readonly ApiObject[]): Promise<void> {
    const wanted = new Map(objects.map((object) => [pathOf(object), object]));
    const gone = [...this.#objects].filter(([path, before]) => {
      const after = wanted.get(path);
      return after === undefined || !isSameOne(before, after);
    });
    const changed = [...wanted].filter(
      ([path, object]) => JSON.stringify(this.#objects.get(path)) !== JSON.stringify(object),
    );
    // An address or a port may go from one Service to the next.
    await Promise.all(gone.map(([path]) => this.#delete(path)));
    await Promise.all(changed.map(([path, object]) => this.#put(path, object)));
    this.#objects = wanted;
  }

  /** Also the network's name: the next test file makes its own. */
  async dispose(): Promise<void> {
    await Promise.all(this.#parts.running.map((program) => program.kill()));
    await execa('ip', ['netns', 'delete', ownNetwork], { reject: false });
    await rm(this.#parts.folder, { recursive: true, force: true });
    await rm(runFolder, { recursive: true, force: true });
  }

  async #put(path: string, object: ApiObject): Promise<void> {
    const { status, ...body } = object;
    try {
      await this.#api.request('PUT', path, body);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Some fields never change; whoever wants another value makes another object of that name.
      if (error.status !== 404) await this.#delete(path);
      await this.#api.request('POST', path.slice(0, path.lastIndexOf('/')), body);
    }
    if (status !== undefined) await this.#api.request('PATCH', `${path}/status`, { status });
  }

  async #delete(path: string): Promise<void> {
    try {
      await this.#api.request('DELETE', path);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
    }
  }
}

function isSameOne(before: ApiObject, after: ApiObject): boolean {
  return before.metadata.labels[identityLabel] === after.metadata.labels[identityLabel];
}

function pathOf({ kind, metadata }: ApiObject): string {
  const room = kind === 'Service' ? '/api/v1' : '/apis/discovery.k8s.io/v1';
  const resource = kind === 'Service' ? 'services' : 'endpointslices';
  return `${room}/namespaces/${metadata.namespace}/${resource}/${metadata.name}`;
}
