import { type ChainName, type Jump, type Match, printRule, type TableName } from '../../kernel/index.ts';
import { chains } from './service-names.ts';

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
  const matches: Match[] = [];
  if (onlyNew) matches.push({ kind: 'conntrack-state', states: ['NEW'] });
  if (comment !== undefined) matches.push({ kind: 'comment', text: comment });
  return {
    table,
    builtin,
    rule: printRule({ matches, target: { kind: 'jump', chain } }),
    target: chain,
    position: 'reachable',
  };
}
