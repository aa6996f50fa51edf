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

export interface PolicyMetrics {
  /** This node has rules of the family: its counters begin with a zero. */
  startFamily(family: Family): void;
  /** From the arrival of an event about a policy, a pod or a namespace to the rules. */
  enforced(family: Family, seconds: number): void;
  /** How long the packets of a new pod on this node were dropped because nobody knew it yet. */
  closedStart(family: Family, seconds: number): void;
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
    },
    enforced: (family, seconds) => enforcement.observe({ ip_family: family }, seconds),
    closedStart: (family, seconds) => closedStart.observe({ ip_family: family }, seconds),
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
