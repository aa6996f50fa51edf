import type { PolicyType, Protocol } from '../../api/index.ts';
import {
  type ChainName,
  chainName,
  nameHash,
  type SetName,
  type SetSpec,
  setName,
  type TableName,
} from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';

/** Stages of the filter chains: each refers only to chains of lower stages. */
export const stages = { profile: 20, group: 150, dispatch: 160, forward: 170 } as const;

export const forwardChain = chainName('WEIR-FORWARD');

/** Chains that isolated pods' packets go through, by direction. */
export const dispatchChains = {
  Ingress: chainName('WEIR-INGRESS'),
  Egress: chainName('WEIR-EGRESS'),
} as const satisfies Record<PolicyType, ChainName>;

/** Of Weir, and of no policy: it shows whether anybody has changed the table. */
const canaryChain = 'WEIR-CANARY';

/** Whether a chain is one that policies are written into, and may be deleted when no policy needs it. */
export function isPolicyChain(table: TableName, name: string): boolean {
  return table === 'filter' && name.startsWith('WEIR-') && name !== canaryChain;
}

/** What one profile or one group of profiles is made of: a chain, and the set of the pods whose packets enter it. */
export interface ChainAndSet {
  readonly chain: ChainName;
  readonly set: SetSpec;
}

/** Far above any cluster; the memory follows the members, not the limit. */
const maxElements = 1_048_576;
/** 75 bits; one more character would not fit into a chain's name. */
const hashLength = 15;

function addressSet(family: Family, name: string): SetSpec {
  return { name: familySet(family, name), type: 'hash:ip', family, maxElements };
}

/** All local pods that some policy isolates in the direction. */
export function isolatedPodsSet(family: Family, direction: PolicyType): SetSpec {
  return addressSet(family, direction.toUpperCase());
}

/** All local pods, isolated or not: being known lets an address of the node's ranges talk. */
export function knownPodsSet(family: Family): SetSpec {
  return addressSet(family, 'KNOWN');
}

/** Addresses that nobody knows a pod for, one by one: being in it keeps an address from talking. */
export function closedAddressesSet(family: Family): SetSpec {
  return addressSet(family, 'CLOSED');
}

/** `key` says which policies make the profile; what they say may change without another name. */
export function profileNames(family: Family, direction: PolicyType, key: string): ChainAndSet {
  const name = `${direction.toUpperCase()}-${nameHash(`profile ${key}`).slice(0, hashLength)}`;
  return { chain: chainName(`WEIR-${name}`), set: addressSet(family, name) };
}

/** The number of groups is part of the name, so that another division is built beside the one that packets still use. */
export function groupNames(
  family: Family,
  direction: PolicyType,
  groups: number,
  index: number,
): ChainAndSet {
  const name = `${direction.toUpperCase()}-${groups}-${index}`;
  return { chain: chainName(`WEIR-${name}`), set: addressSet(family, name) };
}

/** Whether a set is one of those that hold addresses of pods because of who they are, and not because a rule names them. */
export function isAddressSet(family: Family, set: SetName): boolean {
  const isolated = /^(?:INGRESS|EGRESS)(?:-|$)/;
  const start = familySet(family, '');
  return set.startsWith(start) && (set === `${start}KNOWN` || isolated.test(set.slice(start.length)));
}

const contentSets = {
  PODS: 'hash:ip',
  NETS: 'hash:net',
  PORTS: 'hash:ip,port',
} as const satisfies Record<string, SetSpec['type']>;

/** A set that is named after what it holds; equal keys are one set, whichever policies ask for it. */
export function contentSet(family: Family, kind: keyof typeof contentSets, key: string): SetSpec {
  const type = contentSets[kind];
  return { name: familySet(family, `${kind}-${nameHash(`${type} ${key}`)}`), type, family, maxElements };
}

/** As iptables writes it. */
export function ruleProtocol(protocol: Protocol): 'tcp' | 'udp' | 'sctp' {
  switch (protocol) {
    case 'TCP':
      return 'tcp';
    case 'UDP':
      return 'udp';
    case 'SCTP':
      return 'sctp';
  }
}

function familySet(family: Family, name: string): SetName {
  return setName(`WEIR-${family === 'IPv4' ? 4 : 6}-${name}`);
}
