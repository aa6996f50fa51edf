import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { createCommandRunner, systemClock } from '../../../pkg/runtime/index.ts';
import { CniResults } from '../../support/cni-results.ts';
import { namespacePrefix } from '../../support/in-namespace.ts';
import { linksReady } from '../../support/links-ready.ts';
import { podLines, podLinesOnNode, sysctlScript, vethLine } from '../../support/world-commands.ts';
import { bridgeName, type PodLink, type PodNetworkMode, podLink } from '../../support/world-layout.ts';
import type { KubeObject } from '../api-client.ts';
import type { LabNode } from '../settings.ts';

/** A pod's place in the network. */
export interface PodNetwork {
  /** Below `/run/netns`. */
  readonly namespace: string;
  readonly addresses: readonly string[];
  /** Ends the pod's share of the network. Its addresses are free from then on. */
  release(): Promise<void>;
}

/** What the network of a node's pods depends on. */
export interface NodeNetwork {
  readonly node: LabNode;
  /** Of the node, from 0. */
  readonly index: number;
  readonly network: PodNetworkMode;
}

/** As many as a /24 has room for, less the first few. */
const places = 240;

/**
 * The container runtime and the CNI plugin of a node: gives pods their namespaces and addresses, the longest unused
 * first, and notes them in the cache of results before anything runs in the pod.
 */
export class PodNetworks {
  readonly #node: LabNode;
  readonly #nodeIndex: number;
  readonly #mode: PodNetworkMode;
  readonly #results: CniResults;
  readonly #free: number[] = Array.from({ length: places }, (_, place) => place);

  private constructor({ node, index, network }: NodeNetwork, results: CniResults) {
    this.#node = node;
    this.#nodeIndex = index;
    this.#mode = network;
    this.#results = results;
  }

  /** `root` stands for the root of the node's file system. */
  static async create(plan: NodeNetwork, root: string): Promise<PodNetworks> {
    const folder = join(root, 'var/lib/cni');
    await mkdir(join(folder, 'results'), { recursive: true });
    return new PodNetworks(plan, new CniResults(folder));
  }

  /** The node's own, for pods that share it. */
  get host(): PodNetwork {
    const { namespace, addresses } = this.#node;
    return { namespace, addresses, release: async () => {} };
  }

  /** Leaves nothing behind when it fails. */
  async add(
    { name, namespace: podNamespace = 'default', uid = '' }: KubeObject['metadata'],
    sysctls: readonly { readonly name: string; readonly value: string }[],
  ): Promise<PodNetwork> {
    const place = this.#free.shift();
    if (place === undefined) throw new Error(`${this.#node.name} has no address left`);
    const link = podLink({ name }, this.#node.podCidrs, this.#nodeIndex, place);
    const { addresses } = link;
    const namespace = `${this.#node.name}-pod-${place}`;
    try {
      await this.#connect(namespace, link, sysctls);
      await this.#results.add({ pod: name, namespace: podNamespace, uid, containerId: uid, addresses });
    } catch (error) {
      await removeNamespace(namespace).catch(() => undefined);
      this.#free.push(place);
      throw error;
    }
    return {
      namespace,
      addresses,
      release: async () => {
        await ip(this.#node.namespace, [`link delete ${link.nodeInterface}`]);
        await removeNamespace(namespace);
        await this.#results.remove(name, uid);
        this.#free.push(place);
      },
    };
  }

  async #connect(
    namespace: string,
    link: PodLink,
    sysctls: readonly { readonly name: string; readonly value: string }[],
  ): Promise<void> {
    await ip(this.#node.namespace, [
      `netns add ${namespace}`,
      vethLine(
        { namespace, interface: 'eth0', mac: link.podMac },
        { namespace: this.#node.namespace, interface: link.nodeInterface, mac: link.nodeMac },
      ),
    ]);
    const podSysctls = [
      sysctlScript('machine'),
      // As container runtimes do: any port, and ping, for everybody.
      'echo 0 >ipv4/ip_unprivileged_port_start',
      'echo "0 2147483647" >ipv4/ping_group_range',
      ...sysctls.map(({ name, value }) => `echo ${quoted(value)} >${quoted(sysctlFile(name))}`),
    ].join('\n');
    await Promise.all([
      // The node's end has the settings that the node was made with: new interfaces take its defaults.
      ip(this.#node.namespace, podLinesOnNode(this.#mode, link)),
      shell(namespace, podSysctls).then(() => ip(namespace, podLines(this.#mode, link, this.#node.podCidrs))),
    ]);
    const runner = createCommandRunner();
    await Promise.all([
      linksReady(runner, [namespace]),
      linksReady(runner, [this.#node.namespace], [link.nodeInterface, bridgeName]),
    ]);
  }
}

/** A process of the pod may take a moment to be gone for good. */
async function removeNamespace(namespace: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const result = await execa('ip', ['netns', 'delete', namespace], { reject: false });
    if (!result.failed) return;
    if (attempt === 20) throw new Error(`ip netns delete ${namespace}: ${result.stderr}`);
    await systemClock.sleep(50);
  }
}

async function ip(namespace: string, lines: readonly string[]): Promise<void> {
  const [file, ...prefix] = namespacePrefix(namespace);
  await execa(file, [...prefix, 'ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

async function shell(namespace: string, script: string): Promise<void> {
  const [file, ...prefix] = namespacePrefix(namespace);
  await execa(file, [...prefix, 'sh', '-ec', script], { stdin: 'ignore' });
}

/** Below `/proc/sys/net`; only those are a pod's own. */
function sysctlFile(name: string): string {
  return name.replaceAll('.', '/').replace(/^net\//u, '');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
