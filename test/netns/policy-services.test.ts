import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import type { Transport } from '../support/agent/protocol.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { app, namespaceManifest, podManifest, policyManifest } from '../support/policy-manifests.ts';
import { rotating } from '../support/rotating.ts';
import { silenceMs, summary } from '../support/service-contact.ts';
import {
  endpointSlices,
  frontendsOf,
  type Manifest,
  type ServiceSpec,
  serviceManifest,
  servicePort,
  targetPort,
  transports,
} from '../support/service-manifests.ts';
import {
  clusterCidrs,
  createServiceWorld,
  families,
  type PodName,
  podNodes,
  protocols,
  type ServiceWorld,
  usable,
  worlds,
} from '../support/service-world.ts';

const numbers = { cluster: 1, local: 2, empty: 3, itself: 4, far: 5 } as const;
type ServiceName = keyof typeof numbers;
type Frontend = 'cluster IP' | 'node port' | 'load balancer' | 'external IP';
type MachineName = PodName | 'node' | 'other node' | 'outside' | 'stranger';
/** Which address of its own a node takes is its business: there only who answers counts. */
type Answer = PodName | 'node-a' | 'node-b' | 'outside';
/** Who asks, whom or through which frontend of which Service, and what becomes of it. */
type Fact = readonly [
  from: MachineName,
  to: MachineName | `${Frontend}: ${ServiceName}`,
  expected: `${Answer} ${'masqueraded' | 'unchanged'}` | Answer | 'timeout' | 'refused',
];

/** Into a: from c and the client outside. Into b: from c. Out of a: nothing. Out of c: to a. All else is free. */
const facts: readonly (readonly [title: string, list: readonly Fact[]])[] = [
  [
    'at a cluster IP the pod behind it counts, with its own port',
    [
      ['c', 'cluster IP: cluster', 'a unchanged'],
      ['b', 'cluster IP: cluster', 'timeout'],
      ['c', 'cluster IP: far', 'timeout'],
      ['b', 'cluster IP: far', 'd unchanged'],
    ],
  ],
  ...(['node port', 'load balancer', 'external IP'] as const).map(
    (frontend) =>
      [
        `from outside through a ${frontend} the client counts, masqueraded or not`,
        [
          ['outside', `${frontend}: cluster`, 'a masqueraded'],
          ['stranger', `${frontend}: cluster`, 'timeout'],
          ['outside', `${frontend}: local`, 'a unchanged'],
          ['stranger', `${frontend}: local`, 'timeout'],
          // Nothing isolates the far pod on its way in, here.
          ['stranger', `${frontend}: far`, 'd masqueraded'],
        ],
      ] as const,
  ),
  [
    'a pod that leaves by a node port is held to what is behind it',
    [
      ['c', 'node port: cluster', 'a masqueraded'],
      ['c', 'node port: far', 'timeout'],
      ['b', 'node port: cluster', 'timeout'],
    ],
  ],
  ['through a Service to itself is judged like any connection', [['b', 'cluster IP: itself', 'timeout']]],
  [
    'an address without endpoints is refused to who may go there, and silent to who may not',
    [
      ['b', 'cluster IP: empty', 'refused'],
      ['c', 'cluster IP: empty', 'timeout'],
      ['stranger', 'node port: empty', 'refused'],
    ],
  ],
  [
    'a pod and its own node talk as if there were no policy',
    [
      ['node', 'a', 'a'],
      ['node', 'b', 'b'],
      ['a', 'node', 'node-a unchanged'],
      ['c', 'node', 'node-a unchanged'],
      ['node', 'cluster IP: cluster', 'a'],
    ],
  ],
  [
    'another node is an address like any other, whatever pods live in its network',
    [
      ['other node', 'a', 'timeout'],
      ['c', 'other node', 'timeout'],
      ['b', 'other node', 'node-b unchanged'],
    ],
  ],
  [
    'a pod in the network of its node is not isolated',
    [
      ['stranger', 'node', 'node-a unchanged'],
      ['node', 'outside', 'outside'],
    ],
  ],
];

/** Long enough where nobody answers with a refusal. */
const shortSilenceMs = 800;

/** What Services lead to; policies see this port, never the one of the Service. */
const ports = transports.map((name) => ({ protocol: name.toUpperCase(), port: targetPort }));

describe.skipIf(!usable).each(rotating('policy-services', worlds, 2))(
  'policies and Services on $backend, pods $mode',
  ({ backend, mode }) => {
    let world: ServiceWorld;

    beforeAll(async () => {
      world = await createServiceWorld(backend, mode);
      const machines = [world.node, world.world.nodeNamed('node-b'), world.client('outside')];
      const everything = protocols.map((protocol) => ({ protocol, port: targetPort }));
      await Promise.all(machines.map((machine) => machine.listen(...everything)));
      await world.run(manifests(), [
        `--cluster-cidr=${clusterCidrs}`,
        `--local-pod-cidrs=${world.world.podCidrs().join(',')}`,
      ]);
    });
    afterAll(() => world.dispose());

    function manifests(): readonly Manifest[] {
      const service = (
        name: ServiceName,
        pods: readonly PodName[],
        spec: Partial<ServiceSpec> = {},
      ): readonly Manifest[] => [
        serviceManifest({ name, number: numbers[name], ...spec }),
        ...endpointSlices(
          name,
          pods.map((pod) => ({ pod: world.pod(pod), node: podNodes[pod] })),
        ),
      ];
      const pods = (Object.keys(podNodes) as PodName[]).map((name) =>
        podManifest({ name, node: podNodes[name], addresses: world.pod(name).addresses }),
      );
      const blocks = (machine: NetworkNamespace): readonly Manifest[] =>
        families.map((family) => {
          const address = machine.address(family);
          return { ipBlock: { cidr: `${address}/${family === 'IPv4' ? 32 : 128}` } };
        });
      return [
        world.nodeObject(),
        namespaceManifest(),
        ...pods,
        // They have labels that policies select and allow, and are their node's traffic all the same.
        podManifest({
          name: 'host-a',
          node: 'node-a',
          addresses: world.node.addresses,
          labels: { app: 'a' },
          hostNetwork: true,
        }),
        podManifest({
          name: 'host-b',
          node: 'node-b',
          addresses: world.world.nodeNamed('node-b').addresses,
          labels: { app: 'c' },
          hostNetwork: true,
        }),
        ...service('cluster', ['a']),
        ...service('local', ['a'], { externalTrafficPolicy: 'Local' }),
        ...service('empty', []),
        ...service('itself', ['b']),
        ...service('far', ['d']),
        policyManifest('a', {
          podSelector: app('a'),
          policyTypes: ['Ingress', 'Egress'],
          ingress: [{ from: [{ podSelector: app('c') }, ...blocks(world.client('outside'))], ports }],
          egress: [],
        }),
        policyManifest('b', { podSelector: app('b'), ingress: [{ from: [{ podSelector: app('c') }] }] }),
        policyManifest('c', {
          podSelector: app('c'),
          policyTypes: ['Egress'],
          egress: [{ to: [{ podSelector: app('a') }], ports }],
        }),
      ];
    }

    function through(
      from: NetworkNamespace,
      frontend: Frontend,
      service: ServiceName,
      family: Family,
      protocol: Transport,
    ): Promise<string> {
      const { clusterIP, loadBalancerIP, externalIP, nodePort } = frontendsOf(numbers[service], family);
      const addresses: Record<Frontend, string> = {
        'cluster IP': clusterIP,
        'load balancer': loadBalancerIP,
        'external IP': externalIP,
        'node port': world.node.address(family),
      };
      const port = frontend === 'node port' ? nodePort : servicePort;
      return summary(from, {
        protocol,
        address: addresses[frontend],
        port,
        timeoutMs: service === 'empty' ? silenceMs(protocol, family) : shortSilenceMs,
      });
    }

    function straight(
      from: NetworkNamespace,
      to: NetworkNamespace,
      family: Family,
      protocol: Transport,
    ): Promise<string> {
      const timeoutMs = shortSilenceMs;
      return summary(from, { protocol, address: to.address(family), port: targetPort, timeoutMs });
    }

    function machine(name: MachineName): NetworkNamespace {
      if (name === 'node') return world.node;
      if (name === 'other node') return world.world.nodeNamed('node-b');
      if (name === 'outside' || name === 'stranger') return world.client(name);
      return world.pod(name);
    }

    async function resultOf([from, to]: Fact, family: Family, protocol: Transport): Promise<string> {
      const [destination, service] = to.split(': ') as [MachineName, undefined] | [Frontend, ServiceName];
      const result = await (service === undefined
        ? straight(machine(from), machine(destination), family, protocol)
        : through(machine(from), destination, service, family, protocol));
      return from === 'node' ? (result.split(' ')[0] ?? '') : result;
    }

    describe.each(protocols)('over %s', (protocol) => {
      test.each(facts)('%s', async (_, list) => {
        const all = families.flatMap((family) => list.map((fact) => ({ fact, family })));
        const results = await Promise.all(
          all.map(async ({ fact, family }) => [
            `${fact[0]} to ${fact[1]} over ${family}`,
            await resultOf(fact, family, protocol),
          ]),
        );
        expect(Object.fromEntries(results)).toEqual(
          Object.fromEntries(
            all.map(({ fact, family }) => [`${fact[0]} to ${fact[1]} over ${family}`, fact[2]]),
          ),
        );
      });
    });

    test('a pod that its policy lets reach itself does so through a Service', async () => {
      const selfToo = policyManifest('b', {
        podSelector: app('b'),
        ingress: [{ from: [{ podSelector: app('b') }] }],
      });
      const others = manifests().filter(
        (manifest) =>
          manifest['kind'] !== 'NetworkPolicy' || (manifest['metadata'] as Manifest)['name'] !== 'b',
      );
      await world.update([...others, selfToo]);
      for (const family of families) {
        expect(await through(world.pod('b'), 'cluster IP', 'itself', family, 'tcp')).toBe('b masqueraded');
        expect(await through(world.pod('b'), 'cluster IP', 'itself', family, 'udp')).toBe('b masqueraded');
      }
    });
  },
);
