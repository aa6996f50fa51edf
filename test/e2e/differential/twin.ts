import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { Backend } from '../../../pkg/apply/index.ts';
import type { Family } from '../../../pkg/net/index.ts';
import { kubeProxy } from '../../lab/node-programs.ts';
import { type RunningProgram, startProgram } from '../../lab/program.ts';
import {
  clusterCidrs,
  createServiceWorld,
  families,
  type PodName,
  type ServiceWorld,
} from '../../support/service-world.ts';
import { WeirProcess } from '../../support/weir-process.ts';
import type { PodNetworkMode } from '../../support/world-layout.ts';
import type { Cluster } from './control-plane.ts';
import type { Restart, RoundSettings } from './history.ts';
import type { MarkerRules } from './marker.ts';
import { rarePods, rarePort } from './objects.ts';

export type Proxy = 'weir' | 'kube-proxy';

/** The cables from the control plane to the nodes. */
export const cables = {
  weir: { server: '192.0.2.1', node: '192.0.2.2', device: 'api-weir' },
  'kube-proxy': { server: '192.0.2.5', node: '192.0.2.6', device: 'api-kube-proxy' },
} as const;

export const nodeName = 'node-a';

export interface TwinKind {
  readonly backend: Backend;
  readonly mode: PodNetworkMode;
  /** Of upstream. */
  readonly programs: string;
  /** Folder with an `iptables` of the backend. */
  readonly tools: string;
}

const settleTimeoutMs = 120_000;

/** A world in which one of the two proxies runs on `node-a`. The other's world has the same names and addresses. */
export class Twin {
  readonly proxy: Proxy;
  readonly services: ServiceWorld;
  readonly #kind: TwinKind;
  readonly #cluster: Cluster;
  #weir: WeirProcess | undefined;
  #kubeProxy: RunningProgram | undefined;

  private constructor(proxy: Proxy, services: ServiceWorld, kind: TwinKind, cluster: Cluster) {
    this.proxy = proxy;
    this.services = services;
    this.#kind = kind;
    this.#cluster = cluster;
  }

  static async create(proxy: Proxy, kind: TwinKind, cluster: Cluster): Promise<Twin> {
    const services = await createServiceWorld(kind.backend, kind.mode);
    const twin = new Twin(proxy, services, kind, cluster);
    try {
      await twin.#connect();
    } catch (error) {
      await twin.dispose();
      throw error;
    }
    return twin;
  }

  async start(settings: RoundSettings): Promise<void> {
    const { proxy, services } = this;
    const { server } = cables[proxy];
    const identity = proxy === 'weir' ? 'admin' : 'system:kube-proxy';
    const kubeconfig = await this.#cluster.kubeconfig(proxy, { identity, server });
    const { namespace, addresses } = services.node;
    const flags = flagsOf(settings, this.#kind.mode);
    if (proxy === 'weir') {
      this.#weir = new WeirProcess(namespace, [
        'run',
        `--kubeconfig=${kubeconfig}`,
        `--node-name=${nodeName}`,
        `--iptables-backend=${services.backend}`,
        ...flags,
      ]);
      return;
    }
    const node = { name: nodeName, namespace, addresses, podCidrs: services.world.podCidrs() };
    const { programs, tools } = this.#kind;
    const spec = kubeProxy(node, { programs, kubeconfig, podCidrs: [], tools });
    // An empty value is not the same as none.
    const args = spec.args.filter((arg) => !arg.startsWith('--cluster-cidr='));
    this.#kubeProxy = startProgram({ ...spec, args: [...args, ...flags] });
  }

  /** Ends the program; its rules stay. Upstream's has no farewell: SIGTERM ends it as SIGKILL does. */
  async end(how: Restart['how']): Promise<void> {
    if (how === 'stopped') await this.#weir?.stop();
    else await this.#weir?.kill();
    await this.#kubeProxy?.kill();
  }

  /** Waits until the rules in each family say that the program has heard of everything. */
  async settled(marker: MarkerRules): Promise<void> {
    const deadline = Date.now() + settleTimeoutMs;
    for (const family of families) {
      while (!this.#says(await this.rules(family), family, marker)) {
        if (Date.now() > deadline)
          throw new Error(
            `${this.proxy} has not the rules of ${JSON.stringify(marker)} in ${family}\n${this.#weir?.lines.slice(-20).join('\n')}`,
          );
        await sleep(100);
      }
    }
  }

  rules(family: Family): Promise<string> {
    return this.services.iptables(family, '-save', ['-t', 'nat']);
  }

  /** Forgets which client went to which endpoint. */
  async forgetClients(): Promise<void> {
    const script = 'for file in /proc/net/xt_recent/*; do [ -e "$file" ] && echo / >"$file"; done; true';
    await this.services.node.run('sh', ['-c', script]);
  }

  async dispose(): Promise<void> {
    await this.#weir?.kill();
    await this.#kubeProxy?.kill();
    await execa('ip', ['link', 'delete', cables[this.proxy].device], { reject: false });
    await this.services.dispose();
  }

  #says(rules: string, family: Family, { port, there, gone }: MarkerRules): boolean {
    const leads = (pod: PodName): boolean => {
      const address = this.services.pod(pod).address(family);
      const target = `${family === 'IPv4' ? address : `[${address}]`}:${port}`;
      return `${rules}\n`.includes(`--to-destination ${target}\n`);
    };
    return there.every(leads) && !gone.some(leads);
  }

  async #connect(): Promise<void> {
    const { server, node: address, device } = cables[this.proxy];
    const { node, world } = this.services;
    await execa('ip', [
      'link',
      'add',
      device,
      'type',
      'veth',
      'peer',
      'name',
      'api',
      'netns',
      node.namespace,
    ]);
    await execa('ip', ['address', 'add', `${server}/30`, 'dev', device]);
    await execa('ip', ['link', 'set', device, 'up']);
    await node.run('ip', ['address', 'add', `${address}/30`, 'dev', 'api']);
    await node.run('ip', ['link', 'set', 'api', 'up']);
    const requests = (['tcp', 'udp'] as const).map((protocol) => ({ protocol, port: rarePort }));
    await Promise.all(rarePods.map((pod) => world.pod(pod).listen(...requests)));
  }
}

/** What both programs understand alike. */
function flagsOf(settings: RoundSettings, mode: PodNetworkMode): readonly string[] {
  const byInterface =
    mode === 'bridged'
      ? ['--detect-local-mode=BridgeInterface', '--pod-bridge-interface=cni0']
      : ['--detect-local-mode=InterfaceNamePrefix', '--pod-interface-name-prefix=veth'];
  const detectors = {
    ClusterCIDR: [`--cluster-cidr=${clusterCidrs}`],
    NodeCIDR: ['--detect-local-mode=NodeCIDR'],
    interface: byInterface,
    none: [],
  };
  const nodePortAddresses = {
    all: [],
    primary: ['--nodeport-addresses=primary'],
    lan: ['--nodeport-addresses=172.18.0.0/24,fd00:172:18::/64'],
    'other family': ['--nodeport-addresses=fd00:172:18::/64'],
  };
  return [
    '--conntrack-max-per-core=0',
    '--conntrack-min=0',
    '--conntrack-tcp-timeout-established=0',
    '--conntrack-tcp-timeout-close-wait=0',
    ...detectors[settings.detector],
    ...nodePortAddresses[settings.nodePortAddresses],
    `--masquerade-all=${settings.masqueradeAll}`,
    `--iptables-localhost-nodeports=${settings.localhostNodePorts}`,
  ];
}
