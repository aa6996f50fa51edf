import type { PortRange } from '../net/index.ts';
import type { ChainName, SetName } from './names.ts';

export type RuleProtocol = 'tcp' | 'udp' | 'sctp' | 'icmp' | 'ipv6-icmp';

/** One condition of a rule; they are tried in the order in which they stand. */
export type Match =
  | { readonly kind: 'source' | 'destination'; readonly cidr: string; readonly negated?: boolean }
  | { readonly kind: 'in-interface' | 'out-interface'; readonly name: string; readonly negated?: boolean }
  | { readonly kind: 'protocol'; readonly protocol: RuleProtocol; readonly negated?: boolean }
  | {
      readonly kind: 'source-port' | 'destination-port';
      readonly protocol: 'tcp' | 'udp' | 'sctp';
      readonly ports: PortRange;
      readonly negated?: boolean;
    }
  | { readonly kind: 'tcp-flags'; readonly mask: string; readonly set: string; readonly negated?: boolean }
  | { readonly kind: 'icmp-type'; readonly type: number; readonly code?: number }
  | { readonly kind: 'comment'; readonly text: string }
  | {
      readonly kind: 'conntrack-state';
      readonly states: readonly ConntrackState[];
      readonly negated?: boolean;
    }
  | { readonly kind: 'mark'; readonly value: number; readonly mask: number; readonly negated?: boolean }
  | {
      readonly kind: 'address-type';
      readonly side: 'src' | 'dst';
      readonly type: 'LOCAL';
      readonly negated?: boolean;
    }
  | { readonly kind: 'set'; readonly set: SetName; readonly flags: string; readonly negated?: boolean }
  /** `probability` in units of 2^-31, as the kernel keeps it. */
  | { readonly kind: 'statistic'; readonly probability: number }
  | { readonly kind: 'recent'; readonly operation: 'set'; readonly list: string }
  | {
      readonly kind: 'recent';
      readonly operation: 'rcheck' | 'update';
      readonly list: string;
      readonly seconds: number;
      readonly reap: boolean;
    }
  /** Something Weir never writes; only a parser makes it. */
  | { readonly kind: 'unknown'; readonly text: string };

export type ConntrackState = 'INVALID' | 'NEW' | 'RELATED' | 'ESTABLISHED' | 'UNTRACKED' | 'DNAT' | 'SNAT';

export type Target =
  | { readonly kind: 'accept' | 'drop' | 'return' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: ChainName }
  | { readonly kind: 'reject'; readonly with: string }
  | { readonly kind: 'dnat'; readonly to: string }
  | { readonly kind: 'masquerade'; readonly randomFully: boolean }
  /** As `--set-xmark value/mask`: clears the bits of mask, then xors value. */
  | { readonly kind: 'mark'; readonly value: number; readonly mask: number }
  /** A rule without a target only counts. */
  | { readonly kind: 'none' }
  | { readonly kind: 'unknown'; readonly text: string };

export interface Rule {
  readonly matches: readonly Match[];
  readonly target: Target;
}
