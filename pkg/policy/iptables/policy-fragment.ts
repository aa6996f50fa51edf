import type { NetworkPolicy, PolicyType } from '../../api/index.ts';
import { type Match, printRule, type SetSpec } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import { type Clause, type ClausePorts, clausesOf } from '../decide/index.ts';
import { namedPortSource, type PeerSource, peerSource } from './peer-source.ts';
import { ruleProtocol } from './policy-names.ts';

/** What the rules of one policy allow in one direction. */
export interface PolicyFragment {
  /** Rule bodies that let a packet go on. */
  readonly rules: readonly string[];
  /** The sets that they look into, each once. */
  readonly sets: readonly PeerSource[];
}

export function policyFragment(family: Family, policy: NetworkPolicy, direction: PolicyType): PolicyFragment {
  const rules = new Set<string>();
  const sets = new Map<string, PeerSource>();
  for (const rule of direction === 'Ingress' ? policy.ingress : policy.egress) {
    for (const clause of clausesOf(policy, direction, rule)) {
      const peers = clause.peers && peerSource(family, clause.peers);
      // Blocks of the other family hold none of this one.
      if (clause.peers !== undefined && peers === undefined) continue;
      const ports = clause.ports.kind === 'named' ? namedPortSource(family, clause.ports.set) : undefined;
      for (const source of [peers, ports]) if (source !== undefined) sets.set(source.spec.name, source);
      const peerMatches =
        peers === undefined ? [] : [inSet(peers.spec, direction === 'Ingress' ? 'src' : 'dst')];
      for (const portMatches of portAlternatives(clause, ports?.spec))
        rules.add(printRule({ matches: [...portMatches, ...peerMatches], target: { kind: 'return' } }));
    }
  }
  return { rules: [...rules], sets: [...sets.values()] };
}

function inSet({ name }: SetSpec, flags: string): Match {
  return { kind: 'set', set: name, flags };
}

/** A rule for each: rules are joined by "or", their matches by "and". */
function portAlternatives({ ports }: Clause, pairs: SetSpec | undefined): readonly (readonly Match[])[] {
  const protocol = protocolMatch(ports);
  switch (ports.kind) {
    case 'every':
    case 'protocol':
      return [protocol];
    case 'ranges':
      return ports.ranges.map((range) => [
        { kind: 'destination-port', protocol: ruleProtocol(ports.protocol), ports: range },
      ]);
    case 'named':
      return pairs === undefined ? [] : [[...protocol, inSet(pairs, 'dst,dst')]];
  }
}

function protocolMatch(ports: ClausePorts): readonly Match[] {
  if (ports.kind === 'every') return [];
  const protocol = ruleProtocol(ports.kind === 'named' ? ports.set.protocol : ports.protocol);
  return [{ kind: 'protocol', protocol }];
}
