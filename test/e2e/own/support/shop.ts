import { expect } from 'vitest';
import type { Family } from '../../../../pkg/net/index.ts';
import type { ConnectRequest } from '../../../support/agent/protocol.ts';
import { type PathReport, probePaths } from '../../../support/forbidden-probe.ts';
import type { NetworkNamespace } from '../../../support/network-namespace.ts';
import { type LoadItem, type LoadReport, patient, ServiceLoad } from '../../../support/service-load.ts';
import { targetPort } from '../../../support/service-manifests.ts';
import { idlePod, ingressPolicy, serviceOf, yamlOf } from './objects.ts';
import type { OwnLab } from './own-lab.ts';

const families = ['IPv4', 'IPv6'] as const satisfies readonly Family[];
const nodePort = 30_080;
/** A new connection of each item this often: some 400 a second in all, for a machine that has others to serve. */
const everyMs = { IPv4: 40, IPv6: 80 } as const;
const pathEveryMs = 50;
/** So many attempts on each way make a load. */
const fewestAttempts = 20;
/** How often each way is tried where nothing goes on meanwhile. */
const tries = 30;

const pods = {
  'server-1': { node: 'node-1', app: 'server' },
  'server-2': { node: 'node-2', app: 'server' },
  'client-1': { node: 'node-1', app: 'client' },
  'client-2': { node: 'node-2', app: 'client' },
  stranger: { node: 'node-2', app: 'stranger' },
  guarded: { node: 'node-1', app: 'guarded' },
} as const;
export type ShopPod = keyof typeof pods;

/** What went wrong while something was done to the cluster. */
export interface ShopReport {
  readonly load: LoadReport;
  /** Of forbidden and allowed paths to the guarded pod; without policies there are none. */
  readonly paths: PathReport | undefined;
}

/**
 * A cluster's contents for tests: a Service `shop` with a server on each node, a client on each, a pod `guarded` that
 * only clients may reach, and a stranger who may not.
 */
export class Shop {
  readonly #lab: OwnLab;
  readonly #networks: Record<ShopPod, NetworkNamespace>;
  readonly #clusterIPs: Readonly<Record<Family, string>>;

  /** Resolves when all pods are ready and listen. Nothing is said yet about rules. */
  static async open(lab: OwnLab): Promise<Shop> {
    const names = Object.keys(pods) as ShopPod[];
    await lab.apply(
      yamlOf(
        ...names.map((name) => idlePod({ name, ...pods[name] })),
        serviceOf({ name: 'shop', app: 'server', nodePort }),
        ingressPolicy({ name: 'guarded', to: 'guarded', from: 'client' }),
      ),
    );
    const networks = await Promise.all(
      names.map(async (name) => [name, await listening(await lab.podNetwork(name))] as const),
    );
    const service = await lab.get<{ readonly spec: { readonly clusterIPs: readonly string[] } }>(
      'service',
      'shop',
    );
    const [ipv4 = '', ipv6 = ''] = service.spec.clusterIPs;
    const all = Object.fromEntries(networks) as Record<ShopPod, NetworkNamespace>;
    return new Shop(lab, all, { IPv4: ipv4, IPv6: ipv6 });
  }

  private constructor(
    lab: OwnLab,
    networks: Record<ShopPod, NetworkNamespace>,
    clusterIPs: Readonly<Record<Family, string>>,
  ) {
    this.#lab = lab;
    this.#networks = networks;
    this.#clusterIPs = clusterIPs;
  }

  /** After a restart of the node, which has ended all servers there. */
  async reopenOn(node: string): Promise<void> {
    for (const name of Object.keys(pods) as ShopPod[]) {
      if (pods[name].node === node) this.#networks[name] = await listening(await this.#lab.podNetwork(name));
    }
  }

  network(pod: ShopPod): NetworkNamespace {
    return this.#networks[pod];
  }

  clusterIP(family: Family): string {
    return this.#clusterIPs[family];
  }

  /** Resolves when every way to the Service works, and where policies are enforced the forbidden path is closed. */
  async settled(options: { readonly policies: boolean }): Promise<void> {
    await this.#lab.waitFor('the shop to be reached in all ways', async () => {
      const outcomes = await Promise.all(
        this.#items().map(async ({ from, to }) => (await from.connect(to)).kind),
      );
      return outcomes.every((kind) => kind === 'reply');
    });
    if (!options.policies) return;
    await this.#lab.waitFor('the guarded pod to be closed', async () => {
      const attempts = this.#forbidden().map((to) => this.#networks.stranger.connect(to));
      return (await Promise.all(attempts)).every(({ kind }) => kind === 'timeout');
    });
  }

  /** Does the work while connections are made all the time, and tells what became of them. */
  async whileOpen(options: { readonly policies: boolean }, work: () => Promise<void>): Promise<ShopReport> {
    const items = this.#items();
    // The kernel forgets a UDP flow that rests for half a minute, and then another server may get it.
    const flows = items.filter(({ to }) => to.protocol === 'tcp');
    const load = await ServiceLoad.start(items, flows);
    const { guarded, stranger, 'client-1': near, 'client-2': far } = this.#networks;
    const allowed = [near, far].map((client) => [client, guarded] as const);
    const paths = options.policies
      ? await probePaths({ forbidden: [[stranger, guarded]], allowed }, pathEveryMs)
      : undefined;
    try {
      await work();
    } catch (error) {
      await Promise.all([load.stop(), paths?.stop()]);
      throw error;
    }
    return { load: await load.stop(), paths: await paths?.stop() };
  }

  /** Waits until all is well, then tries every way many times. Gives what did not end as it should, which is nothing. */
  async troubles(options: { readonly policies: boolean }): Promise<readonly string[]> {
    await this.settled(options);
    const troubles: string[] = [];
    for (const { title, from, to } of this.#items()) {
      const { failures } = await from.burst({ ...to, count: tries });
      if (Object.keys(failures).length > 0) troubles.push(`${title}: ${JSON.stringify(failures)}`);
    }
    if (!options.policies) return troubles;
    for (const to of this.#forbidden()) {
      const { replies } = await this.#networks.stranger.burst({ ...to, count: tries });
      if (Object.keys(replies).length > 0) troubles.push(`the stranger reaches ${to.address}`);
    }
    return troubles;
  }

  #forbidden(): readonly ConnectRequest[] {
    return families.map((family) => ({
      ...patient('tcp', this.#networks.guarded.address(family), targetPort),
      timeoutMs: 500,
    }));
  }

  #items(): readonly LoadItem[] {
    return families.flatMap((family) => {
      const address = this.#clusterIPs[family];
      const clusterIP = patient('tcp', address, targetPort);
      const throughNode = (node: string) =>
        patient('tcp', this.#lab.nodeNetwork(node).address(family), nodePort);
      const from = this.#networks;
      return [
        { title: 'pod on node-1 to cluster IP', from: from['client-1'], to: clusterIP },
        { title: 'pod on node-2 to cluster IP', from: from['client-2'], to: clusterIP },
        { title: 'by UDP', from: from['client-1'], to: patient('udp', address, targetPort) },
        { title: 'node-2 to cluster IP', from: this.#lab.nodeNetwork('node-2'), to: clusterIP },
        { title: 'client to node port of node-1', from: this.#lab.outside, to: throughNode('node-1') },
        { title: 'client to node port of node-2', from: this.#lab.outside, to: throughNode('node-2') },
      ].map((item) => ({ ...item, title: `${item.title} over ${family}`, everyMs: everyMs[family] }));
    });
  }
}

/** Expects that no connection failed, none got through that may not, and that enough were tried to know. */
export function expectUnbroken({ load, paths }: ShopReport): void {
  expect({ failures: load.failures, brokenFlows: load.brokenFlows, wrong: paths?.wrong ?? {} }).toEqual({
    failures: {},
    brokenFlows: [],
    wrong: {},
  });
  const attempts = Object.values(load.items).map(({ attempts }) => attempts);
  expect(Math.min(...attempts)).toBeGreaterThanOrEqual(fewestAttempts);
  if (paths !== undefined) expect(paths.fewestAttempts).toBeGreaterThanOrEqual(fewestAttempts);
}

async function listening(network: NetworkNamespace): Promise<NetworkNamespace> {
  await network.listen({ protocol: 'tcp', port: targetPort }, { protocol: 'udp', port: targetPort });
  return network;
}
