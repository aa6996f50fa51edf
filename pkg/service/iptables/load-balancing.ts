import { type ChainName, type Match, printRule, type Rule } from '../../kernel/index.ts';
import type { RoutedPort, ServiceEndpoint } from '../decide/index.ts';
import { affinityList, groupChain, ruleProtocol } from './service-names.ts';

/** More endpoints than this are chosen in two steps, so that a packet never walks a long list. */
const groupSize = 64;

export interface BalancedChain {
  readonly name: ChainName;
  readonly rules: string;
}

/** The rules that share traffic out over endpoints. */
export interface Balanced {
  /** Rule bodies for the service chain itself. */
  readonly rules: readonly string[];
  /** Chains that those rules jump to. */
  readonly groups: readonly BalancedChain[];
}

/**
 * Shares out over `endpoints` with equal probability; clients with affinity stay where they are.
 *
 * A group's members depend on the endpoint's address alone as long as the number of groups stays, so that an endpoint that
 * comes or goes rewrites its own group and the weights, not all groups.
 */
export function balance(
  kind: 'SVC' | 'SVL',
  port: RoutedPort,
  endpoints: readonly ServiceEndpoint[],
): Balanced {
  const sticky = endpoints.flatMap((endpoint) => affinityRule(port, endpoint));
  if (endpoints.length <= groupSize) return { rules: [...sticky, ...choose(port, endpoints)], groups: [] };
  const count = 2 ** Math.ceil(Math.log2(endpoints.length / groupSize));
  const members: ServiceEndpoint[][] = Array.from({ length: count }, () => []);
  for (const endpoint of endpoints) members[groupOf(endpoint.address, count)]?.push(endpoint);
  const rules: string[] = [...sticky];
  const groups: BalancedChain[] = [];
  let remaining = endpoints.length;
  for (const [index, group] of members.entries()) {
    if (group.length === 0) continue;
    const name = groupChain(kind, port, index);
    groups.push({ name, rules: choose(port, group).join('\n') });
    rules.push(
      printRule({ matches: chance(group.length, remaining), target: { kind: 'jump', chain: name } }),
    );
    remaining -= group.length;
  }
  return { rules, groups };
}

/** FNV-1a, then folded: cheap, and the same in every process. */
function groupOf(address: string, count: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < address.length; index += 1) {
    hash = Math.imul(hash ^ address.charCodeAt(index), 0x01000193);
  }
  return ((hash ^ (hash >>> 15)) >>> 0) % count;
}

function choose(port: RoutedPort, endpoints: readonly ServiceEndpoint[]): string[] {
  return endpoints.map((endpoint, index) => {
    const matches = [...protocolOf(port), ...chance(1, endpoints.length - index)];
    // `recent --set` stands behind `statistic`, so that only the endpoint that is taken remembers the client.
    if (port.affinitySeconds !== undefined) {
      matches.push({ kind: 'recent', operation: 'set', list: affinityList(port, endpoint) });
    }
    return printRule(dnat(matches, endpoint));
  });
}

/**
 * `--update` is `--rcheck` that also renews the entry where it matches: the time-out counts from a client's last
 * connection, as with kube-proxy, which renews in a second rule.
 */
function affinityRule(port: RoutedPort, endpoint: ServiceEndpoint): string[] {
  if (port.affinitySeconds === undefined) return [];
  const recent: Match = {
    kind: 'recent',
    operation: 'update',
    list: affinityList(port, endpoint),
    seconds: port.affinitySeconds,
    reap: true,
  };
  return [printRule(dnat([...protocolOf(port), recent], endpoint))];
}

function protocolOf(port: RoutedPort): Match[] {
  return [{ kind: 'protocol', protocol: ruleProtocol(port.protocol) }];
}

/** `weight` out of `remaining`, in the kernel's units of 2^-31; certain when nothing else remains. */
function chance(weight: number, remaining: number): Match[] {
  if (weight === remaining) return [];
  return [{ kind: 'statistic', probability: Math.round((2 ** 31 * weight) / remaining) }];
}

function dnat(matches: readonly Match[], endpoint: ServiceEndpoint): Rule {
  return { matches, target: { kind: 'dnat', to: endpoint.address } };
}
