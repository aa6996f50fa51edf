import type { Family } from '../../../pkg/net/index.ts';
import type { ConnectRequest } from '../../support/agent/protocol.ts';
import type { NetworkNamespace } from '../../support/network-namespace.ts';
import { seededRandom } from '../../support/random.ts';
import { type Contact, contact, contacts } from '../../support/service-contact.ts';
import { families, protocols, type ServiceWorld } from '../../support/service-world.ts';
import { type ClusterState, numberOf, numbers, type PortKind, portKinds } from './cluster-state.ts';
import { addressesOf, nodePortOf, portOf, targets } from './objects.ts';

export const sources = ['a', 'c', 'd', 'outside', 'stranger', 'node'] as const;
export type Source = (typeof sources)[number];
export const frontends = [
  'cluster IP',
  'load balancer',
  'shared load balancer',
  'external IP',
  'shared external IP',
  'external IP of the node',
  'node port',
  'node port on loopback',
] as const;
export type Frontend = (typeof frontends)[number];

/** A packet that both proxies get. */
export interface Probe {
  readonly source: Source;
  /** Of the Service that it is meant for, see `numberOf`. */
  readonly number: number;
  readonly kind: PortKind;
  readonly family: Family;
  readonly frontend: Frontend;
  readonly request: Pick<ConnectRequest, 'protocol' | 'address' | 'port'>;
}

/** Every packet that could meet a rule, also one of a Service that is gone or never was, in an order of its own. */
export function probesOf(node: NetworkNamespace, packets: number): readonly Probe[] {
  const kinds = portKinds.filter((kind) => protocols.includes(targets[kind].protocol));
  const all = numbers.flatMap((number) =>
    families.flatMap((family) =>
      kinds.flatMap((kind) =>
        frontends.flatMap((frontend) =>
          requestsTo({ number, family, kind, frontend, node }).flatMap((request) =>
            sources
              .filter((source) => mayReach(source, frontend))
              .map((source): Probe => ({ source, number, kind, family, frontend, request })),
          ),
        ),
      ),
    ),
  );
  const random = seededRandom(packets);
  return all
    .map((probe) => ({ probe, key: random() }))
    .toSorted((one, other) => one.key - other.key)
    .map(({ probe }) => probe);
}

/** A pod of the other node sends virtual addresses to that node, where nobody knows them. */
function mayReach(source: Source, frontend: Frontend): boolean {
  if (frontend === 'node port on loopback') return source === 'node';
  return source !== 'd' || frontend === 'node port' || frontend === 'external IP of the node';
}

function requestsTo({
  number,
  family,
  kind,
  frontend,
  node,
}: Omit<Probe, 'source' | 'request'> & { readonly node: NetworkNamespace }): readonly Probe['request'][] {
  const { protocol } = targets[kind];
  const { own, shared } = addressesOf(number, family);
  const everyPort = (address: string): readonly Probe['request'][] =>
    [false, true].map((ownPorts) => ({ protocol, address, port: portOf(number, kind, ownPorts) }));
  // The common ports of what Services have in common are the same ones for all.
  const ownPort = (address: string): readonly Probe['request'][] =>
    everyPort(address).slice(number === 0 ? 0 : 1);
  const nodePort = (address: string): readonly Probe['request'][] => [
    { protocol, address, port: nodePortOf(number, kind) },
  ];
  switch (frontend) {
    case 'cluster IP':
      return everyPort(own.clusterIP);
    case 'load balancer':
      return everyPort(own.loadBalancerIP);
    case 'shared load balancer':
      return ownPort(shared.loadBalancerIP);
    case 'external IP':
      return everyPort(own.externalIP);
    case 'shared external IP':
      return ownPort(shared.externalIP);
    case 'external IP of the node':
      return ownPort(node.address(family));
    case 'node port':
      return nodePort(node.address(family));
    case 'node port on loopback':
      return nodePort(family === 'IPv4' ? '127.0.0.1' : '::1');
  }
}

/** The first few packets that go to Services that are there and use this port, and fewer of the others. */
export function chosen(
  probes: readonly Probe[],
  state: ClusterState,
  counts: { readonly live: number; readonly other: number },
): readonly Probe[] {
  const live = probes.filter((probe) => claimants(probe, state).length > 0);
  const other = probes.filter((probe) => claimants(probe, state).length === 0);
  return [...live.slice(0, counts.live), ...other.slice(0, counts.other)];
}

/** The Services, by their places, that want the packet. Several may, where they have an address in common. */
export function claimants(probe: Probe, state: ClusterState): readonly number[] {
  return state.flatMap((_, place) => (claims(state, place, probe) ? [place] : []));
}

function claims(state: ClusterState, place: number, probe: Probe): boolean {
  const service = state[place];
  if (service === undefined) return false;
  const number = numberOf(state, place);
  const { kind, family, frontend, request } = probe;
  if (!service.ports.includes(kind) || !service.families.includes(family)) return false;
  if (service.type === 'ExternalName' || service.type === 'headless' || service.otherProxy) return false;
  const isOwn = number === probe.number;
  const isPort = request.port === portOf(number, kind, service.ownPorts);
  const which = service.type === 'LoadBalancer' ? service.loadBalancer : 'none';
  switch (frontend) {
    case 'cluster IP':
      return isPort && isOwn;
    case 'load balancer':
      return isPort && isOwn && which === 'own';
    case 'external IP':
      return isPort && isOwn && service.externalIPs.includes('own');
    case 'shared load balancer':
      return isPort && which === 'shared';
    case 'shared external IP':
      return isPort && service.externalIPs.includes('shared');
    case 'external IP of the node':
      return isPort && service.externalIPs.includes('node');
    case 'node port':
    case 'node port on loopback':
      return (
        isOwn &&
        (service.type === 'LoadBalancer' ? service.loadBalancerNodePorts : service.type === 'NodePort')
      );
  }
}

/** Whether who answered once answers always. */
export function isSticky(probe: Probe, state: ClusterState): boolean {
  return claimants(probe, state).some((place) => state[place]?.affinity === true);
}

/** How long an answer is waited for. */
export type Patience = 'brief' | 'patient';

/** What packets met in one of the worlds, each: `a unchanged`, `d masqueraded`, `refused`, `lost`. */
export async function outcomes(
  services: ServiceWorld,
  probe: Probe,
  { count, patience }: { readonly count: number; readonly patience: Patience },
): Promise<readonly string[]> {
  const from = machineOf(services, probe.source);
  const request = withPatience(probe, patience);
  const seen = await contacts(from, request, count);
  // An attempt that was never made, because a program of the machine had the source port, says nothing. The next port is free.
  return Promise.all(
    seen.map(async (one) => word(one.kind === 'failed' ? await contact(from, request) : one)),
  );
}

/** Whether somebody answered, of the words of `outcomes`. */
export function isReply(word: string): boolean {
  return word.includes(' ');
}

/** What somebody meets who comes back once: one thing, if it is the same again. */
export async function visit(services: ServiceWorld, probe: Probe): Promise<string> {
  const how = { count: 1, patience: 'patient' } as const;
  const [first = ''] = await outcomes(services, probe, how);
  if (first === 'lost' || first === 'refused') return first;
  let [again = first] = await outcomes(services, probe, how);
  // A busy machine is not a choice.
  if (again === 'lost') [again = first] = await outcomes(services, probe, how);
  return again === first ? first : `${first} and then ${again}`;
}

/** Enough for a machine at rest. */
const briefMs = 400;
const patientMs = 3000;
/** A refusal of TCP over IPv6 is seen only after the first SYN retry. */
const retryMs = 1600;

function withPatience({ request, family }: Probe, patience: Patience): ConnectRequest {
  const isSlow = request.protocol === 'tcp' && family === 'IPv6';
  const timeoutMs = { brief: isSlow ? retryMs : briefMs, patient: patientMs }[patience];
  return { ...request, timeoutMs };
}

export function machineOf(services: ServiceWorld, source: Source): NetworkNamespace {
  if (source === 'node') return services.node;
  return source === 'outside' || source === 'stranger' ? services.client(source) : services.pod(source);
}

function word(seen: Contact): string {
  if (seen.kind === 'reply') return `${seen.name} ${seen.masqueraded ? 'masqueraded' : 'unchanged'}`;
  // What leaves the node for nowhere is lost, and the gateway may say so.
  return seen.kind === 'timeout' || seen.kind === 'unreachable' ? 'lost' : seen.kind;
}
