import { Counter, type Registry } from 'prom-client';

/** What the static rules of Services count: kube-proxy's metrics, by its names. */
export interface PacketTotals {
  /** Of no connection that the kernel knows; forwarded, they would tear down those that it does. */
  readonly invalidDropped: number;
  /** First packets that reached an endpoint through a node port of localhost. */
  readonly localhostAccepted: number;
}

export interface PacketMetrics {
  /** All so far. */
  setPackets(totals: PacketTotals): void;
}

export function createPacketMetrics(registry: Registry): PacketMetrics {
  const registers = [registry];
  const invalid = new Counter({
    name: 'kubeproxy_iptables_ct_state_invalid_dropped_packets_total',
    help: 'Forwarded packets dropped because they belong to no connection that the kernel knows.',
    registers,
  });
  const localhost = new Counter({
    name: 'kubeproxy_iptables_localhost_nodeports_accepted_packets_total',
    help: 'Connections to node ports of localhost that reached an endpoint.',
    registers,
  });
  return {
    setPackets: ({ invalidDropped, localhostAccepted }) => {
      invalid.reset();
      invalid.inc(invalidDropped);
      localhost.reset();
      localhost.inc(localhostAccepted);
    },
  };
}
