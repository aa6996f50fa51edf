import * as fc from 'fast-check';
import type { Family } from '../../../pkg/net/index.ts';
import type { Range } from '../../support/random-service-world.ts';
import type { PodName } from '../../support/service-world.ts';
import {
  type ClusterState,
  places,
  portKinds,
  type RandomEndpoint,
  type RandomService,
} from './cluster-state.ts';

/** How both proxies are started, and what happens to the objects that they are told of. */
export interface Round {
  readonly settings: RoundSettings;
  readonly batches: readonly Batch[];
  /** Chooses which of all possible packets are sent. */
  readonly packets: number;
}

export interface RoundSettings {
  readonly detector: 'ClusterCIDR' | 'NodeCIDR' | 'interface' | 'none';
  readonly masqueradeAll: boolean;
  readonly nodePortAddresses: 'all' | 'primary' | 'lan' | 'other family';
  readonly localhostNodePorts: boolean;
}

/** Changes that happen at once, between two looks. */
export interface Batch {
  /** The Services as they are then, by their place; nothing is where there is none. */
  readonly state: ClusterState;
  /** The label of the node that the proxies run on. */
  readonly zone: string | undefined;
  readonly restart: Restart | undefined;
}

/** Both proxies end before the changes and start again. */
export interface Restart {
  readonly how: 'stopped' | 'killed';
  /** Whether the proxies find a cluster that changed in their absence, or the one that they left. */
  readonly changes: 'meanwhile' | 'afterwards';
}

function often<T>(usual: T, weight: number, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ arbitrary: fc.constant(usual), weight }, { arbitrary: other, weight: 1 });
}

const policy = fc.constantFrom('Cluster' as const, 'Local' as const);

const someZones = fc.subarray(['z1', 'z2'], { minLength: 1 });

const endpoint: fc.Arbitrary<RandomEndpoint> = fc.record({
  pod: fc.constantFrom<PodName[]>('a', 'b', 'c', 'd', 'e'),
  state: often<RandomEndpoint['state']>(
    'ready',
    2,
    fc.constantFrom('unsaid', 'starting', 'ending', 'ending', 'ended'),
  ),
  succeeds: often(false, 8, fc.constant(true)),
  nodeNamed: often(true, 9, fc.constant(false)),
  zones: often<readonly string[]>([], 1, someZones),
  nodes: often<readonly string[]>([], 4, fc.subarray(['node-a', 'node-b'])),
});

// Of two endpoints that have one address and port and are not on their way out, kube-proxy takes whichever a map gives it last: there
// is at most one of each pod, beside one that it succeeds.
const ofEachPod = { maxLength: 5, selector: ({ pod }: RandomEndpoint) => pod };
const endpoints = fc.oneof<fc.WeightedArbitrary<readonly RandomEndpoint[]>[]>(
  { arbitrary: fc.uniqueArray(endpoint, ofEachPod), weight: 2 },
  // The node's zone matters only where all have a hint.
  {
    arbitrary: fc.uniqueArray(
      fc.tuple(endpoint, someZones).map(([one, zones]): RandomEndpoint => ({ ...one, zones })),
      ofEachPod,
    ),
    weight: 1,
  },
);

const service: fc.Arbitrary<RandomService> = fc.record({
  type: fc.oneof<fc.WeightedArbitrary<RandomService['type']>[]>(
    { arbitrary: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer', 'LoadBalancer'), weight: 12 },
    { arbitrary: fc.constantFrom('headless', 'ExternalName'), weight: 1 },
  ),
  families: fc.constantFrom<(readonly Family[])[]>(
    ['IPv4', 'IPv6'],
    ['IPv4', 'IPv6'],
    ['IPv6', 'IPv4'],
    ['IPv4'],
    ['IPv6'],
  ),
  ports: fc.subarray([...portKinds], { minLength: 1 }),
  spareNumber: often(false, 2, fc.constant(true)),
  life: fc.constant<RandomService['life']>(0),
  ownPorts: fc.boolean(),
  external: policy,
  internal: policy,
  ipMode: often<'VIP' | 'Proxy'>('VIP', 5, fc.constant('Proxy')),
  loadBalancer: fc.constantFrom('own', 'own', 'shared', 'none'),
  loadBalancerNodePorts: often(true, 5, fc.constant(false)),
  externalIPs: fc.subarray(['own', 'shared', 'node'] as const),
  ranges: often<readonly Range[]>([], 1, fc.subarray(['outside', 'node', 'pods', 'half', 'everybody'])),
  affinity: often(false, 4, fc.constant(true)),
  otherProxy: often(false, 12, fc.constant(true)),
  endpoints,
  split: fc.boolean(),
});

/** What happens to a place from one batch to the next: most of the time little, and not everywhere. */
interface Change {
  readonly kind: 'none' | 'delete' | 'replace' | 'endpoints' | 'conditions' | 'settings' | 'type' | 'rebirth';
  readonly service: RandomService;
}

const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom<Change['kind'][]>(
    'none',
    'none',
    'delete',
    'replace',
    'endpoints',
    'endpoints',
    'conditions',
    'settings',
    'type',
    'rebirth',
    'rebirth',
  ),
  service,
});

const settings: fc.Arbitrary<RoundSettings> = fc.record({
  detector: fc.constantFrom('ClusterCIDR', 'ClusterCIDR', 'NodeCIDR', 'interface', 'none'),
  masqueradeAll: often(false, 3, fc.constant(true)),
  nodePortAddresses: often<RoundSettings['nodePortAddresses']>(
    'all',
    2,
    fc.constantFrom('primary', 'lan', 'other family'),
  ),
  localhostNodePorts: often(true, 3, fc.constant(false)),
});

const zone = fc.constantFrom<(string | undefined)[]>('z1', 'z1', 'z2', undefined);

interface RandomRestarts {
  /** Indices of two batches after the first. */
  readonly batches: readonly number[];
  /** The other is the opposite. */
  readonly first: Restart;
}

function restarts(batches: number): fc.Arbitrary<RandomRestarts> {
  const later = Array.from({ length: batches - 1 }, (_, index) => index + 1);
  return fc.record({
    batches: fc.shuffledSubarray(later, { minLength: 2, maxLength: 2 }),
    first: fc.record({
      how: fc.constantFrom('stopped', 'killed'),
      changes: fc.constantFrom('meanwhile', 'afterwards'),
    }),
  });
}

function restartAt(batch: number, { batches, first }: RandomRestarts): Restart | undefined {
  switch (batches.indexOf(batch)) {
    case 0:
      return first;
    case 1:
      return {
        how: first.how === 'killed' ? 'stopped' : 'killed',
        changes: first.changes === 'meanwhile' ? 'afterwards' : 'meanwhile',
      };
    default:
      return undefined;
  }
}

/**
 * A round of so many batches, at least three: the first creates everything, and both kinds of restart come later. The same in every run
 * with the same seed.
 */
export function randomRound(seed: number, batches: number): Round {
  const arbitrary = fc.record({
    settings,
    first: fc.array(service, { minLength: places, maxLength: places }),
    changes: fc.array(fc.array(change, { minLength: places, maxLength: places }), {
      minLength: batches - 1,
      maxLength: batches - 1,
    }),
    zones: fc.array(zone, { minLength: batches, maxLength: batches }),
    restarts: restarts(batches),
    packets: fc.integer({ min: 0, max: 0xffff_ffff }),
  });
  const [sample] = fc.sample(arbitrary, { seed, numRuns: 1 });
  if (sample === undefined) throw new RangeError(`no round from seed ${seed}`);
  const states: ClusterState[] = [sample.first];
  for (const changes of sample.changes) {
    const before = states.at(-1) ?? [];
    states.push(changes.map((change, place) => changed(before[place], change)));
  }
  return {
    settings: sample.settings,
    batches: states.map((state, batch) => ({
      state,
      zone: sample.zones[batch],
      restart: restartAt(batch, sample.restarts),
    })),
    packets: sample.packets,
  };
}

function changed(before: RandomService | undefined, { kind, service }: Change): RandomService | undefined {
  if (kind === 'none') return before;
  if (before === undefined) return service;
  switch (kind) {
    case 'delete':
      return undefined;
    case 'replace':
      return service;
    case 'endpoints':
      return { ...before, endpoints: service.endpoints, split: service.split };
    case 'conditions':
      // The same pods in another state.
      return {
        ...before,
        endpoints: before.endpoints.map((one, index) => ({
          ...one,
          state: service.endpoints[index]?.state ?? one.state,
        })),
      };
    case 'settings':
      return {
        ...service,
        type: before.type,
        families: before.families,
        ports: before.ports,
        spareNumber: before.spareNumber,
        life: before.life,
        endpoints: before.endpoints,
        split: before.split,
      };
    case 'type':
      return { ...before, type: service.type, ports: service.ports };
    case 'rebirth':
      // Gone and back before anybody looked, often with other addresses, always with the same pods.
      return {
        ...before,
        spareNumber: service.spareNumber,
        ownPorts: service.ownPorts,
        life: before.life === 0 ? 1 : 0,
      };
  }
}
