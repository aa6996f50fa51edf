import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { summary } from '../support/service-contact.ts';
import {
  endpointSlices,
  frontendsOf,
  type Manifest,
  serviceManifest,
  servicePort,
} from '../support/service-manifests.ts';
import {
  clusterCidrs,
  createServiceWorld,
  families,
  podNodes,
  protocols,
  type ServiceWorld,
  usable,
  worlds,
} from '../support/service-world.ts';

interface Configuration {
  /** Whether pods are told from other clients. */
  readonly detector: boolean;
  readonly masqueradeAll: boolean;
}

const configurations: readonly (Configuration & { readonly title: string; readonly clusterCidr?: string })[] =
  [
    { title: 'knows the pods', detector: true, masqueradeAll: false },
    { title: 'does not know the pods', detector: false, masqueradeAll: false },
    {
      title: 'takes every address for a pod',
      clusterCidr: '0.0.0.0/0,::/0',
      detector: false,
      masqueradeAll: false,
    },
    { title: 'masquerades all', detector: true, masqueradeAll: true },
    { title: 'masquerades all and does not know the pods', detector: false, masqueradeAll: true },
  ];

/** Pod a is on the node where Weir runs, pod d on another: `all` is both, `local` the first. */
const services = [
  { name: 'plain', number: 1, policy: 'Cluster' },
  { name: 'external-local', number: 2, policy: 'external Local' },
  { name: 'internal-local', number: 3, policy: 'internal Local' },
] as const;
type Policy = (typeof services)[number]['policy'];

const sources = ['pod', 'node', 'localhost', 'client'] as const;
const destinations = ['cluster IP', 'node port', 'load balancer', 'external IP'] as const;
type Source = (typeof sources)[number];
type Destination = (typeof destinations)[number];

const all = 'a d unchanged';
const allMasqueraded = 'a d masqueraded';
const local = 'a unchanged';
const localMasqueraded = 'a masqueraded';

/** Which endpoints answer, and whether they see who asked: kube-proxy's behaviour. */
function expected(from: Source, to: Destination, policy: Policy, { detector, masqueradeAll }: Configuration) {
  if (to === 'cluster IP') {
    const masqueraded = masqueradeAll || (detector && from !== 'pod');
    if (policy === 'internal Local') return masqueraded ? localMasqueraded : local;
    return masqueraded ? allMasqueraded : all;
  }
  if (policy !== 'external Local') return allMasqueraded;
  if (from === 'node' || from === 'localhost') return allMasqueraded;
  return from === 'pod' && detector ? all : local;
}

function manifests(world: ServiceWorld): readonly Manifest[] {
  const endpoints = (['a', 'd'] as const).map((pod) => ({ pod: world.pod(pod), node: podNodes[pod] }));
  return [
    world.nodeObject(),
    ...services.flatMap(({ name, number, policy }) => [
      serviceManifest({
        name,
        number,
        externalTrafficPolicy: policy === 'external Local' ? 'Local' : 'Cluster',
        internalTrafficPolicy: policy === 'internal Local' ? 'Local' : 'Cluster',
      }),
      ...endpointSlices(name, endpoints),
    ]),
  ];
}

function sourceMachine(world: ServiceWorld, source: Source): NetworkNamespace {
  switch (source) {
    case 'pod':
      return world.pod('c');
    case 'node':
    case 'localhost':
      return world.node;
    case 'client':
      return world.client('outside');
  }
}

function destinationOf(world: ServiceWorld, from: Source, to: Destination, number: number, family: Family) {
  const frontends = frontendsOf(number, family);
  switch (to) {
    case 'cluster IP':
      return { address: frontends.clusterIP, port: servicePort };
    case 'load balancer':
      return { address: frontends.loadBalancerIP, port: servicePort };
    case 'external IP':
      return { address: frontends.externalIP, port: servicePort };
    case 'node port':
      return {
        address: from === 'localhost' ? '127.0.0.1' : world.node.address(family),
        port: frontends.nodePort,
      };
  }
}

/** Node ports answer on the loopback address over IPv4 only, and nothing else does. */
function pathsOver(family: Family): readonly { from: Source; to: Destination }[] {
  return sources.flatMap((from) =>
    destinations
      .filter((to) => from !== 'localhost' || (to === 'node port' && family === 'IPv4'))
      .map((to) => ({ from, to })),
  );
}

describe.skipIf(!usable).each(worlds)('$mode pods on $backend', ({ backend, mode }) => {
  let world: ServiceWorld;
  beforeAll(async () => {
    world = await createServiceWorld(backend, mode);
  });
  afterAll(() => world.dispose());

  describe.each(configurations)('a node that $title', (configuration) => {
    beforeAll(async () => {
      const { detector, clusterCidr = detector ? clusterCidrs : undefined } = configuration;
      const flags = clusterCidr === undefined ? [] : ['--cluster-cidr', clusterCidr];
      await world.run(manifests(world), [...flags, `--masquerade-all=${configuration.masqueradeAll}`]);
    });

    const cases = families.flatMap((family) => protocols.map((protocol) => ({ family, protocol })));
    test.each(cases)('sends $protocol over $family to the right endpoints', async ({ family, protocol }) => {
      const rows = services.flatMap(({ number, policy }) =>
        pathsOver(family).map(({ from, to }) => ({ from, to, number, policy })),
      );
      const results = await Promise.all(
        rows.map(async ({ from, to, number, policy }) => {
          const wanted = expected(from, to, policy, configuration);
          const { address, port } = destinationOf(world, from, to, number, family);
          const request = { protocol, address, port };
          const seen = await summary(sourceMachine(world, from), request, wanted.startsWith('a d') ? 2 : 1);
          return { path: `${from} to ${to}, policy ${policy}`, wanted, seen };
        }),
      );
      expect(Object.fromEntries(results.map(({ path, seen }) => [path, seen]))).toEqual(
        Object.fromEntries(results.map(({ path, wanted }) => [path, wanted])),
      );
    });
  });
});
