import type { Family } from '../net/index.ts';
import type { TableName } from './names.ts';
import type { KernelSnapshot } from './snapshot.ts';

export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';

/** What conntrack knows of the packet's connection. Only the first packet of a NEW one meets the nat table. */
type PacketConnection =
  | { readonly state: 'NEW' | 'INVALID' | 'UNTRACKED' }
  | {
      /** RELATED: an ICMP error about a known connection. */
      readonly state: 'ESTABLISHED' | 'RELATED';
      /** The connection's first packet was DNATed; `to` is where this packet goes, where that is not its destination yet. */
      readonly dnat?: { readonly to?: { readonly address: string; readonly port: number } };
      /** The connection's source is translated (MASQUERADE or SNAT). */
      readonly snat?: boolean;
    };

/** A packet as it reaches the node, or as a process of the node sends it. What is not said counts as not known. */
export interface Packet {
  /** `local`: sent by a process of the node itself. */
  readonly from: 'outside' | 'local';
  /** The interface it comes in by; never for `local`. */
  readonly inInterface?: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp' | 'ipv6-icmp';
  readonly source: string;
  readonly destination: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly icmp?: { readonly type: number; readonly code: number };
  /** Flags that are set; `SYN` for the first packet of a connection and `ACK` for others unless it is said. */
  readonly tcpFlags?: readonly string[];
  /** NEW unless it is said. */
  readonly connection?: PacketConnection;
  readonly mark?: number;
}

/** The node as a packet of one family finds it. All of it is data; nothing is asked of the machine. */
export interface TracedNode {
  readonly family: Family;
  readonly kernel: KernelSnapshot;
  /** Addresses of the node's interfaces; loopback is local anyway. */
  readonly localAddresses: Iterable<string>;
  /** The interface by which packets to an address that is not local leave; rules with `-o` are undecided without it. */
  readonly outInterface?: (destination: string) => string | undefined;
  /** `-m recent`: list → source address → seconds since it was last seen. Who is not in here was never seen. */
  readonly recent?: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

/** A rule that matched, or one that Weir can't judge. */
export interface TraceStep {
  readonly hook: Hook;
  readonly table: TableName;
  readonly chain: string;
  /** 1 for the first rule, as `iptables -L --line-numbers` counts; 0 for the policy of a built-in chain. */
  readonly index: number;
  /** Rule body. */
  readonly text: string;
  /** Why the tracer can't tell what the rule does; the walk goes on as if it did nothing. */
  readonly undecided?: string;
}

/** One way in which the packet may end. */
export interface Outcome {
  readonly verdict: 'accept' | 'drop' | 'reject';
  /** How a reject is told (`tcp-reset`, `icmp-port-unreachable` …). */
  readonly rejectWith?: string;
  /** Where the packet goes after DNAT. */
  readonly destination: string;
  readonly destinationPort?: number;
  /** Its source is replaced by MASQUERADE or SNAT. */
  readonly masqueraded: boolean;
  readonly mark: number;
  /** Of this outcome among all outcomes; they sum to 1. */
  readonly probability: number;
  /** A rule that might have changed the outcome could not be judged: one of the steps says which and why. */
  readonly undecided: boolean;
  /** Hooks that the packet met, in order. */
  readonly path: readonly Hook[];
  /** Rules that matched, in order: those of the likeliest way to this outcome. */
  readonly steps: readonly TraceStep[];
}
