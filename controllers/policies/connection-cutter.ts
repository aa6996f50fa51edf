import { setImmediate } from 'node:timers/promises';
import type { NetworkPolicy, Pod, PolicyType } from '../../pkg/api/index.ts';
import { deleteFlows, type Flow, type FlowMatch, listFlows } from '../../pkg/apply/index.ts';
import { type Family, familyOf } from '../../pkg/net/index.ts';
import {
  evaluate,
  isPolicyPod,
  type Packet,
  type PolicyWorld,
  profilesOf,
} from '../../pkg/policy/decide/index.ts';
import type { CommandRunner } from '../../pkg/runtime/index.ts';

/** What the connections of this node are judged by: the state that the rules in the kernel were made from. */
export interface ConnectionWorld extends PolicyWorld {
  readonly nodeName: string;
  /** All addresses of the node itself, canonical. */
  readonly nodeAddresses: readonly string[];
}

/**
 * The pods, by their addresses, whose verdicts a change may have touched, at either end of a connection: those that a
 * policy which came, changed or went selects, and those whose labels, or whose namespace's labels, changed.
 */
export type ChangedPods = ReadonlySet<string> | 'all';

/** Whether the policies of this node's pods forbid the connection now. */
export type ConnectionJudge = (flow: Flow) => boolean;

export interface CutOptions {
  readonly commands: CommandRunner;
  readonly families: readonly Family[];
  readonly world: ConnectionWorld;
  readonly changed: ChangedPods;
  readonly signal?: AbortSignal;
}

/** So many are judged before others have their turn: one verdict may have to look at thousands of blocks. */
const judgedAtOnce = 500;

/**
 * For `--policy-established=cut`, after the rules are in the kernel: takes the connections that are forbidden now out of conntrack,
 * and only those. What they send from then on is judged like the first packet of a connection. Returns how many
 * there were. Throws a WeirError; nothing is lost by doing all of it again.
 *
 * Some things conntrack does not tell: a connection that a helper expected (the data of FTP) is judged as if it stood alone,
 * and an ICMP flow or another without ports by its two ends only.
 */
export async function cutForbiddenConnections(options: CutOptions): Promise<number> {
  const { commands, world, changed, signal } = options;
  const addresses = [...addressesToList(world, changed)];
  const judge = createConnectionJudge(world);
  let cut = 0;
  for (const family of options.families) {
    const ofFamily = new Set(addresses.filter((address) => familyOf(address) === family));
    if (ofFamily.size === 0) continue;
    const flows = await listFlows(commands, family, ofFamily, signal);
    const forbidden: Flow[] = [];
    for (let first = 0; first < flows.length; first += judgedAtOnce) {
      forbidden.push(...flows.slice(first, first + judgedAtOnce).filter(judge));
      await setImmediate();
    }
    cut += await deleteFlows(commands, connectionsOf(forbidden), signal);
  }
  return cut;
}

/**
 * Judges as the rules do: each half where its pod lives, the source as the connection began, the destination behind a
 * Service, and never what comes from this node or ends at it.
 */
export function createConnectionJudge(world: ConnectionWorld): ConnectionJudge {
  const nodeAddresses = new Set(world.nodeAddresses);
  const podsByAddress = groupByAddress(world.pods);
  const namespaces = new Map(world.namespaces.map((namespace) => [namespace.name, namespace]));
  const halves = (['Ingress', 'Egress'] as const).map((direction) => ({
    direction,
    isolated: isolatedPods(world, direction),
  }));
  const verdicts = new Map<string, boolean>();

  const isForbidden = (packet: Packet): boolean => {
    const sources = podsByAddress.get(packet.source) ?? [];
    const destinations = podsByAddress.get(packet.destination) ?? [];
    return halves.some(({ direction, isolated }) => {
      const [ends, others] = direction === 'Ingress' ? [destinations, sources] : [sources, destinations];
      const judged = ends.filter((pod) => isolated.has(pod));
      if (judged.length === 0) return false;
      // A pod that reaches itself through a Service is both ends.
      const pods = packet.source === packet.destination ? judged : [...judged, ...others];
      const policies = [...new Set(judged.flatMap((pod) => isolated.get(pod) ?? []))];
      const known = [...new Set(pods.map((pod) => pod.namespace))].flatMap(
        (name) => namespaces.get(name) ?? [],
      );
      const { ingress, egress } = evaluate({ policies, pods, namespaces: known }, packet);
      return (direction === 'Ingress' ? ingress : egress).outcome === 'denied';
    });
  };

  return (flow) => {
    const packet = packetOf(flow);
    if (isOfNode(packet.source, nodeAddresses) || isOfNode(packet.destination, nodeAddresses)) return false;
    const key = connectionKey(flow);
    let forbidden = verdicts.get(key);
    if (forbidden === undefined) {
      forbidden = isForbidden(packet);
      verdicts.set(key, forbidden);
    }
    return forbidden;
  };
}

/**
 * What to delete. Flows that differ only in the client's port, or in the address by which the client reached the endpoint,
 * share their verdict and go together, because each deletion costs a walk through the whole table.
 */
function connectionsOf(flows: readonly Flow[]): readonly FlowMatch[] {
  const matches = new Map<string, FlowMatch>();
  for (const flow of flows) {
    const { family, protocol, original, reply } = flow;
    const port = reply.sourcePort === undefined ? {} : { sourcePort: reply.sourcePort };
    matches.set(connectionKey(flow), {
      family,
      protocol,
      original: { source: original.source },
      reply: { source: reply.source, ...port },
    });
  }
  return [...matches].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, match]) => match);
}

/** All that a verdict depends on. */
function connectionKey({ protocol, original, reply }: Flow): string {
  return `${original.source} ${reply.source} ${protocol} ${reply.sourcePort ?? ''}`;
}

/** Flows of other pods need not be looked at. Empty when no pod of this node is isolated. */
function addressesToList(world: ConnectionWorld, changed: ChangedPods): ReadonlySet<string> {
  const isolated = [...isolatedPods(world, 'Ingress').keys(), ...isolatedPods(world, 'Egress').keys()];
  if (changed !== 'all') return isolated.length === 0 ? new Set() : changed;
  return new Set(isolated.flatMap((pod) => pod.addresses.map(({ ip }) => ip)));
}

/** The pods of this node that policies isolate, each with those policies: all that can forbid a connection here. */
function isolatedPods(
  world: ConnectionWorld,
  direction: PolicyType,
): ReadonlyMap<Pod, readonly NetworkPolicy[]> {
  const local = world.pods.filter((pod) => pod.nodeName === world.nodeName);
  const profiles = profilesOf(direction, local, world.policies);
  return new Map(profiles.flatMap(({ pods, policies }) => pods.map((pod) => [pod, policies] as const)));
}

function groupByAddress(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const owned = pods.filter(isPolicyPod).flatMap((pod) => pod.addresses.map(({ ip }) => [ip, pod] as const));
  const groups = new Map<string, Pod[]>();
  for (const [ip, pod] of owned) {
    const group = groups.get(ip);
    if (group === undefined) groups.set(ip, [pod]);
    else group.push(pod);
  }
  return groups;
}

function packetOf({ protocol, original, reply }: Flow): Packet {
  return {
    source: original.source,
    destination: reply.source,
    protocol: protocolOf(protocol),
    destinationPort: reply.sourcePort ?? 0,
  };
}

function protocolOf(number: number): Packet['protocol'] {
  switch (number) {
    case 6:
      return 'TCP';
    case 17:
      return 'UDP';
    case 132:
      return 'SCTP';
    default:
      return 'ICMP';
  }
}

/** Such packets do not cross `FORWARD`. A process of the node may also come from any loopback address. */
function isOfNode(address: string, nodeAddresses: ReadonlySet<string>): boolean {
  return nodeAddresses.has(address) || address.startsWith('127.') || address === '::1';
}
