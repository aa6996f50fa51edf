import type { Node } from '../../pkg/api/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import { type Family, familyOf } from '../../pkg/net/index.ts';
import { WeirError } from '../../pkg/runtime/index.ts';
import { expandNodePortAddresses } from '../../pkg/service/decide/index.ts';
import type { Part } from '../sync/part-ownership.ts';
import { nodeView } from './node-view.ts';

/** What of the configuration has to fit the node. */
export interface NodeCheckConfig {
  readonly parts: readonly Part[];
  readonly bindAddress: string;
  readonly detectLocalMode: string;
  readonly clusterCidr: readonly string[];
  readonly nodeportAddresses: readonly string[];
  readonly iptablesLocalhostNodeports: boolean;
  /** `IP:port`, `[IP]:port`, or empty. */
  readonly healthzBindAddress: string;
  readonly metricsBindAddress: string;
}

export interface NodeCheckOptions {
  readonly config: NodeCheckConfig;
  readonly node: Node | undefined;
  /** Those that the kernel and the programs of this node can route. */
  readonly families: readonly Family[];
}

/** `advice` is for whoever looks closely; with a `code`, Weir can't work here. */
export interface NodeProblem {
  readonly severity: 'advice' | 'warning' | 'fatal';
  readonly message: string;
  readonly code?: 'WEIR_BAD_FLAG' | 'WEIR_NO_IPTABLES';
}

const unspecified: ReadonlySet<string> = new Set(['', '0.0.0.0', '::']);

/** Logs what of the configuration does not fit the node; throws a WeirError for the first thing that makes it useless. */
export function checkNode(options: NodeCheckOptions, log: Pick<Logger, 'debug' | 'warn'>): void {
  const problems = nodeProblems(options);
  for (const { severity, message, code } of problems) {
    if (severity === 'advice') log.debug(message);
    else if (code === undefined) log.warn(message);
    else throw new WeirError(code, message);
  }
}

/** kube-proxy's checks at start, in its order. The primary family is that of the bind address, or of the node's first address. */
export function nodeProblems(options: NodeCheckOptions): readonly NodeProblem[] {
  const { config, node, families } = options;
  const primary = primaryFamily(config, node);
  if (!families.includes(primary)) {
    const message = `no support for ${primary}, the primary IP family of this node: its iptables programs are missing or the kernel has it switched off`;
    return [{ severity: 'fatal', code: 'WEIR_NO_IPTABLES', message }];
  }
  const ofServices = [
    ...nodePortProblems(options, primary),
    ...clusterCIDRProblems(options, primary),
    ...podCIDRProblems(options, primary),
  ];
  return [
    ...(config.parts.includes('services') ? ofServices : []),
    ...(families.length > 1 ? [] : serverProblems(config, primary)),
  ];
}

function primaryFamily({ bindAddress }: NodeCheckConfig, node: Node | undefined): Family {
  const address = unspecified.has(bindAddress) ? node?.addresses[0] : bindAddress;
  return (address === undefined ? undefined : familyOf(address)) ?? 'IPv4';
}

function nodePortProblems({ config, node }: NodeCheckOptions, primary: Family): readonly NodeProblem[] {
  const given = config.nodeportAddresses;
  if (given.length === 0) {
    const message =
      'node ports answer on every address of this node; --nodeport-addresses=primary would limit them to its own';
    return [{ severity: 'advice', message }];
  }
  const cidrs = expandNodePortAddresses(given, nodeView('', node, [], config.bindAddress).nodeIPs);
  return [...localhostProblems(config, cidrs), ...nodePortFamilyProblems({ config, node }, cidrs, primary)];
}

function localhostProblems(
  { iptablesLocalhostNodeports }: NodeCheckConfig,
  cidrs: readonly string[],
): readonly NodeProblem[] {
  if (iptablesLocalhostNodeports || !cidrs.some((cidr) => cidr.startsWith('127.'))) return [];
  const message =
    '--nodeport-addresses has loopback addresses, but node ports do not answer there with --iptables-localhost-nodeports=false';
  return [{ severity: 'warning', message }];
}

function nodePortFamilyProblems(
  { config, node }: Pick<NodeCheckOptions, 'config' | 'node'>,
  cidrs: readonly string[],
  primary: Family,
): readonly NodeProblem[] {
  if (cidrs.length === 0) {
    const message = '--nodeport-addresses: the Node has no address, so node ports answer on every address';
    return [{ severity: 'warning', message }];
  }
  const other = otherThan(primary);
  if (isOnly(cidrs, other)) return [isOnlyOf('--nodeport-addresses', primary)];
  const isDualStack = [config.clusterCidr, node?.podCIDRs ?? [], node?.addresses ?? []].some(
    (list) => list.length > 0 && !isOnly(list, 'IPv4') && !isOnly(list, 'IPv6'),
  );
  if (!isDualStack || !isOnly(cidrs, primary)) return [];
  const message = `the node is dual-stack and --nodeport-addresses has only ${primary} ranges: ${other} node ports answer on every address`;
  return [{ severity: 'warning', message }];
}

function clusterCIDRProblems(
  { config, families }: NodeCheckOptions,
  primary: Family,
): readonly NodeProblem[] {
  if (!isOnly(config.clusterCidr, otherThan(primary))) return [];
  const problem = isOnlyOf('--cluster-cidr', primary);
  const isFatal = config.detectLocalMode === 'ClusterCIDR' && families.length === 1;
  return [isFatal ? { ...problem, severity: 'fatal', code: 'WEIR_BAD_FLAG' } : problem];
}

function podCIDRProblems({ config, node }: NodeCheckOptions, primary: Family): readonly NodeProblem[] {
  if (!isOnly(node?.podCIDRs ?? [], otherThan(primary))) return [];
  const problem = isOnlyOf("the Node's spec.podCIDRs", primary);
  if (config.detectLocalMode !== 'NodeCIDR') return [problem];
  const message = `${problem.message}; --detect-local-mode=NodeCIDR can not tell pods by it`;
  return [{ severity: 'fatal', code: 'WEIR_BAD_FLAG', message }];
}

function serverProblems(config: NodeCheckConfig, primary: Family): readonly NodeProblem[] {
  const servers = {
    '--healthz-bind-address': config.healthzBindAddress,
    '--metrics-bind-address': config.metricsBindAddress,
  };
  return Object.entries(servers).flatMap(([flag, socket]): readonly NodeProblem[] => {
    const address = socket.replace(/:\d+$/, '').replaceAll(/[[\]]/g, '');
    if (unspecified.has(address) || familyOf(address) !== otherThan(primary)) return [];
    return [{ severity: 'warning', message: `the node has ${primary} only, but ${flag} is ${socket}` }];
  });
}

function isOnlyOf(what: string, primary: Family): NodeProblem {
  const message = `the primary IP family of this node is ${primary}, but ${what} has only ${otherThan(primary)} ranges`;
  return { severity: 'warning', message };
}

/** Not of an empty list. */
function isOnly(list: readonly string[], family: Family): boolean {
  return list.length > 0 && list.every((text) => familyOf(text) === family);
}

function otherThan(family: Family): Family {
  return family === 'IPv4' ? 'IPv6' : 'IPv4';
}
