import type { PolicyPort, Protocol } from '../../api/index.ts';
import { mergePortRanges, type PortRange } from '../../net/index.ts';

/** The ports of one rule for one protocol, joined: sorted, each port once. */
export interface ProtocolPorts {
  readonly protocol: Protocol;
  /** `undefined`: every port of the protocol, and then there are no names. */
  readonly ranges: readonly PortRange[] | undefined;
  /** Names of ports of the destination pod. */
  readonly names: readonly string[];
}

const protocols = ['TCP', 'UDP', 'SCTP'] as const satisfies readonly Protocol[];

/** Joins the ports of a rule by protocol. Protocols that the rule does not name are left out: it does not allow them. */
export function joinPorts(ports: readonly PolicyPort[]): readonly ProtocolPorts[] {
  return protocols.flatMap((protocol) => {
    const own = ports.filter((port) => port.protocol === protocol);
    return own.length > 0 ? [joinOfProtocol(protocol, own)] : [];
  });
}

function joinOfProtocol(protocol: Protocol, ports: readonly PolicyPort[]): ProtocolPorts {
  if (ports.some(({ kind }) => kind === 'any')) return { protocol, ranges: undefined, names: [] };
  const names = ports.filter((port) => port.kind === 'named').map(({ name }) => name);
  const ranges = ports.filter((port) => port.kind === 'range').map(({ first, last }) => ({ first, last }));
  return { protocol, ranges: mergePortRanges(ranges), names: [...new Set(names)].toSorted() };
}
