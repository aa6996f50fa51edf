import { type ChainName, type Jump, type Match, printRule, type TableName } from '../../kernel/index.ts';
import { chains, ipvsChains } from './service-names.ts';

/**
 * kube-proxy's jumps from the built-in chains, to the letter, so that it recognises them and takes them away should it
 * come back. Top-down as they stand in each chain. Without localhost node ports the chain of their guard is kubelet's alone.
 */
export function serviceJumps(localhostNodePorts: boolean): readonly Jump[] {
  return localhostNodePorts ? allJumps : allJumps.filter((one) => one.target !== chains.firewall);
}

const allJumps: readonly Jump[] = [
  jump('filter', 'INPUT', chains.firewall),
  jump('filter', 'INPUT', chains.proxyFirewall, 'kubernetes load balancer firewall', true),
  jump('filter', 'INPUT', chains.nodePorts, 'kubernetes health check service ports'),
  jump('filter', 'INPUT', chains.externalServices, 'kubernetes externally-visible service portals', true),
  jump('filter', 'FORWARD', chains.proxyFirewall, 'kubernetes load balancer firewall', true),
  jump('filter', 'FORWARD', chains.forward, 'kubernetes forwarding rules'),
  jump('filter', 'FORWARD', chains.services, 'kubernetes service portals', true),
  jump('filter', 'FORWARD', chains.externalServices, 'kubernetes externally-visible service portals', true),
  jump('filter', 'OUTPUT', chains.firewall),
  jump('filter', 'OUTPUT', chains.proxyFirewall, 'kubernetes load balancer firewall', true),
  jump('filter', 'OUTPUT', chains.services, 'kubernetes service portals', true),
  jump('nat', 'PREROUTING', chains.services, 'kubernetes service portals'),
  jump('nat', 'OUTPUT', chains.services, 'kubernetes service portals'),
  jump('nat', 'POSTROUTING', chains.postrouting, 'kubernetes postrouting rules'),
];

function jump(table: TableName, builtin: string, chain: ChainName, comment?: string, onlyNew = false): Jump {
  return { table, builtin, rule: jumpRule(chain, comment, onlyNew), target: chain, position: 'reachable' };
}

function jumpRule(chain: ChainName, comment: string | undefined, onlyNew: boolean): string {
  const matches: Match[] = [];
  if (onlyNew) matches.push({ kind: 'conntrack-state', states: ['NEW'] });
  if (comment !== undefined) matches.push({ kind: 'comment', text: comment });
  return printRule({ matches, target: { kind: 'jump', chain } });
}

/** What kube-proxy's jumps say of their chains, in its iptables and IPVS modes. Earlier versions had some of them without the state, or in other chains. */
const comments: readonly (readonly [chain: ChainName, comment: string])[] = [
  [chains.services, 'kubernetes service portals'],
  [chains.externalServices, 'kubernetes externally-visible service portals'],
  [chains.nodePorts, 'kubernetes health check service ports'],
  [chains.forward, 'kubernetes forwarding rules'],
  [chains.postrouting, 'kubernetes postrouting rules'],
  [chains.proxyFirewall, 'kubernetes load balancer firewall'],
  [chains.proxyFirewall, 'kube-proxy firewall rules'],
  [ipvsChains.nodePort, 'kubernetes health check rules'],
  [ipvsChains.filter, 'kubernetes ipvs access filter'],
  [ipvsChains.outFilter, 'kubernetes ipvs access filter'],
];

const knownRules: ReadonlySet<string> = new Set(
  comments.flatMap(([chain, comment]) => [false, true].map((onlyNew) => jumpRule(chain, comment, onlyNew))),
);

/** Whether a rule (in the spelling of `printRule`) is a jump that Weir, or kube-proxy of any version in a mode with iptables rules, writes into a built-in chain. */
export function isServiceJump(rule: string): boolean {
  return knownRules.has(rule);
}
