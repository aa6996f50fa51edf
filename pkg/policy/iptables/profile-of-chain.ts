import type { PolicyType } from '../../api/index.ts';

/** A profile as people see it: the end of its chain's name, so that `iptables -S WEIR-INGRESS-<profile>` shows its rules. */
export interface ProfileName {
  readonly direction: PolicyType;
  readonly profile: string;
}

/** Which profile a chain is of; `undefined` for every other chain. Equal in both families. */
export function profileOfChain(chain: string): ProfileName | undefined {
  const [, direction, profile] = /^WEIR-(INGRESS|EGRESS)-([A-Z2-7]{15})$/.exec(chain) ?? [];
  if (profile === undefined) return undefined;
  return { direction: direction === 'INGRESS' ? 'Ingress' : 'Egress', profile };
}
