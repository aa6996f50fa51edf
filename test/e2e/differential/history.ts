import * as fc from 'fast-check';
import type { Family } from '../../../pkg/net/index.ts';
import type { Range } from '../../support/random-service-world.ts';
import type { PodName } from '../../support/service-world.ts';

/** How both proxies are started, and what happens to the objects that they are told of. */
export interface Round {
  readonly settings: RoundSettings;
  /** The Services as they are after each batch of changes, by their place; nothing is where there is none. */
  readonly states: readonly ClusterState[];
  /** Chooses which of all possible packets are sent. */
  readonly packets: number;
}

export interface RoundSettings {
  readonly detector: 'ClusterCIDR' | 'NodeCIDR' | 'interface' | 'none';
  readonly masqueradeAll: boolean;
  readonly nodePortAddresses: 'all' | 'primary' | 'lan' | 'other family';
  readonly localhostNodePorts: boolean;
  readonly zone: string | undefined;
}

export type ClusterState = readonly (RandomService | undefined)[];

export interface RandomService {
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'headless' | 'ExternalName';
  /** The first is that of `clusterIP`. */
  readonly families: readonly Family[];
  readonly ports: readonly PortKind[];
  /** Numbers that no other Service has. */
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

function often<T>(usual: T, weight: number, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ arbitrary: fc.constant(usual), weight }, { arbitrary: other, weight: 1 });
}

const policy = fc.constantFrom('Cluster' as const, 'Local' as const);

const endpoint: fc.Arbitrary<RandomEndpoint> = fc.record({
  pod: fc.constantFrom<PodName[]>('a', 'b', 'c', 'd', 'e'),
  state: often<RandomEndpoint['state']>(
    'ready',
    2,
    fc.constantFrom('unsaid', 'starting', 'ending', 'ending', 'ended'),
  ),
  succeeds: often(false, 8, fc.constant(true)),
  nodeNamed: often(true, 9, fc.constant(false)),
  zones: often<readonly string[]>([], 1, fc.subarray(['z1', 'z2'])),
  nodes: often<readonly string[]>([], 4, fc.subarray(['node-a', 'node-b'])),
});

// Of two endpoints that have one address and port and are not on their way out, kube-proxy takes whichever a map gives it last: there
// is at most one of each pod, beside one that it succeeds.
const endpoints = fc.uniqueArray(endpoint, { maxLength: 5, selector: ({ pod }) => pod });

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
  readonly kind: 'none' | 'delete' | 'replace' | 'endpoints' | 'conditions' | 'settings' | 'type';
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
  zone: fc.constantFrom('z1', 'z1', undefined),
});

/** A round of so many batches, the first of which creates everything. The same in every run with the same seed. */
export function randomRound(seed: number, batches: number): Round {
  const arbitrary = fc.record({
    settings,
    first: fc.array(service, { minLength: places, maxLength: places }),
    changes: fc.array(fc.array(change, { minLength: places, maxLength: places }), {
      minLength: batches - 1,
      maxLength: batches - 1,
    }),
    packets: fc.integer({ min: 0, max: 0xffff_ffff }),
  });
  const [sample] = fc.sample(arbitrary, { seed, numRuns: 1 });
  if (sample === undefined) throw new RangeError(`no round from seed ${seed}`);
  const states: ClusterState[] = [sample.first];
  for (const changes of sample.changes) {
    const before = states.at(-1) ?? [];
    states.push(changes.map((change, place) => changed(before[place], change)));
  }
  return { settings: sample.settings, states, packets: sample.packets };
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
        endpoints: before.endpoints,
        split: before.split,
      };
    case 'type':
      return { ...before, type: service.type, ports: service.ports };
  }
}
