import type { Family } from '../../../pkg/net/index.ts';
import type { Range } from '../../support/random-service-world.ts';
import type { PodName } from '../../support/service-world.ts';

/** The Services by their place; nothing is where there is none. */
export type ClusterState = readonly (RandomService | undefined)[];

export interface RandomService {
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'headless' | 'ExternalName';
  /** The first is that of `clusterIP`. */
  readonly families: readonly Family[];
  readonly ports: readonly PortKind[];
  /** It would have the number that it may take over from its neighbour, instead of its place's own. See `numberOf`. */
  readonly spareNumber: boolean;
  /** Another one is another Service of the same name. */
  readonly life: 0 | 1;
  /** Ports that no other Service has. */
  readonly ownPorts: boolean;
  readonly external: 'Cluster' | 'Local';
  readonly internal: 'Cluster' | 'Local';
  readonly ipMode: 'VIP' | 'Proxy';
  readonly loadBalancer: 'own' | 'shared' | 'none';
  readonly loadBalancerNodePorts: boolean;
  readonly externalIPs: readonly ('own' | 'shared' | 'node')[];
  readonly ranges: readonly Range[];
  readonly affinity: boolean;
  readonly otherProxy: boolean;
  readonly endpoints: readonly RandomEndpoint[];
  /** Every second endpoint is in a slice of its own, where the named ports have other numbers. */
  readonly split: boolean;
}

export const portKinds = ['web', 'admin', 'dns', 'assoc'] as const;
export type PortKind = (typeof portKinds)[number];

export interface RandomEndpoint {
  readonly pod: PodName;
  readonly state: 'ready' | 'unsaid' | 'starting' | 'ending' | 'ended';
  /** The pod had its address from another that is on its way out and still listed. */
  readonly succeeds: boolean;
  readonly nodeNamed: boolean;
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

export const places = 6;
const placesOfOneSpare = 2;
/** All that `numberOf` tells. */
export const numbers = Array.from({ length: places + places / placesOfOneSpare }, (_, number) => number);

/**
 * From this number follow the addresses, node ports and so on that only one Service can have at a time. A place has its own, and
 * one in common with its neighbour, so that these may be gone, come back, or go from one Service to the next.
 */
export function numberOf(state: ClusterState, place: number): number {
  const isSecond = place % placesOfOneSpare === 1;
  const isTaken = isSecond && state[place - 1]?.spareNumber === true;
  if (state[place]?.spareNumber !== true || isTaken) return place;
  return places + Math.floor(place / placesOfOneSpare);
}
