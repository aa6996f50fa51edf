import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PodNetworkMode, podNetworkModes } from '../support/world-layout.ts';

/** What `npm run lab up` may be told. */
export interface LabSettings {
  readonly nodes: number;
  /** Who programs Services and policies on the nodes. */
  readonly proxy: (typeof proxies)[number];
  readonly backend: Backend;
  /** How pods are wired up. */
  readonly network: PodNetworkMode;
}

const proxies = ['weir', 'kube-proxy', 'none'] as const;
const backends = ['auto', 'legacy', 'nft'] as const;
export type Backend = (typeof backends)[number];

/** All but the number of nodes, which depends on what the lab is for. */
export type LabKind = Omit<LabSettings, 'nodes'>;
export const defaultKind: LabKind = { proxy: 'weir', backend: 'auto', network: 'routed' };

/** The options of a command that starts a lab, for `parseArgs`. */
export const kindOptions = {
  proxy: { type: 'string', default: defaultKind.proxy },
  backend: { type: 'string', default: defaultKind.backend },
  network: { type: 'string', default: defaultKind.network },
} as const;

/** For the usage of such a command. */
export const kindUsage = `\
    --proxy NAME         who programs Services: ${proxies.join(', ')} (default: ${defaultKind.proxy})
    --backend NAME       kind of iptables: ${backends.join(', ')} (default: ${defaultKind.backend})
    --network NAME       how pods are wired up: ${podNetworkModes.join(', ')} (default: ${defaultKind.network})`;

/** Checks what a person typed. */
export function kindOf(values: Readonly<Record<keyof LabKind, string>>): LabKind {
  return {
    proxy: oneOf('proxy', values.proxy, proxies),
    backend: oneOf('backend', values.backend, backends),
    network: oneOf('network', values.network, podNetworkModes),
  };
}

function oneOf<Choice extends string>(option: string, value: string, choices: readonly Choice[]): Choice {
  const choice = choices.find((choice) => choice === value);
  if (choice === undefined) throw new RangeError(`--${option} is one of ${choices.join(', ')}, not ${value}`);
  return choice;
}

/** Seen from outside and from inside: the lab's own `/run` is not. */
export const labFolder = process.env['WEIR_LAB'] ?? join(tmpdir(), 'weir-lab');

export const labFiles = {
  state: join(labFolder, 'state.json'),
  /** For people and tests outside the lab. */
  kubeconfig: join(labFolder, 'kubeconfig'),
  logs: join(labFolder, 'logs'),
  secrets: join(labFolder, 'secrets'),
  /** Leads into the lab's network; sockets of this kind know no network namespaces. */
  apiSocket: join(labFolder, 'api.sock'),
  /** For tests that stop programs of the lab and start them again. */
  programSocket: join(labFolder, 'programs.sock'),
} as const;

/** Gone with the lab: its `/run` is a file system of its own, in memory. */
export const runFolder = '/run/lab';

/** Stands for the root of a node's file system, where that is the node's own. */
export function nodeRoot(node: string): string {
  return join(runFolder, 'nodes', node);
}

export const apiPort = 6443;
export const kubeletPort = 10_250;
export const clusterDomain = 'cluster.local';
export const serviceCidrs = ['10.96.0.0/16', 'fd00:10:96::/112'] as const;
/** The first address of each range of Services is the API server's. */
export const apiServiceAddresses = ['10.96.0.1', 'fd00:10:96::1'] as const;
/** Those of all nodes. */
export const allPodCidrs = ['10.244.0.0/16', 'fd00:10:244::/48'] as const;
export const dnsServiceAddress = '10.96.0.10';

/** Of a running lab. */
export interface LabState {
  readonly settings: LabSettings;
  /** Folder of upstream's programs. */
  readonly programs: string;
  readonly keeperPid: number;
  /** Process 1 of the lab, as the machine counts. */
  readonly initPid: number;
  /** Network namespace of the control plane; what runs there sees nodes, pods and the API server. */
  readonly controlPlane: string;
  readonly outside: LabMachine;
  readonly nodes: readonly LabNode[];
}

/** A machine that is no node. */
export interface LabMachine {
  readonly namespace: string;
  readonly addresses: readonly string[];
}

export interface LabNode {
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
}
