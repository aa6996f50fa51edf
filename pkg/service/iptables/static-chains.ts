import {
  type ChainName,
  type Match,
  printRule,
  type Rule,
  type TableName,
  type Target,
} from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import type { LocalDetector, NodePortAddresses } from '../decide/index.ts';
import { ifNotLocal } from './local-detector-match.ts';
import { localhostGuard } from './localhost-guard.ts';
import { chains, type ServiceSets } from './service-names.ts';

/** What the rules that do not depend on any Service depend on. */
export interface StaticRulesOptions {
  readonly family: Family;
  readonly sets: ServiceSets;
  readonly detector: LocalDetector | undefined;
  readonly masqueradeAll: boolean;
  /** The one bit of the packet mark that means "masquerade", as a number. */
  readonly masqueradeMark: number;
  /** Leave INVALID packets alone, because the kernel is told to be liberal about windows. */
  readonly tcpBeLiberal: boolean;
  readonly nodePorts: NodePortAddresses;
  readonly localhostNodePorts: boolean;
}

export interface StaticChain {
  readonly table: TableName;
  readonly name: ChainName;
  readonly rules: string;
}

const anyTraffic: readonly Match[] = [];

function lines(...rules: readonly (Rule | undefined)[]): string {
  return rules.flatMap((rule) => (rule === undefined ? [] : [printRule(rule)])).join('\n');
}

function inSet(set: { readonly name: Extract<Match, { kind: 'set' }>['set'] }, flags = 'dst,dst'): Match {
  return { kind: 'set', set: set.name, flags };
}

const comment = (text: string): Match => ({ kind: 'comment', text });

/** All chains of fixed content, without the two that start the dispatch in nat. */
export function staticChains(options: StaticRulesOptions): readonly StaticChain[] {
  const { sets } = options;
  return [
    { table: 'nat', name: chains.markMasq, rules: lines(markRule(options)) },
    { table: 'nat', name: chains.postrouting, rules: postrouting(options) },
    { table: 'filter', name: chains.forward, rules: forward(options) },
    {
      table: 'filter',
      name: chains.services,
      rules: [
        refusals(options, [], sets.rejectInternal, sets.dropInternal),
        ...(options.localhostNodePorts ? [printRule(localhostAccepted)] : []),
      ].join('\n'),
    },
    {
      table: 'filter',
      name: chains.externalServices,
      rules: [
        refusals(options, [], sets.rejectExternal, sets.dropExternal),
        refusals(options, [localDestination], sets.rejectNodePorts, sets.dropNodePorts),
      ].join('\n'),
    },
    {
      table: 'filter',
      name: chains.proxyFirewall,
      rules: lines({ matches: [inSet(sets.firewalled)], target: { kind: 'drop' } }),
    },
    {
      table: 'filter',
      name: chains.nodePorts,
      rules: lines({
        matches: [{ kind: 'protocol', protocol: 'tcp' }, inSet(sets.healthCheckPorts)],
        target: { kind: 'accept' },
      }),
    },
    ...(options.localhostNodePorts ? [localhostGuard] : []),
  ];
}

/**
 * First rule of the dispatch: what comes to a cluster IP from outside the cluster must come back through this node. `undefined`
 * when the node cannot tell.
 */
export function offClusterMasquerade(options: StaticRulesOptions): string | undefined {
  if (!options.masqueradeAll && options.detector === undefined) return undefined;
  const from =
    options.masqueradeAll || options.detector === undefined ? anyTraffic : [ifNotLocal(options.detector)];
  return lines({
    matches: [...from, inSet(options.sets.clusterIPs)],
    target: { kind: 'jump', chain: chains.markMasq },
  });
}

/** Last rules of the dispatch: whatever else comes to the node's own addresses may be for a node port. */
export function nodePortEntry({ nodePorts, family }: StaticRulesOptions): string {
  const note = comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain');
  const target: Target = { kind: 'jump', chain: chains.nodePorts };
  if (nodePorts.kind === 'all') {
    const loopback = family === 'IPv4' ? '127.0.0.0/8' : '::1/128';
    const except: Match[] = nodePorts.exceptLoopback
      ? [{ kind: 'destination', cidr: loopback, negated: true }]
      : [];
    return lines({ matches: [...except, note, localDestination], target });
  }
  const length = family === 'IPv4' ? 32 : 128;
  return lines(
    ...nodePorts.addresses.map(
      (address): Rule => ({ matches: [{ kind: 'destination', cidr: `${address}/${length}` }, note], target }),
    ),
  );
}

const localDestination: Match = { kind: 'address-type', side: 'dst', type: 'LOCAL' };

function markRule({ masqueradeMark }: StaticRulesOptions): Rule {
  return { matches: anyTraffic, target: { kind: 'mark', value: masqueradeMark, mask: masqueradeMark } };
}

/** Packets of a pod that a Service sent back to that same pod. */
function hairpinMatches(sets: ServiceSets): readonly Match[] {
  return [{ kind: 'conntrack-state', states: ['DNAT'] }, inSet(sets.hairpin, 'src,dst,dst')];
}

/**
 * The mark is taken off before masquerading, because it survives encapsulation and the outer packet must not be masqueraded a
 * second time (kubernetes/kubernetes#92035).
 */
function postrouting({ masqueradeMark: mark, sets }: StaticRulesOptions): string {
  const masquerade: Target = { kind: 'masquerade', randomFully: true };
  return lines(
    { matches: hairpinMatches(sets), target: masquerade },
    { matches: [{ kind: 'mark', value: mark, mask: mark, negated: true }], target: { kind: 'return' } },
    { matches: anyTraffic, target: { kind: 'mark', value: mark, mask: 0 } },
    { matches: [comment('kubernetes service traffic requiring SNAT')], target: masquerade },
  );
}

const invalidDrop: Rule = {
  matches: [{ kind: 'conntrack-state', states: ['INVALID'] }],
  target: { kind: 'drop' },
};

/**
 * Only counts: a new connection that left loopback for a Service's endpoint was meant for a node port of localhost, which
 * nothing but this iptables mode offers.
 */
const localhostAccepted: Rule = {
  matches: [
    { kind: 'source', cidr: '127.0.0.0/8' },
    { kind: 'conntrack-state', states: ['DNAT'] },
  ],
  target: { kind: 'return' },
};

/** Rules of the filter table whose packets are metrics of kube-proxy, which has them counted by nfacct. */
export const countedRules = {
  invalidDropped: { chain: chains.forward, rule: printRule(invalidDrop) },
  localhostAccepted: { chain: chains.services, rule: printRule(localhostAccepted) },
} as const;

/**
 * INVALID packets escape address translation and would reach clients with the pod's address, which then reset the
 * connection (kubernetes/kubernetes#74839).
 */
function forward({ masqueradeMark: mark, sets, tcpBeLiberal }: StaticRulesOptions): string {
  return lines(
    tcpBeLiberal ? undefined : invalidDrop,
    {
      matches: [comment('kubernetes forwarding rules'), { kind: 'mark', value: mark, mask: mark }],
      target: { kind: 'accept' },
    },
    { matches: hairpinMatches(sets), target: { kind: 'accept' } },
    {
      matches: [
        comment('kubernetes forwarding conntrack rule'),
        { kind: 'conntrack-state', states: ['RELATED', 'ESTABLISHED'] },
      ],
      target: { kind: 'accept' },
    },
  );
}

function refusals(
  { family }: StaticRulesOptions,
  where: readonly Match[],
  reject: ServiceSets['rejectInternal'],
  drop: ServiceSets['dropInternal'],
): string {
  const how = family === 'IPv4' ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
  return lines(
    { matches: [...where, inSet(reject)], target: { kind: 'reject', with: how } },
    { matches: [...where, inSet(drop)], target: { kind: 'drop' } },
  );
}
