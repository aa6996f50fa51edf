import { printRule, type Rule, type RuleState } from '../../kernel/index.ts';
import { stages } from './service-fragment.ts';
import { serviceJumps } from './service-jumps.ts';
import { chains } from './service-names.ts';

/** kube-proxy's rule, kept to the letter because kubelet keeps the same one (CVE-2020-8558). */
const martianGuard: Rule = {
  matches: [
    { kind: 'source', cidr: '127.0.0.0/8', negated: true },
    { kind: 'destination', cidr: '127.0.0.0/8' },
    { kind: 'comment', text: 'block incoming localnet connections' },
    { kind: 'conntrack-state', states: ['RELATED', 'ESTABLISHED', 'DNAT'], negated: true },
  ],
  target: { kind: 'drop' },
};

/** Keeps neighbours from the node's own loopback addresses once the node routes them. */
export const localhostGuard = {
  table: 'filter',
  name: chains.firewall,
  rules: printRule(martianGuard),
} as const;

/** The guard alone, before any Service is known. For a RuleState of its own; the first sync takes it over. */
export function writeLocalhostGuard(state: RuleState): void {
  state.setChain(localhostGuard.table, localhostGuard.name, localhostGuard.rules, stages.static);
  state.setJumps(serviceJumps(true).filter((jump) => jump.target === localhostGuard.name));
}
