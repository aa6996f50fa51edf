import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Family } from '../net/index.ts';
import { latencyBuckets } from './buckets.ts';

/** One profile: the policies that isolate the same pods in one direction, under the name that its chain carries. */
export interface PolicyProfile {
  readonly direction: 'ingress' | 'egress';
  readonly profile: string;
}

export interface ProfileDrops extends PolicyProfile {
  /** Since this process first saw the profile; never falls. */
  readonly packets: number;
}

export interface ProfileInfo extends PolicyProfile {
  /** `namespace/name`, joined by commas. */
  readonly policies: string;
}

/** Packets from (egress) or to (ingress) addresses that no known pod owns. */
export interface GuardDropTotal {
  readonly family: Family;
  readonly direction: 'ingress' | 'egress';
  /** Since this process began; never falls. */
  readonly packets: number;
}

export interface PolicyMetrics {
  /** This node has rules of the family: its counters begin with a zero. */
  startFamily(family: Family): void;
  /** From the arrival of an event about a policy, a pod or a namespace to the rules. */
  enforced(family: Family, seconds: number): void;
  /** How long this node dropped the packets of a new pod because nobody knew it yet. */
  closedStart(family: Family, seconds: number): void;
  /** All so far. */
  setGuardDrops(drops: readonly GuardDropTotal[]): void;
  /** Whether addresses of pods do not follow this node's pod ranges, so that the ranges can not be closed. */
  setRangeMismatch(family: Family, isMismatch: boolean): void;
  /** All profiles; those not named any more are forgotten. */
  setDrops(drops: readonly ProfileDrops[]): void;
  /** The same. */
  setProfiles(profiles: readonly ProfileInfo[]): void;
}

export function createPolicyMetrics(registry: Registry): PolicyMetrics {
  const registers = [registry];
  const enforcement = new Histogram({
    name: 'weir_policy_enforcement_seconds',
    help: 'From the arrival of an event about a policy, a pod or a namespace to its rules.',
    labelNames: ['ip_family'],
    buckets: [...latencyBuckets],
    registers,
  });
  const closedStart = new Histogram({
    name: 'weir_closed_start_delay_seconds',
    help: 'How long the packets of a new pod were dropped because its policies were not known yet.',
    labelNames: ['ip_family'],
    buckets: [...latencyBuckets],
    registers,
  });
  const dropped = new Counter({
    name: 'weir_policy_dropped_packets_total',
    help: 'Packets that no policy of the profile allows. Those between the last look and a rewrite of the rules are missed.',
    labelNames: ['direction', 'profile'],
    registers,
  });
  const guardDropped = new Counter({
    name: 'weir_closed_start_dropped_packets_total',
    help: 'Packets from (egress) and to (ingress) addresses that were closed because no known pod owns them.',
    labelNames: ['ip_family', 'direction'],
    registers,
  });
  const mismatch = new Gauge({
    name: 'weir_closed_start_range_mismatch',
    help: "Whether addresses of pods do not follow this node's pod ranges, so that unknown addresses in them are not closed.",
    labelNames: ['ip_family'],
    registers,
  });
  const info = new Gauge({
    name: 'weir_policy_profile_info',
    help: 'Always 1: which policies a profile is made of.',
    labelNames: ['profile', 'direction', 'policies'],
    registers,
  });
  return {
    startFamily: (ip_family) => {
      enforcement.zero({ ip_family });
      closedStart.zero({ ip_family });
      mismatch.set({ ip_family }, 0);
      for (const direction of ['ingress', 'egress']) guardDropped.inc({ ip_family, direction }, 0);
    },
    enforced: (family, seconds) => enforcement.observe({ ip_family: family }, seconds),
    closedStart: (family, seconds) => closedStart.observe({ ip_family: family }, seconds),
    setGuardDrops: (drops) => {
      for (const { family, direction, packets } of drops) {
        const labels = { ip_family: family, direction };
        guardDropped.remove(labels);
        guardDropped.inc(labels, packets);
      }
    },
    setRangeMismatch: (family, isMismatch) => mismatch.set({ ip_family: family }, isMismatch ? 1 : 0),
    setDrops: (drops) => {
      dropped.reset();
      for (const { direction, profile, packets } of drops) dropped.inc({ direction, profile }, packets);
    },
    setProfiles: (profiles) => {
      info.reset();
      for (const { profile, direction, policies } of profiles) info.set({ profile, direction, policies }, 1);
    },
  };
}
