import type { Protocol } from '../../api/index.ts';
import { type ChainName, type Match, printRule, type SetName } from '../../kernel/index.ts';
import { cidrCovers, type Family, parseCidr } from '../../net/index.ts';
import type { LocalDetector, RoutedPort, ServicePortDecision } from '../decide/index.ts';
import { balance } from './load-balancing.ts';
import { ifLocal } from './local-detector-match.ts';
import {
  chains,
  ruleProtocol,
  type ServiceChains,
  type ServiceSets,
  serviceChains,
} from './service-names.ts';

/** Stages of the nat chains: each refers only to chains of lower stages. */
export const stages = {
  static: 0,
  group: 10,
  balance: 20,
  external: 30,
  firewall: 40,
  tree: 150,
  entry: 200,
} as const;

export interface FragmentChain {
  readonly name: ChainName;
  readonly rules: string;
  readonly stage: number;
}

/** An address and port that leads into a chain. */
export interface Frontend {
  readonly ip: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly target: ChainName;
  /** Whether the address is the Service's own and not one that it was merely given. */
  readonly isClusterIP: boolean;
}

/** Everything that the rules hold because of one service port. */
export interface ServiceFragment {
  readonly chains: readonly FragmentChain[];
  readonly frontends: readonly Frontend[];
  /** Chain for the node port, where there is one. */
  readonly nodePortTarget: ChainName | undefined;
  readonly members: readonly (readonly [SetName, string])[];
}

/** What a fragment depends on besides the Service. */
export interface FragmentContext {
  readonly family: Family;
  readonly sets: ServiceSets;
  readonly detector: LocalDetector | undefined;
  /** The node's own address of the family, if known. */
  readonly nodeIP: string | undefined;
}

/** Renders one service port: kube-proxy's rules (3.5 of its inventory) with DNAT in the service chain and sets for the exceptions. */
export function serviceFragment(decision: ServicePortDecision, context: FragmentContext): ServiceFragment {
  const { port, endpoints } = decision;
  const names = serviceChains(port);
  const isExternal = port.externallyAccessible && endpoints.hasEndpoints;
  const isFirewalled = isExternal && port.loadBalancerIPs.length > 0 && port.sourceRanges.length > 0;
  const loadBalancerTarget = isFirewalled ? names.firewall : names.external;
  const frontend = (target: ChainName) => (ip: string) => ({
    ip,
    protocol: port.protocol,
    port: port.port,
    target,
    isClusterIP: ip === port.clusterIP,
  });
  return {
    chains: [
      ...balancingChains('SVC', names.cluster, port, endpoints.cluster),
      ...balancingChains('SVL', names.local, port, endpoints.local),
      ...(isExternal ? [externalChain(decision, names, context.detector)] : []),
      ...(isFirewalled ? [firewallChain(names, context.sets)] : []),
    ],
    frontends: firstOfEachAddress([
      ...(decision.internalRefusal === undefined
        ? [frontend(port.internalPolicyLocal ? names.local : names.cluster)(port.clusterIP)]
        : []),
      ...(isExternal ? port.externalIPs.map(frontend(names.external)) : []),
      ...(isExternal ? port.loadBalancerIPs.map(frontend(loadBalancerTarget)) : []),
    ]),
    nodePortTarget: isExternal && port.nodePort !== 0 ? names.external : undefined,
    members: [...setMembers(decision, context, isFirewalled)],
  };
}

/** An external IP that is also a load-balancer address is not behind its firewall (kube-proxy's order of rules). */
function firstOfEachAddress(frontends: readonly Frontend[]): readonly Frontend[] {
  return frontends.filter((one, index) => frontends.findIndex((other) => other.ip === one.ip) === index);
}

function balancingChains(
  kind: 'SVC' | 'SVL',
  name: ChainName,
  port: RoutedPort,
  endpoints: Parameters<typeof balance>[2],
): FragmentChain[] {
  if (endpoints.length === 0) return [];
  const balanced = balance(kind, port, endpoints);
  return [
    ...balanced.groups.map((group) => ({ ...group, stage: stages.group })),
    { name, rules: balanced.rules.join('\n'), stage: stages.balance },
  ];
}

/**
 * Traffic from outside. With policy Local it keeps its source address and goes to local endpoints only, except that pods
 * and the node itself, whose source need not be preserved, may use all; the node's own is masqueraded before it is routed,
 * because it may come from 127.0.0.1 (kubernetes/kubernetes#57922).
 */
function externalChain(
  { port, endpoints }: ServicePortDecision,
  names: ServiceChains,
  detector: LocalDetector | undefined,
): FragmentChain {
  const rules: string[] = [];
  const jump = (matches: readonly Match[], chain: ChainName): void => {
    rules.push(printRule({ matches, target: { kind: 'jump', chain } }));
  };
  if (port.externalPolicyLocal) {
    const fromNode: Match[] = [{ kind: 'address-type', side: 'src', type: 'LOCAL' }];
    if (endpoints.cluster.length > 0) {
      if (detector !== undefined) jump([ifLocal(detector)], names.cluster);
      jump(fromNode, chains.markMasq);
      jump(fromNode, names.cluster);
    }
    if (endpoints.local.length > 0) jump([], names.local);
  } else {
    jump([], chains.markMasq);
    jump([], names.cluster);
  }
  return { name: names.external, rules: rules.join('\n'), stage: stages.external };
}

/** Lets the allowed sources through; the filter table drops the others (set `firewalled`). */
function firewallChain(names: ServiceChains, sets: ServiceSets): FragmentChain {
  const rule = printRule({
    matches: [{ kind: 'set', set: sets.sourceRanges.name, flags: 'dst,dst,src' }],
    target: { kind: 'jump', chain: names.external },
  });
  return { name: names.firewall, rules: rule, stage: stages.firewall };
}

function* setMembers(
  { port, endpoints, internalRefusal, externalRefusal }: ServicePortDecision,
  { sets, family, nodeIP }: FragmentContext,
  isFirewalled: boolean,
): Generator<readonly [SetName, string]> {
  const protocol = ruleProtocol(port.protocol);
  const clusterIP = `${port.clusterIP},${protocol}:${port.port}`;
  if (internalRefusal === undefined) yield [sets.clusterIPs.name, clusterIP];
  else yield [(internalRefusal === 'reject' ? sets.rejectInternal : sets.dropInternal).name, clusterIP];
  if (externalRefusal !== undefined) {
    const set = externalRefusal === 'reject' ? sets.rejectExternal : sets.dropExternal;
    for (const ip of [...port.externalIPs, ...port.loadBalancerIPs])
      yield [set.name, `${ip},${protocol}:${port.port}`];
    const nodePorts = externalRefusal === 'reject' ? sets.rejectNodePorts : sets.dropNodePorts;
    if (port.nodePort !== 0) yield* onEveryAddress(nodePorts.name, family, `${protocol}:${port.nodePort}`);
  }
  if (isFirewalled) {
    for (const ip of port.loadBalancerIPs) {
      const address = `${ip},${protocol}:${port.port}`;
      yield [sets.firewalled.name, address];
      for (const range of port.sourceRanges) yield [sets.sourceRanges.name, `${address},${hostless(range)}`];
      // The node's own traffic to an address that is bound on it has that address as its source.
      if (nodeIP !== undefined && isWithin(nodeIP, port.sourceRanges))
        yield [sets.sourceRanges.name, `${address},${ip}`];
    }
  }
  for (const { ip, port: number } of endpoints.reachable)
    yield [sets.hairpin.name, `${ip},${protocol}:${number},${ip}`];
  if (port.healthCheckNodePort !== 0) {
    yield* onEveryAddress(sets.healthCheckPorts.name, family, `tcp:${port.healthCheckNodePort}`);
  }
}

/** A port on whatever address: the kernel has no set of protocol and port alone, and refuses a /0, so two halves. */
function* onEveryAddress(set: SetName, family: Family, port: string): Generator<readonly [SetName, string]> {
  const halves = family === 'IPv4' ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1'];
  for (const half of halves) yield [set, `${half},${port}`];
}

/** ipset prints a network of one address without its length. */
function hostless(cidr: string): string {
  return cidr.includes(':') ? cidr.replace(/\/128$/, '') : cidr.replace(/\/32$/, '');
}

function isWithin(ip: string, ranges: readonly string[]): boolean {
  const address = parseCidr(`${ip}/${ip.includes(':') ? 128 : 32}`);
  return ranges.some((range) => {
    const cidr = parseCidr(range);
    return cidr !== undefined && address !== undefined && cidrCovers(cidr, address);
  });
}
