import type { Protocol, Service } from '../../pkg/api/index.ts';
import { type KernelSnapshot, type Outcome, type Packet, PacketTracer } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { ServiceRulesOptions } from '../../pkg/service/iptables/index.ts';
import { renderedSnapshot, type ServiceObjects, serviceOptions } from './rendered-snapshot.ts';
import { endpoint, endpointPort, endpointSlice, service, servicePort } from './service-objects.ts';

/** The addresses of a small world: one node (`node-a`), its pods, a pod elsewhere, and somebody outside the cluster. */
export interface TrafficAddresses {
  readonly node: string;
  readonly localhost: string;
  readonly pod: string;
  readonly localEndpoint: string;
  readonly remoteEndpoint: string;
  readonly outside: string;
  readonly stranger: string;
}

export const trafficAddresses: Readonly<Record<Family, TrafficAddresses>> = {
  IPv4: {
    node: '192.168.0.2',
    localhost: '127.0.0.1',
    pod: '10.0.1.9',
    localEndpoint: '10.0.1.1',
    remoteEndpoint: '10.0.2.1',
    outside: '203.0.113.7',
    stranger: '198.51.99.7',
  },
  IPv6: {
    node: 'fd00:192::2',
    localhost: '::1',
    pod: 'fd00:10::1:9',
    localEndpoint: 'fd00:10::1:1',
    remoteEndpoint: 'fd00:10::2:1',
    outside: '2001:db8:203::7',
    stranger: '2001:db8:99::7',
  },
};

export type Source = 'pod' | 'node' | 'localhost' | 'outside' | 'stranger' | 'localEndpoint';
export type Destination = 'ClusterIP' | 'NodePort' | 'VIP' | 'external IP' | 'localhost NodePort';

const protocols: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

/** `ns1/NAME` with every kind of address, port 80 in all three protocols; `number` keeps it apart from others. */
export function trafficService(
  family: Family,
  number: number,
  changes: Partial<Service> = {},
  endpoints: readonly ('localEndpoint' | 'remoteEndpoint')[] = ['localEndpoint', 'remoteEndpoint'],
): ServiceObjects {
  const name = `svc${number}`;
  const addresses = trafficAddresses[family];
  const slice = endpointSlice(
    endpoints.map((one) =>
      endpoint(addresses[one], { nodeName: one === 'localEndpoint' ? 'node-a' : 'node-b' }),
    ),
    {
      name,
      serviceName: name,
      family,
      ports: protocols.map((protocol) => endpointPort({ name: protocol.toLowerCase(), protocol })),
    },
  );
  return {
    service: service({
      name,
      type: 'LoadBalancer',
      clusterIPs: { [family]: addressOf(family, number, 'ClusterIP') },
      ports: protocols.map((protocol) =>
        servicePort({ name: protocol.toLowerCase(), protocol, nodePort: 30_000 + number }),
      ),
      loadBalancerIPs: [addressOf(family, number, 'VIP')],
      externalIPs: [addressOf(family, number, 'external IP')],
      ...changes,
    }),
    slices: [slice],
  };
}

function addressOf(family: Family, number: number, destination: Destination): string {
  switch (destination) {
    case 'ClusterIP':
      return family === 'IPv4' ? `10.96.0.${number}` : `fd00:96::${number}`;
    case 'VIP':
      return family === 'IPv4' ? `198.51.100.${number}` : `2001:db8:100::${number}`;
    case 'external IP':
      return family === 'IPv4' ? `192.0.2.${number}` : `2001:db8:2::${number}`;
    case 'NodePort':
      return trafficAddresses[family].node;
    case 'localhost NodePort':
      return trafficAddresses[family].localhost;
  }
}

/** Traffic on a node that has these Services. */
export function trafficWith(
  family: Family,
  objects: readonly ServiceObjects[],
  options: Partial<ServiceRulesOptions> = {},
  change: (kernel: KernelSnapshot) => KernelSnapshot = (kernel) => kernel,
): ServiceTraffic {
  const topology = { nodeName: 'node-a', zone: undefined };
  return new ServiceTraffic(
    family,
    change(renderedSnapshot(serviceOptions(family, options), topology, objects)),
  );
}

/** Sends packets into the rules of a node. */
export class ServiceTraffic {
  readonly #family: Family;
  readonly #tracer: PacketTracer;

  constructor(family: Family, kernel: KernelSnapshot) {
    this.#family = family;
    this.#tracer = new PacketTracer({ family, kernel, localAddresses: [trafficAddresses[family].node] });
  }

  /** What becomes of a new connection to a Service: `all`, `local` or `remote` endpoints, refused, or nothing at all. */
  connect(source: Source, number: number, destination: Destination, protocol: Protocol = 'TCP'): string {
    return inShort(this.#outcomes(source, number, destination, protocol), trafficAddresses[this.#family]);
  }

  /** Whether the connection of the local endpoint that comes back to itself is masqueraded; other endpoints don't count. */
  isHairpinMasqueraded(number: number, destination: Destination, protocol: Protocol = 'TCP'): boolean {
    const { localEndpoint } = trafficAddresses[this.#family];
    const own = this.#outcomes('localEndpoint', number, destination, protocol).filter(
      (outcome) => outcome.destination === localEndpoint,
    );
    if (own.length !== 1) throw new Error(`${own.length} ways back to the endpoint itself`);
    return own.every((outcome) => outcome.verdict === 'accept' && outcome.masqueraded);
  }

  /** The kinds of ends that a new connection may come to, whatever their chances: for looking at rules that are just being changed. */
  kindsOfEnds(source: Source, number: number, destination: Destination): readonly string[] {
    const { [source]: own } = trafficAddresses[this.#family];
    const kinds = this.#outcomes(source, number, destination, 'TCP').map((outcome) =>
      [
        outcome.verdict,
        outcome.destinationPort === 8080 ? 'routed' : 'as addressed',
        ...(outcome.masqueraded ? ['masqueraded'] : []),
        ...(outcome.destination === own ? ['to itself'] : []),
        ...(outcome.undecided ? ['undecided'] : []),
      ].join(' '),
    );
    return [...new Set(kinds)].toSorted();
  }

  trace(packet: Packet): readonly Outcome[] {
    return this.#tracer.trace(packet);
  }

  #outcomes(
    source: Source,
    number: number,
    destination: Destination,
    protocol: Protocol,
  ): readonly Outcome[] {
    const isNodePort = destination === 'NodePort' || destination === 'localhost NodePort';
    return this.#tracer.trace({
      ...fromSource(this.#family, source),
      protocol: protocol.toLowerCase() as 'tcp' | 'udp' | 'sctp',
      sourcePort: 40_000,
      destination: addressOf(this.#family, number, destination),
      destinationPort: isNodePort ? 30_000 + number : 80,
    });
  }
}

function fromSource(family: Family, source: Source): Pick<Packet, 'from' | 'source' | 'inInterface'> {
  const text = trafficAddresses[family][source];
  switch (source) {
    case 'node':
    case 'localhost':
      return { from: 'local', source: text };
    case 'pod':
    case 'localEndpoint':
      return { from: 'outside', source: text, inInterface: 'veth9' };
    case 'outside':
    case 'stranger':
      return { from: 'outside', source: text, inInterface: 'eth0' };
  }
}

/** `all`, `local masq`, `drop`, `reject icmp-port-unreachable`, `untouched`; throws for what no cell of a matrix can be. */
function inShort(outcomes: readonly Outcome[], addresses: TrafficAddresses): string {
  if (outcomes.some((outcome) => outcome.undecided)) throw new Error('a rule could not be judged');
  const [first] = outcomes;
  if (first === undefined) throw new Error('no outcome');
  if (outcomes.length === 1 && first.verdict !== 'accept') {
    return [first.verdict, ...(first.rejectWith === undefined ? [] : [first.rejectWith])].join(' ');
  }
  const reached = outcomes.map((outcome) => outcome.destination).toSorted();
  const masqueraded = new Set(outcomes.map((outcome) => outcome.masqueraded));
  if (outcomes.some((outcome) => outcome.verdict !== 'accept') || masqueraded.size > 1)
    throw new Error(`different outcomes: ${JSON.stringify(outcomes)}`);
  const { localEndpoint: local, remoteEndpoint: remote } = addresses;
  const isEven = outcomes.every((outcome) => Math.abs(outcome.probability - 1 / outcomes.length) < 1e-6);
  const isRouted = outcomes.every((outcome) => outcome.destinationPort === 8080);
  const where = { [local]: 'local', [remote]: 'remote', [[local, remote].toSorted().join()]: 'all' }[
    reached.join()
  ];
  if (where === undefined || !isRouted || !isEven) {
    if (outcomes.length === 1 && !isRouted && !first.masqueraded) return 'untouched';
    throw new Error(`not evenly to endpoints: ${JSON.stringify(outcomes)}`);
  }
  return first.masqueraded ? `${where} masq` : where;
}
