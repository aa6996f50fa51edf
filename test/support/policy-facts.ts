import type { Family } from '../../pkg/net/index.ts';
import type { Transport } from './agent/protocol.ts';
import { capabilities } from './capabilities.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import {
  type Cell,
  createPolicyKernel,
  type PolicyKernel,
  type PolicyKernelSpec,
  policyNode,
} from './policy-kernel.ts';
import type { Manifest } from './service-manifests.ts';
import type { MachineSpec } from './world-layout.ts';

const families = ['IPv4', 'IPv6'] as const;
const outside = 'outside';
const factsPorts = [
  ...[53, 80, 81, 8080, 9090, 65_535].map((port) => ['tcp', port] as const),
  ...[53, 80, 81].map((port) => ['udp', port] as const),
  ['sctp', 80] as const,
];

/** Both ways to deny, one with each backend. */
export const factsVariants = (
  [
    { backend: 'legacy', deny: 'drop' },
    { backend: 'nft', deny: 'reject' },
  ] as const
).filter(({ backend }) => capabilities[`iptables-${backend}`]);

export const canRunFacts =
  capabilities.netns && capabilities.ipv6 && capabilities.ipset && capabilities['perl-raw'];

interface FactsPod {
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** `bare` has no labels, `six` no IPv4 address. */
const pods: Readonly<Record<string, FactsPod>> = {
  web: { namespace: 'shop', addresses: addressesAt(11), labels: { app: 'web', tier: 'back' } },
  db: { namespace: 'shop', addresses: addressesAt(12), labels: { app: 'db', tier: 'back' } },
  bare: { namespace: 'shop', addresses: addressesAt(13), labels: {} },
  lab: { namespace: 'lab', addresses: addressesAt(14), labels: { app: 'web', env: 'dev' } },
  open: { namespace: 'open', addresses: addressesAt(15), labels: { app: 'db', env: 'prod' } },
  six: { namespace: 'shop', addresses: addressesAt(16).slice(1), labels: { app: 'six' } },
};
const namespaceLabels: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  shop: { stage: 'live', team: 'red' },
  lab: { stage: 'test' },
  open: {},
};

function addressesAt(number: number): readonly string[] {
  return [`10.244.1.${number}`, `fd00:10:244:1::${number}`];
}

/** Opens the kernel that facts are about. */
export function createFactsKernel(
  spec: Pick<PolicyKernelSpec, 'backend' | 'deny'>,
  ports: PolicyKernelSpec['ports'] = factsPorts,
): Promise<PolicyKernel> {
  return createPolicyKernel({ ...spec, pods: machines, clients: [outside], ports });
}

const machines: readonly MachineSpec[] = Object.entries(pods).map(([name, { addresses }]) => ({
  name,
  addresses,
}));

/** What a test changes about the cluster of the facts. */
interface FactsCluster {
  /** Name (in the namespace `shop`) or `namespace/name` → spec, as people write it. */
  readonly policies?: Readonly<Record<string, Manifest>>;
  /** Pod → what else its spec says. */
  readonly podSpecs?: Readonly<Record<string, Manifest>>;
  readonly withoutNamespace?: string;
}

function factsManifests({
  policies = {},
  podSpecs = {},
  withoutNamespace,
}: FactsCluster): readonly Manifest[] {
  const objects: readonly Manifest[] = [
    ...Object.entries(namespaceLabels).map(([name, labels]) => namespaceManifest(name, labels)),
    ...Object.entries(pods).map(([name, pod]) => podManifest(name, pod, podSpecs[name] ?? {})),
    ...Object.entries(policies).map(([path, spec]) => policyManifest(path, spec)),
  ];
  const isGone = ({ name, namespace }: Metadata): boolean =>
    withoutNamespace !== undefined && (namespace ?? name) === withoutNamespace;
  return objects.filter((object) => !isGone(object['metadata'] as Metadata));
}

interface Metadata {
  readonly name: string;
  readonly namespace?: string;
}

function namespaceManifest(name: string, labels: Readonly<Record<string, string>>): Manifest {
  const named = { ...labels, 'kubernetes.io/metadata.name': name };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: named } };
}

function podManifest(name: string, { namespace, addresses, labels }: FactsPod, spec: Manifest): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, uid: `uid-${name}`, labels },
    spec: { nodeName: policyNode, containers: [{ name: 'main', image: 'none' }], ...spec },
    status: { phase: 'Running', podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) },
  };
}

function policyManifest(path: string, spec: Manifest): Manifest {
  const [first = '', second] = path.split('/');
  const metadata =
    second === undefined ? { namespace: 'shop', name: first } : { namespace: first, name: second };
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec };
}

/** A container's ports in short: `web=TCP/8080`. */
export function container(name: string, ...ports: readonly string[]): Manifest {
  return {
    name,
    image: 'none',
    ports: ports.map((text) => {
      const [portName, protocol, number] = text.split(/[=/]/);
      return { name: portName, protocol, containerPort: Number(number) };
    }),
  };
}

/**
 * Facts are `db,bare > web TCP/80,UDP/53`: every left end to every right one, at every port. In both families, where the
 * ends have them, unless `family` names one.
 */
export interface Facts extends FactsCluster {
  readonly allowed?: readonly string[];
  readonly denied?: readonly string[];
  readonly family?: Family;
}

/** Makes the cluster of the kernel be like this; resolves with what is then otherwise than the facts say. */
export async function wrongFacts(kernel: PolicyKernel, facts: Facts): Promise<readonly string[]> {
  await become(kernel, facts);
  const cells = (facts.family === undefined ? families : [facts.family]).flatMap((family) => [
    ...(facts.allowed ?? []).flatMap((fact) => cellsOf(kernel, fact, family, true)),
    ...(facts.denied ?? []).flatMap((fact) => cellsOf(kernel, fact, family, false)),
  ]);
  if (cells.length === 0) throw new RangeError('nothing to look at');
  return kernel.wrongCells(cells);
}

/** Makes the cluster of the kernel be like this. */
export function become(kernel: PolicyKernel, cluster: FactsCluster): Promise<void> {
  return kernel.become(factsManifests(cluster));
}

function cellsOf(kernel: PolicyKernel, fact: string, family: Family, isAllowed: boolean): readonly Cell[] {
  const [from = '', to = '', ports = ''] = fact.split(/ > | /);
  return list(from).flatMap((from) =>
    list(to).flatMap((to) =>
      list(ports).flatMap((text): readonly Cell[] => {
        const [protocol = '', port = ''] = text.split('/');
        const address = factsMachine(kernel, to).addresses.find(
          (one) => one.includes(':') === (family === 'IPv6'),
        );
        const isThere = factsMachine(kernel, from).addresses.some(
          (one) => one.includes(':') === (family === 'IPv6'),
        );
        if (from === to || address === undefined || !isThere) return [];
        return [
          { from, protocol: protocol.toLowerCase() as Transport, address, port: Number(port), isAllowed },
        ];
      }),
    ),
  );
}

function list(text: string): readonly string[] {
  return text.split(',');
}

function factsMachine(kernel: PolicyKernel, name: string): NetworkNamespace {
  return name === outside ? kernel.world.client(name) : kernel.world.pod(name);
}
