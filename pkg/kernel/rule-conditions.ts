import { cidrContains, parseCidr } from '../net/index.ts';
import type { Flow, FlowAddress, HookView } from './flow.ts';
import type { SetName } from './names.ts';
import type { Match } from './rule.ts';
import { isSetType } from './set.ts';
import { createSetLookup } from './set-lookup.ts';
import type { SetSnapshot } from './snapshot.ts';

/** Whether a match holds; a number between 0 and 1 where chance decides; undefined where it can't be told. */
export type Condition = (flow: Flow, view: HookView) => boolean | number | undefined;

/** Turns a match into a function of the packet, once, so that walking over it is cheap. `sets` answers `-m set`. */
export function createCondition(match: Match, sets: ReadonlyMap<SetName, SetSnapshot>): Condition {
  const condition = createPositive(match, sets);
  if (!('negated' in match) || !match.negated) return condition;
  return (flow, view) => {
    const result = condition(flow, view);
    return typeof result === 'boolean' ? !result : undefined;
  };
}

function createPositive(match: Match, sets: ReadonlyMap<SetName, SetSnapshot>): Condition {
  switch (match.kind) {
    case 'source':
      return within(match.cidr, (_flow, view) => view.source);
    case 'destination':
      return within(match.cidr, (flow) => flow.destination);
    case 'in-interface':
      return (_flow, view) => matchesInterface(match.name, view.inInterface);
    case 'out-interface':
      return (flow, view) => matchesInterface(match.name, view.outInterface(flow));
    case 'protocol':
      return (_flow, view) => view.packet.protocol === match.protocol;
    case 'source-port':
    case 'destination-port':
      return createPortCondition(match);
    case 'tcp-flags':
      return createFlagsCondition(match);
    case 'icmp-type':
      return createIcmpCondition(match);
    case 'comment':
      return () => true;
    case 'conntrack-state':
      return createStateCondition(match);
    case 'mark':
      return (flow) => (flow.mark & match.mask) >>> 0 === match.value;
    case 'address-type':
      return (flow, view) => view.isLocal(match.side === 'src' ? view.source : flow.destination);
    case 'set':
      return createSetCondition(match, sets);
    case 'statistic':
      return () => match.probability / 2 ** 31;
    case 'recent':
      return createRecentCondition(match);
    case 'unknown':
      return () => undefined;
  }
}

function within(text: string, addressOf: (flow: Flow, view: HookView) => FlowAddress): Condition {
  const cidr = parseCidr(text);
  if (cidr === undefined) return () => undefined;
  return (flow, view) => cidrContains(cidr, addressOf(flow, view).address);
}

/** A `+` at the end stands for the rest of a name. */
function matchesInterface(pattern: string, name: string | undefined): boolean | undefined {
  if (name === undefined) return undefined;
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function createPortCondition(match: Extract<Match, { kind: 'source-port' | 'destination-port' }>): Condition {
  const { first, last } = match.ports;
  return (flow, view) => {
    if (view.packet.protocol !== match.protocol) return false;
    const port = match.kind === 'source-port' ? view.packet.sourcePort : flow.destinationPort;
    return port === undefined ? undefined : first <= port && port <= last;
  };
}

function createFlagsCondition(match: Extract<Match, { kind: 'tcp-flags' }>): Condition {
  const mask = match.mask.split(',');
  const set = match.set === 'NONE' ? [] : match.set.split(',');
  return (_flow, { packet, conntrackState }) => {
    if (packet.protocol !== 'tcp') return false;
    const flags = packet.tcpFlags ?? [conntrackState === 'NEW' ? 'SYN' : 'ACK'];
    return mask.every((flag) => flags.includes(flag) === set.includes(flag));
  };
}

function createIcmpCondition(match: Extract<Match, { kind: 'icmp-type' }>): Condition {
  return (_flow, { packet }) => {
    if (packet.protocol !== 'icmp' && packet.protocol !== 'ipv6-icmp') return false;
    if (packet.icmp === undefined) return undefined;
    return packet.icmp.type === match.type && (match.code === undefined || packet.icmp.code === match.code);
  };
}

function createStateCondition(match: Extract<Match, { kind: 'conntrack-state' }>): Condition {
  const states = new Set(match.states);
  return (flow, view) =>
    states.has(view.conntrackState) ||
    (flow.dnat && states.has('DNAT')) ||
    (isSourceTranslated(flow, view) && states.has('SNAT'));
}

function isSourceTranslated(flow: Flow, { packet: { connection } }: HookView): boolean {
  return flow.masqueraded || (connection !== undefined && 'snat' in connection && connection.snat);
}

function createSetCondition(
  match: Extract<Match, { kind: 'set' }>,
  sets: ReadonlyMap<SetName, SetSnapshot>,
): Condition {
  const set = sets.get(match.set);
  if (set === undefined || !isSetType(set.spec.type)) return () => undefined;
  const lookup = createSetLookup(set, match.flags);
  return (flow, { packet, source }) =>
    lookup({
      protocol: packet.protocol,
      source: { ...source, port: packet.sourcePort },
      destination: { ...flow.destination, port: flow.destinationPort },
    });
}

function createRecentCondition(match: Extract<Match, { kind: 'recent' }>): Condition {
  if (match.operation === 'set') return () => true;
  return (_flow, view) => {
    const age = view.recentAge(match.list);
    return age !== undefined && (match.seconds === 0 || age <= match.seconds);
  };
}
