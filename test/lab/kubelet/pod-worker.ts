import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type ApiClient, ApiError } from '../api-client.ts';
import { apiPort, labFiles, nodeRoot, runFolder } from '../settings.ts';
import type { ContainerSpec } from './container-process.ts';
import { ContainerRunner, timestamp } from './container-runner.ts';
import { environmentOf, expand, hostnameOf, type NodeFacts } from './environment.ts';
import { type HostPortRule, type HostPorts, hostPortRules } from './host-ports.ts';
import { imageOf, wordsOf } from './images.ts';
import type { Container, ContainerStatus, Pod, PodStatus } from './pod.ts';
import { hostsFile, resolvConf } from './pod-files.ts';
import type { PodNetwork, PodNetworks } from './pod-network.ts';
import { podStatus } from './pod-status.ts';
import { prepareVolume, readData } from './volumes.ts';

/** What all pods of a node share. */
export interface NodeContext {
  readonly api: ApiClient;
  readonly networks: PodNetworks;
  readonly hostPorts: HostPorts;
  readonly node: NodeFacts;
  readonly imageLayer: string;
  readonly apiAddress: string;
}

const defaultGraceSeconds = 30;

/** One pod on its way from its binding to this node until it is deleted and gone. */
export class PodWorker {
  readonly #context: NodeContext;
  readonly #folder: string;
  readonly #startTime = timestamp();
  readonly #initRunners: ContainerRunner[] = [];
  readonly #runners: ContainerRunner[] = [];
  #pod: Pod;
  #network: PodNetwork | undefined;
  #hostPorts: readonly HostPortRule[] = [];
  #initialized = false;
  #evicted: string | undefined;
  #stopped: Promise<void> | undefined;
  #written: PodStatus | undefined;
  #writing: Promise<void> = Promise.resolve();
  readonly #begun: Promise<void>;

  constructor(context: NodeContext, pod: Pod) {
    this.#context = context;
    this.#pod = pod;
    this.#folder = join(runFolder, 'pods', pod.metadata.uid ?? pod.metadata.name);
    this.#begun = this.#begin().catch((error: unknown) => this.#log('cannot start', error));
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** The container by name; the first where none is named. */
  container(name?: string): ContainerRunner | undefined {
    const all = [...this.#runners, ...this.#initRunners];
    return name === undefined || name === '' ? this.#runners[0] : all.find((runner) => runner.name === name);
  }

  /** A newer form of the pod. Of its wishes only the one to be deleted counts. */
  update(pod: Pod): void {
    this.#pod = pod;
    if (pod.metadata.deletionTimestamp === undefined) this.#changed();
    else void this.stop(pod.metadata.deletionGracePeriodSeconds ?? defaultGraceSeconds);
  }

  /** Ends the pod and, where it is still there, its object. Resolves when nothing of it is left on the node. */
  stop(graceSeconds: number): Promise<void> {
    this.#stopped ??= this.#end(graceSeconds).catch((error: unknown) => this.#log('cannot stop', error));
    return this.#stopped;
  }

  async #begin(): Promise<void> {
    const { spec } = this.#pod;
    this.#network = spec.hostNetwork === true ? this.#context.networks.host : await this.#joinNetwork();
    if (this.#network === undefined) return;
    if (spec.hostNetwork !== true) {
      this.#hostPorts = hostPortRules(this.#pod, this.#network.addresses);
      await this.#context.hostPorts.add(this.#hostPorts);
    }
    // Something is there when the node was restarted.
    await rm(this.#folder, { recursive: true, force: true });
    await mkdir(this.#folder, { recursive: true });
    const volumes = await this.#prepareVolumes();
    const initRunners = (spec.initContainers ?? []).map((container) => this.#runner(container, volumes));
    this.#initRunners.push(...initRunners);
    this.#runners.push(...spec.containers.map((container) => this.#runner(container, volumes)));
    this.#changed();
    for (const [index, runner] of initRunners.entries()) {
      if (this.#isStopping()) return;
      const sidecar = spec.initContainers?.[index]?.restartPolicy === 'Always';
      if (sidecar) {
        void runner.start();
        while (!runner.status.started && !this.#isStopping()) await sleep(50);
      } else {
        await runner.start();
        const { state } = runner.status;
        if (!('terminated' in state) || state.terminated.exitCode !== 0) return;
      }
    }
    if (this.#isStopping()) return;
    this.#initialized = true;
    await Promise.all(this.#runners.map((runner) => runner.start()));
    // Sidecars go when the containers that they serve have ended for good.
    await Promise.all(this.#initRunners.map((runner) => runner.stop(2000)));
  }

  /** Again and again, as the real kubelet does; undefined where the pod is to end before it has begun. */
  async #joinNetwork(): Promise<PodNetwork | undefined> {
    const { spec, metadata } = this.#pod;
    while (!this.#isStopping()) {
      try {
        return await this.#context.networks.add(metadata, spec.securityContext?.sysctls ?? []);
      } catch (error) {
        this.#log('network', error);
        await sleep(1000);
      }
    }
    return undefined;
  }

  /** Sources that are not there yet hold the pod back, as with the real kubelet. */
  async #prepareVolumes(): Promise<ReadonlyMap<string, string>> {
    const { api, node } = this.#context;
    const context = {
      api,
      pod: this.#pod,
      status: this.#status(),
      node,
      folder: this.#folder,
      nodeRoot: nodeRoot(node.name),
    };
    const volumes = new Map<string, string>();
    for (const volume of this.#pod.spec.volumes ?? []) {
      while (!volumes.has(volume.name) && !this.#isStopping()) {
        try {
          volumes.set(volume.name, await prepareVolume(context, volume));
        } catch (error) {
          this.#log(`volume ${volume.name}`, error);
          await sleep(1000);
        }
      }
    }
    return volumes;
  }

  #runner(container: Container, volumes: ReadonlyMap<string, string>): ContainerRunner {
    const { metadata } = this.#pod;
    return new ContainerRunner({
      container,
      folder: join(this.#folder, 'containers', container.name),
      // Outside the lab's own file system, so that it can be read when all is over.
      log: join(labFiles.logs, [metadata.namespace, metadata.name, container.name].join('_')),
      restartPolicy: initPolicy(this.#pod, container),
      address: this.#network?.addresses[0] ?? '127.0.0.1',
      specOf: (folder, logFile) => this.#specOf(container, volumes, folder, logFile),
      changed: () => this.#changed(),
      exceeded: (message) => void this.#evict(message),
    });
  }

  async #specOf(
    container: Container,
    volumes: ReadonlyMap<string, string>,
    folder: string,
    logFile: string,
  ): Promise<ContainerSpec> {
    const image = imageOf(container.image);
    if (image === undefined) throw new Error(`the lab has no image ${container.image}`);
    const { spec } = this.#pod;
    const environment = await this.#environment(container);
    const expanded = wordsOf(image, container).map((word) => expand(word, environment));
    const security = { ...spec.securityContext, ...container.securityContext };
    const dropsAll = container.securityContext?.capabilities?.drop?.includes('ALL') ?? false;
    const hostname = spec.hostNetwork === true ? this.#context.node.name : hostnameOf(this.#pod);
    return {
      folder,
      network: this.#network?.namespace ?? '',
      hostname,
      imageLayer: this.#context.imageLayer,
      words: expanded,
      workingDir: container.workingDir ?? '/',
      environment,
      user: {
        uid: security.runAsUser ?? 0,
        gid: security.runAsGroup ?? 0,
        ...(dropsAll ? { capabilities: container.securityContext?.capabilities?.add ?? [] } : {}),
      },
      mounts: [
        ...Object.entries(image.files ?? {}).map(([path, source]) => ({ path, source, readOnly: true })),
        ...(container.volumeMounts ?? []).map((mount) => ({
          source: join(volumes.get(mount.name) ?? '', mount.subPath ?? ''),
          path: mount.mountPath,
          readOnly: mount.readOnly ?? false,
        })),
      ],
      etc: {
        'resolv.conf': resolvConf(this.#pod),
        hosts: hostsFile(this.#pod, this.#network?.addresses ?? []),
        hostname: `${hostname}\n`,
      },
      terminationMessagePath: container.terminationMessagePath ?? '/dev/termination-log',
      logFile,
    };
  }

  async #environment(container: Container): Promise<Readonly<Record<string, string>>> {
    const { api, node, apiAddress } = this.#context;
    const namespace = this.#pod.metadata.namespace ?? 'default';
    const read = async (resource: 'configmaps' | 'secrets', names: readonly (string | undefined)[]) => {
      const loaded = new Map<string, Readonly<Record<string, string>>>();
      for (const name of new Set(names)) {
        if (name === undefined) continue;
        const data = await readData(api, namespace, resource, { name, optional: true });
        loaded.set(name, Object.fromEntries([...data].map(([key, value]) => [key, value.toString()])));
      }
      return (name: string) => loaded.get(name);
    };
    const { env = [], envFrom = [] } = container;
    const configMap = await read('configmaps', [
      ...env.map(({ valueFrom }) => valueFrom?.configMapKeyRef?.name),
      ...envFrom.map(({ configMapRef }) => configMapRef?.name),
    ]);
    const secret = await read('secrets', [
      ...env.map(({ valueFrom }) => valueFrom?.secretKeyRef?.name),
      ...envFrom.map(({ secretRef }) => secretRef?.name),
    ]);
    const apiServer = { address: apiAddress, port: apiAddress === '' ? apiPort : 443 };
    return environmentOf(this.#pod, container, this.#status(), node, { configMap, secret }, apiServer);
  }

  /** Nothing runs any more; the object stays for people to see why. */
  async #evict(message: string): Promise<void> {
    this.#evicted = message;
    await Promise.all([...this.#runners, ...this.#initRunners].map((runner) => runner.stop(0)));
    this.#changed();
  }

  async #end(graceSeconds: number): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.stop(graceSeconds * 1000)));
    await Promise.all(this.#initRunners.map((runner) => runner.stop(graceSeconds * 1000)));
    await this.#begun;
    this.#changed();
    await this.#writing;
    await this.#context.hostPorts.remove(this.#hostPorts);
    await this.#network?.release();
    await rm(this.#folder, { recursive: true, force: true });
    await this.#deleteObject();
  }

  /** Tried until the API server has heard it: nobody else would, and the name would never be free again. */
  async #deleteObject(): Promise<void> {
    const { uid } = this.#pod.metadata;
    const options = { gracePeriodSeconds: 0, preconditions: { uid } };
    for (;;) {
      try {
        await this.#context.api.request('DELETE', this.#path(), options);
        return;
      } catch (error) {
        // Gone already, or another of this name is there: both are what was wanted.
        if (isOfAnotherPod(error)) return;
        this.#log('object', error);
        await sleep(1000);
      }
    }
  }

  /** A status that could not be written is written a little later. */
  #changed(): void {
    this.#writing = this.#writing
      .then(() => this.#write())
      .catch((error: unknown) => {
        this.#log('status', error);
        setTimeout(() => this.#changed(), 1000);
      });
  }

  /** Writes the status unless it says nothing new. */
  async #write(): Promise<void> {
    const status = this.#status();
    if (isDeepStrictEqual(status, this.#written)) return;
    try {
      await this.#context.api.request('PATCH', `${this.#path()}/status`, {
        metadata: { uid: this.#pod.metadata.uid },
        status,
      });
      this.#written = status;
    } catch (error) {
      if (!isOfAnotherPod(error)) throw error;
    }
  }

  #status(): PodStatus {
    return podStatus({
      pod: this.#pod,
      hostAddresses: this.#context.node.addresses,
      addresses: this.#network?.addresses ?? [],
      startTime: this.#startTime,
      initialized: this.#initialized,
      initContainers: this.#initRunners.map((runner) => runner.status),
      containers:
        this.#runners.length > 0
          ? this.#runners.map((runner) => runner.status)
          : this.#pod.spec.containers.map(({ name, image }) => notYet(name, image)),
      evicted: this.#evicted,
      now: timestamp(),
    });
  }

  #isStopping(): boolean {
    return this.#stopped !== undefined;
  }

  #path(): string {
    const { namespace, name } = this.#pod.metadata;
    return `/api/v1/namespaces/${namespace}/pods/${name}`;
  }

  #log(what: string, error: unknown): void {
    const { namespace, name } = this.#pod.metadata;
    console.error(
      `${timestamp()} ${namespace}/${name}: ${what}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** The object has gone, or another has its name now, which shows by its uid. */
function isOfAnotherPod(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  return error.status === 404 || error.status === 409 || error.message.includes('metadata.uid');
}

/** An init container runs until it succeeds, except where nothing is ever started again. */
function initPolicy(pod: Pod, container: Container): 'Always' | 'OnFailure' | 'Never' {
  const policy = pod.spec.restartPolicy ?? 'Always';
  const initial = (pod.spec.initContainers ?? []).includes(container);
  return initial && policy === 'Always' ? 'OnFailure' : policy;
}

function notYet(name: string, image: string): ContainerStatus {
  return {
    name,
    image,
    imageID: '',
    restartCount: 0,
    ready: false,
    started: false,
    state: { waiting: { reason: 'ContainerCreating' } },
    lastState: {},
  };
}
