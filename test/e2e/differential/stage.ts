import { nodeManifest } from '../../support/service-manifests.ts';
import type { Pair } from './comparison.ts';
import type { Cluster } from './control-plane.ts';
import type { Batch, Restart, RoundSettings } from './history.ts';
import { Marker } from './marker.ts';
import { type Machines, objectsOf } from './objects.ts';
import { nodeName, Twin, type TwinKind } from './twin.ts';

const zoneLabel = 'topology.kubernetes.io/zone';

/** The cluster and both nodes, which see the same happen. */
export class Stage {
  readonly machines: Machines;
  readonly #cluster: Cluster;
  readonly #settings: RoundSettings;
  readonly #weir: Twin;
  readonly #kubeProxy: Twin;
  readonly #marker: Marker;

  private constructor(cluster: Cluster, settings: RoundSettings, [weir, kubeProxy]: readonly [Twin, Twin]) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.#weir = weir;
    this.#kubeProxy = kubeProxy;
    this.machines = {
      node: weir.services.node,
      outside: weir.services.client('outside'),
      pod: (name) => weir.services.pod(name),
    };
    this.#marker = new Marker(this.machines);
  }

  /** Two nodes on which no proxy runs yet. */
  static async create(cluster: Cluster, kind: TwinKind, settings: RoundSettings): Promise<Stage> {
    const weir = await Twin.create('weir', kind, cluster);
    try {
      return new Stage(cluster, settings, [weir, await Twin.create('kube-proxy', kind, cluster)]);
    } catch (error) {
      await weir.dispose();
      throw error;
    }
  }

  get pair(): Pair {
    return { weir: this.#weir.services, kubeProxy: this.#kubeProxy.services };
  }

  /** What the proxies find when they start for the first time. */
  async begin({ state, zone }: Batch): Promise<void> {
    const { node } = this.machines;
    const podCIDRs = this.#weir.services.world.podCidrs();
    const spec = { podCIDR: podCIDRs[0], podCIDRs };
    await this.#cluster.replaceNode(nodeName, { ...nodeManifest(nodeName, node.addresses, zone), spec });
    await this.#write(state);
    await this.start();
    await this.#settled(zone);
  }

  /** The Services, and then the node's zone alone, so that one is not seen only because of the other. */
  async change(before: Batch, { state, zone }: Batch): Promise<void> {
    await this.#write(state);
    await this.#settled(before.zone);
    if (zone === before.zone) return;
    await this.#cluster.labelNode(nodeName, zoneLabel, zone);
    await this.#settled(zone);
  }

  /** Both programs end; their rules stay. */
  async end(how: Restart['how']): Promise<void> {
    await Promise.all(this.#twins.map((twin) => twin.end(how)));
  }

  /** Both programs begin. */
  async start(): Promise<void> {
    await Promise.all(this.#twins.map((twin) => twin.start(this.#settings)));
  }

  /** All at once, while nobody looks; the programs find it when they start. */
  async startAfter({ state, zone }: Batch): Promise<void> {
    await this.#cluster.labelNode(nodeName, zoneLabel, zone);
    await this.#write(state);
    await this.start();
    await this.#settled(zone);
  }

  /** The programs begin, and find the cluster as they left it. */
  async startUnchanged({ state, zone }: Batch): Promise<void> {
    await this.start();
    // Their rules say that they have seen it only once there is something new.
    await this.#write(state);
    await this.#settled(zone);
  }

  /** Clients of Services that remember them are strangers again. */
  async forgetClients(): Promise<void> {
    await Promise.all(this.#twins.map((twin) => twin.forgetClients()));
  }

  async dispose(): Promise<void> {
    for (const twin of this.#twins) await twin.dispose();
  }

  get #twins(): readonly Twin[] {
    return [this.#weir, this.#kubeProxy];
  }

  async #write(state: Batch['state']): Promise<void> {
    const objects = objectsOf(state, this.machines);
    await this.#cluster.become([...objects, ...this.#marker.objects()]);
    this.#marker.advance();
    await this.#cluster.become([...objects, ...this.#marker.objects()]);
  }

  async #settled(zone: string | undefined): Promise<void> {
    const rules = this.#marker.rules(zone);
    await Promise.all(this.#twins.map((twin) => twin.settled(rules)));
  }
}
