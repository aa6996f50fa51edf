import * as fc from 'fast-check';
import type {
  LabelRequirement,
  LabelSelector,
  Labels,
  NamedPort,
  Namespace,
  NetworkPolicy,
  Pod,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  Protocol,
} from '../../pkg/api/index.ts';
import type { Packet, PolicyWorld } from '../../pkg/policy/decide/index.ts';

// Few names, values, ports and addresses, so that everything meets everything.
const namespaceNames = ['a', 'b'] as const;
const labelKeys = ['app', 'tier'] as const;
const labelValues = ['x', 'y'] as const;
const portNames = ['web', 'dns'] as const;
const ports = [53, 80, 81, 65_535] as const;
const mostPods = 6;
/** Where the pods of the random worlds are, unless they are placed at random. */
export const localNode = 'node-1';
const nodeNames = [localNode, localNode, 'node-2', undefined] as const;
const bothTypes = ['Ingress', 'Egress'] as const;

const protocol: fc.Arbitrary<Protocol> = fc.constantFrom('TCP', 'TCP', 'TCP', 'UDP', 'SCTP');
const labels: fc.Arbitrary<Labels> = fc.dictionary(
  fc.constantFrom(...labelKeys),
  fc.constantFrom(...labelValues),
  {
    maxKeys: 2,
    noNullPrototype: true,
  },
);

const requirement: fc.Arbitrary<LabelRequirement> = fc.oneof(
  fc.record({
    key: fc.constantFrom(...labelKeys),
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.array(fc.constantFrom(...labelValues), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    key: fc.constantFrom(...labelKeys),
    operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
  }),
);

const everything: fc.Arbitrary<LabelSelector> = fc.constant({ matchLabels: {}, matchExpressions: [] });

/** Any selector over the labels of the random worlds; often the empty one, else most worlds are open. */
export const labelSelector: fc.Arbitrary<LabelSelector> = fc.oneof(
  { arbitrary: everything, weight: 3 },
  { arbitrary: fc.record({ matchLabels: labels, matchExpressions: fc.constant([]) }), weight: 1 },
  {
    arbitrary: fc.record({
      matchLabels: fc.oneof(fc.constant({}), labels),
      matchExpressions: fc.array(requirement, { minLength: 1, maxLength: 2 }),
    }),
    weight: 2,
  },
);

/** Labels of the pods and namespaces of the random worlds. */
export const anyLabels: fc.Arbitrary<Labels> = labels;

const block: fc.Arbitrary<PolicyPeer> = fc
  .oneof(
    fc.record({
      cidr: fc.constant('10.0.0.0/29'),
      except: fc.subarray(['10.0.0.2/31', '10.0.0.4/32', '10.0.0.3/32']),
    }),
    fc.record({
      cidr: fc.constantFrom('10.0.0.0/30', '10.0.0.2/31', '10.0.0.5/32', '203.0.113.0/24'),
      except: fc.constant([]),
    }),
    fc.record({ cidr: fc.constant('0.0.0.0/0'), except: fc.subarray(['10.0.0.0/30', '203.0.113.7/32']) }),
    fc.record({ cidr: fc.constant('::/0'), except: fc.subarray(['fd00::/126', '2001:db8::/32']) }),
    fc.record({ cidr: fc.constant('fd00::/125'), except: fc.subarray(['fd00::2/127', 'fd00::4/128']) }),
  )
  .map(({ cidr, except }) => ({ kind: 'ipBlock', cidr, except }));

const podsPeer: fc.Arbitrary<PolicyPeer> = fc.record({
  kind: fc.constant('pods' as const),
  namespaceSelector: fc.option(labelSelector, { nil: undefined }),
  podSelector: fc.option(labelSelector, { nil: undefined }),
});

const policyPort: fc.Arbitrary<PolicyPort> = fc.oneof(
  protocol.map((protocol) => ({ kind: 'any' as const, protocol })),
  fc.tuple(protocol, fc.constantFrom(...ports), fc.constantFrom(...ports)).map(([protocol, a, b]) => ({
    kind: 'range' as const,
    protocol,
    first: Math.min(a, b),
    last: Math.max(a, b),
  })),
  fc
    .tuple(protocol, fc.constantFrom(...ports))
    .map(([protocol, port]) => ({ kind: 'range' as const, protocol, first: port, last: port })),
  fc.record({ kind: fc.constant('named' as const), protocol, name: fc.constantFrom(...portNames) }),
);

const rule: fc.Arbitrary<PolicyRule> = fc.record({
  peers: fc.option(fc.array(fc.oneof(block, podsPeer), { maxLength: 3 }), { nil: undefined }),
  ports: fc.option(fc.array(policyPort, { maxLength: 3 }), { nil: undefined }),
});

function policyNamed(name: string): fc.Arbitrary<NetworkPolicy> {
  return fc
    .record({
      namespace: fc.constantFrom(...namespaceNames),
      // Mostly everything, so that most pods are isolated and there is something to decide.
      podSelector: fc.oneof({ arbitrary: everything, weight: 2 }, { arbitrary: labelSelector, weight: 1 }),
      policyTypes: fc.constantFrom(bothTypes, bothTypes, ['Ingress'] as const, ['Egress'] as const),
      ingress: fc.array(rule, { maxLength: 3, size: 'max' }),
      egress: fc.array(rule, { maxLength: 3, size: 'max' }),
    })
    .map(({ namespace, podSelector, policyTypes, ingress, egress }) => ({
      kind: 'NetworkPolicy',
      namespace,
      name,
      podSelector,
      policyTypes,
      ingress: policyTypes.some((type) => type === 'Ingress') ? ingress : [],
      egress: policyTypes.some((type) => type === 'Egress') ? egress : [],
    }));
}

const namedPort: fc.Arbitrary<NamedPort> = fc.record({
  name: fc.constantFrom(...portNames),
  protocol,
  port: fc.constantFrom(...ports),
});

/** Addresses follow the number, so no two pods share one. */
function podNumbered(index: number): fc.Arbitrary<Pod> {
  const ipv4 = { family: 'IPv4', ip: `10.0.0.${index + 1}` } as const;
  const ipv6 = { family: 'IPv6', ip: `fd00::${index + 1}` } as const;
  const seldom = <Value>(usual: Value, ...others: readonly Value[]) =>
    fc.oneof(
      { arbitrary: fc.constant(usual), weight: 6 },
      { arbitrary: fc.constantFrom(...others), weight: 1 },
    );
  return fc.record({
    kind: fc.constant('Pod' as const),
    namespace: fc.constantFrom(...namespaceNames),
    name: fc.constant(`pod-${index}`),
    uid: fc.constant(`uid-${index}`),
    labels,
    nodeName: fc.constant(localNode),
    hostNetwork: seldom(false, true),
    addresses: seldom<Pod['addresses']>([ipv4, ipv6], [ipv4], [ipv6], [ipv6, ipv4], []),
    phase: seldom<Pod['phase']>('Running', 'Pending', 'Succeeded', 'Failed', 'Unknown'),
    ready: fc.boolean(),
    terminating: seldom(false, true),
    namedPorts: fc.array(namedPort, { maxLength: 4, size: 'max' }),
  });
}

/** Usually all namespaces; sometimes one is not known (yet). */
const knownNamespaces: fc.Arbitrary<readonly Namespace[]> = fc
  .tuple(
    fc.tuple(...namespaceNames.map(() => labels)),
    fc.oneof(
      { arbitrary: fc.constant(undefined), weight: 4 },
      { arbitrary: fc.constantFrom(...namespaceNames), weight: 1 },
    ),
  )
  .map(([labelsOfEach, unknown]) =>
    namespaceNames
      .map(
        (name, index): Namespace => ({
          kind: 'Namespace',
          name,
          namespace: '',
          labels: { ...labelsOfEach[index], 'kubernetes.io/metadata.name': name },
        }),
      )
      .filter(({ name }) => name !== unknown),
  );

const policies = fc
  .tuple(policyNamed('one'), policyNamed('two'), policyNamed('three'), policyNamed('four'))
  .chain((all) => fc.shuffledSubarray(all, { minLength: 2 }));

const pods = fc
  .tuple(...Array.from({ length: mostPods }, (_, index) => podNumbered(index)))
  .chain((all) => fc.shuffledSubarray(all, { minLength: 3 }));

/** Small worlds that use every field of a policy, in two families; no two pods share an address. */
const policyWorld: fc.Arbitrary<PolicyWorld> = fc.record({ policies, pods, namespaces: knownNamespaces });

/** Ends outside the cluster, and one in the range of pods that no pod has. */
const strangers = {
  IPv4: ['203.0.113.7', '198.51.100.1', '10.0.0.7'],
  IPv6: ['2001:db8::7', 'fd00::7'],
} as const;

/** A packet before it is known which pods there are: the numbers choose among the ends of the world. */
const packetChoice = fc.record({
  family: fc.constantFrom('IPv4' as const, 'IPv6' as const),
  source: fc.nat({ max: 1000 }),
  destination: fc.nat({ max: 1000 }),
  protocol: fc.oneof(
    { arbitrary: protocol, weight: 8 },
    { arbitrary: fc.constant('ICMP' as const), weight: 1 },
  ),
  destinationPort: fc.constantFrom(...ports, 443),
  /** One of the destination's named ports instead, when it has that many. */
  namedPort: fc.nat({ max: 7 }),
});

/** A random world and packets that it has something to say about. */
export const randomPolicyCase: fc.Arbitrary<{
  readonly world: PolicyWorld;
  readonly packets: readonly Packet[];
}> = fc
  .tuple(policyWorld, fc.array(packetChoice, { minLength: 15, maxLength: 30 }))
  .map(([world, choices]) => ({ world, packets: choices.map((choice) => packetOf(world, choice)) }));

/** Addresses that the node's own pods should have, as numbers of pods: all of a network, a part, or nobody says. */
const localRanges = {
  all: ['10.0.0.0/24', 'fd00::/64'],
  some: ['10.0.0.0/30', 'fd00::/126'],
  none: [],
} as const;

/**
 * A random case whose pods are on several nodes, beside what the local one knows of addresses: the ranges of its pods, and what
 * its container runtime gave to pods of which nobody else knows. Half of the worlds follow the ranges; in the others pods of
 * other nodes have addresses inside, and local ones outside.
 */
export const randomPlacedCase: fc.Arbitrary<{
  readonly world: PolicyWorld;
  readonly packets: readonly Packet[];
  readonly ranges: readonly string[];
  readonly unowned: readonly string[];
}> = fc
  .record({
    random: randomPolicyCase,
    ranges: fc.constantFrom('all', 'all', 'some', 'some', 'none'),
    follows: fc.boolean(),
    nodes: fc.array(fc.constantFrom(...nodeNames), { minLength: mostPods, maxLength: mostPods }),
    unowned: fc.subarray(['10.0.0.7', '203.0.113.7', 'fd00::7', '2001:db8::7']),
  })
  .map(({ random: { world, packets }, ranges, follows, nodes, unowned }) => ({
    world: {
      ...world,
      pods: world.pods.map((pod) => {
        const number = Number(pod.name.replace('pod-', ''));
        const isInside = ranges === 'all' || (ranges === 'some' && number + 1 < 4);
        const followed = isInside ? localNode : 'node-2';
        return { ...pod, nodeName: follows ? followed : nodes[number] };
      }),
    },
    packets,
    ranges: localRanges[ranges],
    unowned,
  }));

type PacketChoice = typeof packetChoice extends fc.Arbitrary<infer Choice> ? Choice : never;

function packetOf({ pods }: PolicyWorld, choice: PacketChoice): Packet {
  const owned = pods.flatMap((pod) =>
    pod.addresses.flatMap(({ family, ip }) =>
      family === choice.family ? [{ ip, namedPorts: pod.namedPorts }] : [],
    ),
  );
  const ends = [...owned, ...strangers[choice.family].map((ip) => ({ ip, namedPorts: [] }))];
  const source = ends[choice.source % ends.length]?.ip ?? '';
  const { ip: destination, namedPorts } = ends[choice.destination % ends.length] ?? {
    ip: '',
    namedPorts: [],
  };
  const named = namedPorts[choice.namedPort];
  return {
    source,
    destination,
    protocol: named?.protocol ?? choice.protocol,
    destinationPort: named?.port ?? choice.destinationPort,
  };
}
