import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { upstreamFolder } from '../../../../hack/upstream.ts';
import { environmentInside, startLab, stopLab, wordsInside } from '../../../lab/lab.ts';
import { type ProgramVerb, tellProgram } from '../../../lab/program-socket.ts';
import { rebootNode } from '../../../lab/reboot.ts';
import {
  defaultKind,
  type LabNode,
  type LabSettings,
  type LabState,
  labFiles,
} from '../../../lab/settings.ts';
import { NetworkNamespace } from '../../../support/network-namespace.ts';
import { podLink } from '../../../support/world-layout.ts';

const waitMs = 60_000;
const commandMs = 60_000;

interface CommandOptions {
  readonly input?: string;
}

/** The part of a pod that tests look at. */
export interface PodView {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly spec: { readonly nodeName?: string; readonly hostNetwork?: boolean };
  readonly status: {
    readonly startTime?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[];
  };
}

/** Starts a lab in the folder of this file of tests. What is not said is two nodes with Weir and routed pods. */
export async function startOwnLab(settings: Partial<LabSettings> = {}): Promise<OwnLab> {
  const whole: LabSettings = { nodes: 2, ...defaultKind, ...settings };
  return new OwnLab(await startLab(whole, await upstreamFolder(), 'untilExit'));
}

/** A running lab, as a test sees it from outside. */
export class OwnLab {
  readonly state: LabState;
  readonly #networks = new Map<string, NetworkNamespace>();

  constructor(state: LabState) {
    this.state = state;
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    await Promise.all([...this.#networks.values()].map((network) => network.stopAgent()));
    await stopLab(this.state);
  }

  /** Returns what kubectl writes; throws with its words when it fails. */
  kubectl(words: readonly string[], options: CommandOptions = {}): Promise<string> {
    const file = join(this.state.programs, 'kubectl');
    return run([file, '--kubeconfig', labFiles.kubeconfig, ...words], options);
  }

  async apply(yaml: string): Promise<void> {
    await this.kubectl(['apply', '-f', '-'], { input: yaml });
  }

  /** What `kubectl get` finds, as JSON. */
  async get<Result>(...words: readonly string[]): Promise<Result> {
    return JSON.parse(await this.kubectl(['get', '-o', 'json', ...words])) as Result;
  }

  /** Runs a command in the network of a node, or in that of the control plane, and returns what it writes. */
  exec(node: string | undefined, words: readonly string[], options: CommandOptions = {}): Promise<string> {
    return run([...wordsInside(this.state, node), ...words], {
      ...options,
      env: environmentInside(this.state),
    });
  }

  /** Kills, starts, freezes or thaws a program of the lab, such as `kube-apiserver` or `kubelet-node-1`. */
  program(verb: ProgramVerb, name: string): Promise<void> {
    return tellProgram(labFiles.programSocket, verb, name);
  }

  /**
   * Restarts a node (see `rebootNode`). Resolves when the kubelet has begun with all its pods again; what listened in their
   * networks for a test is gone.
   */
  async reboot(name: string): Promise<void> {
    const node = this.#node(name);
    const before = await this.#podsOn(name);
    for (const { metadata } of before) {
      await this.#networks.get(metadata.uid)?.stopAgent();
      this.#networks.delete(metadata.uid);
    }
    await this.#networks.get(name)?.stopAgent();
    // The kubelet tells of seconds, no less.
    const downAt = Math.floor(Date.now() / 1000) * 1000;
    await sleep(1000);
    await rebootNode(this.state, node);
    await this.waitFor(`the pods of ${name} to start again`, async () => {
      const pods = await this.#podsOn(name);
      return pods.every(({ status }) => Date.parse(status.startTime ?? '') > downAt);
    });
  }

  /** Asks ever less often, at first after 100 ms and at last every second, until the answer is neither false nor undefined; throws, with the last error, after `timeoutMs`. */
  async waitFor<Answer>(
    what: string,
    ask: () => Promise<Answer | false | undefined>,
    timeoutMs = waitMs,
  ): Promise<Answer> {
    const deadline = Date.now() + timeoutMs;
    let last = '';
    let pauseMs = 100;
    while (Date.now() < deadline) {
      try {
        const answer = await ask();
        if (answer !== false && answer !== undefined) return answer;
        last = '';
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
      await sleep(pauseMs);
      // A kubectl each time is a lot for a machine that has little to give.
      pauseMs = Math.min(1000, pauseMs * 1.5);
    }
    throw new Error(`waited in vain for ${what}${last === '' ? '' : `: ${last}`}`);
  }

  /** Resolves when a DaemonSet, Deployment or pod of that name is as it should be. */
  async waitForRollout(what: string, namespace = 'default', timeoutMs = waitMs): Promise<void> {
    const seconds = Math.ceil(timeoutMs / 1000);
    const words = ['-n', namespace, 'rollout', 'status', what, `--timeout=${seconds}s`];
    await run([join(this.state.programs, 'kubectl'), '--kubeconfig', labFiles.kubeconfig, ...words], {
      timeoutMs: timeoutMs + commandMs,
    });
  }

  pod(name: string, namespace = 'default'): Promise<PodView> {
    return this.get<PodView>('-n', namespace, 'pod', name);
  }

  /** The pods that a label selector chooses; those on their way out are left away. */
  async pods(selector: string, namespace = 'default'): Promise<readonly PodView[]> {
    const list = await this.get<{ readonly items: readonly PodView[] }>(
      '-n',
      namespace,
      'pods',
      '-l',
      selector,
    );
    return list.items.filter(({ metadata }) => !('deletionTimestamp' in metadata));
  }

  waitForReadyPod(name: string, namespace = 'default'): Promise<PodView> {
    return this.waitFor(`pod ${name} to be ready`, async () => {
      const pod = await this.pod(name, namespace);
      return isReady(pod) && pod;
    });
  }

  /** The address of a pod, by default that of IPv4. */
  async podAddress(name: string, namespace = 'default', family: 'IPv4' | 'IPv6' = 'IPv4'): Promise<string> {
    const { status } = await this.waitForReadyPod(name, namespace);
    const address = status.podIPs?.find(({ ip }) => ip.includes(':') === (family === 'IPv6'));
    if (address === undefined) throw new Error(`${name} has no ${family} address`);
    return address.ip;
  }

  /** The network of a ready pod; what listens and connects there for a test is seen as the pod, and ends with `stop`. */
  async podNetwork(name: string, namespace = 'default'): Promise<NetworkNamespace> {
    const { metadata, spec, status } = await this.waitForReadyPod(name, namespace);
    const node = this.#node(spec.nodeName ?? '');
    return this.#network(metadata.uid, () => {
      const index = this.state.nodes.indexOf(node);
      const place = Array.from({ length: 250 }, (_, place) => place).find((place) =>
        podLink({ name }, node.podCidrs, index, place).addresses.includes(status.podIP ?? ''),
      );
      const addresses = (status.podIPs ?? []).map(({ ip }) => ip);
      return new NetworkNamespace(name, this.#file(`${node.name}-pod-${place}`), addresses);
    });
  }

  nodeNetwork(name: string): NetworkNamespace {
    const { namespace, addresses } = this.#node(name);
    return this.#network(name, () => new NetworkNamespace(name, this.#file(namespace), addresses));
  }

  /** A machine that is no node; it reaches cluster IPs, pods and nodes through the first node. */
  get outside(): NetworkNamespace {
    const { namespace, addresses } = this.state.outside;
    return this.#network('outside', () => new NetworkNamespace('outside', this.#file(namespace), addresses));
  }

  /** The pod of Weir on a node, the youngest where one replaces another. */
  async weirPod(node: string): Promise<string> {
    const pods = await this.pods('app.kubernetes.io/name=weir', 'kube-system');
    const name = pods.find(({ spec }) => spec.nodeName === node)?.metadata.name;
    if (name === undefined) throw new Error(`there is no Weir on ${node}`);
    return name;
  }

  /** What Weir has said on a node, without that of its predecessors. */
  async weirLog(node: string, container = 'weir'): Promise<string> {
    return this.kubectl(['-n', 'kube-system', 'logs', await this.weirPod(node), '-c', container]);
  }

  /** All logs of Weir on disk, those of pods that are gone too. Works without the API server. */
  async weirLogFiles(): Promise<readonly string[]> {
    const files: string[] = [];
    for await (const name of glob('kube-system_weir-*_weir-*.log', { cwd: labFiles.logs }))
      files.push(join(labFiles.logs, name));
    return files.toSorted();
  }

  /** Rules and sets of a node, without counters and comments of the tool. */
  async rules(node: string): Promise<string> {
    const script = 'iptables-save; ip6tables-save; ipset save | sort';
    const saved = await this.exec(node, ['sh', '-ec', script]);
    return saved
      .split('\n')
      .filter((line) => !line.startsWith('#'))
      .map((line) => line.replace(/ \[\d+:\d+\]$/u, ''))
      .join('\n');
  }

  async #podsOn(node: string): Promise<readonly PodView[]> {
    const words = ['pods', '-A', '--field-selector', `spec.nodeName=${node}`];
    return (await this.get<{ readonly items: readonly PodView[] }>(...words)).items;
  }

  #network(key: string, make: () => NetworkNamespace): NetworkNamespace {
    const network = this.#networks.get(key) ?? make();
    this.#networks.set(key, network);
    return network;
  }

  #node(name: string): LabNode {
    const node = this.state.nodes.find((node) => node.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** A network namespace of the lab, as it is seen from outside. */
  #file(namespace: string): string {
    return `/proc/${this.state.initPid}/root/run/netns/${namespace}`;
  }
}

export function isReady({ status }: PodView): boolean {
  return (status.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True');
}

async function run(
  [file = '', ...args]: readonly string[],
  {
    input = '',
    env = {},
    timeoutMs = commandMs,
  }: CommandOptions & { readonly env?: Readonly<Record<string, string>>; readonly timeoutMs?: number },
): Promise<string> {
  const result = await execa(file, args, { reject: false, input, env, timeout: timeoutMs });
  if (result.failed)
    throw new Error(`${args.join(' ')}: ${result.stderr || result.stdout || result.shortMessage}`);
  return result.stdout;
}
