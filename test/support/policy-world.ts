import {
  decodeAs,
  type Labels,
  type NamedPort,
  type Namespace,
  type NetworkPolicy,
  type Pod,
  type Protocol,
} from '../../pkg/api/index.ts';
import { familyOf } from '../../pkg/net/index.ts';
import { evaluate, type Packet, type PolicyWorld, type Verdict } from '../../pkg/policy/decide/index.ts';

/** A running pod `namespace/name` with these addresses (of both families, or one). */
export function pod(path: string, ips: readonly string[], rest: Partial<Pod> = {}): Pod {
  const [namespace = '', name = ''] = path.split('/');
  return {
    kind: 'Pod',
    namespace,
    name,
    uid: `uid-of-${name}`,
    labels: { app: name },
    nodeName: 'node-1',
    hostNetwork: false,
    addresses: ips.map((ip) => ({ ip, family: familyOf(ip) ?? failAddress(ip) })),
    phase: 'Running',
    ready: true,
    terminating: false,
    namedPorts: [],
    ...rest,
  };
}

function failAddress(ip: string): never {
  throw new RangeError(`${ip} is no address`);
}

/** Container ports in short: `web=TCP/8080`. */
export function namedPorts(...texts: readonly string[]): readonly NamedPort[] {
  return texts.map((text) => {
    const [name = '', protocol = '', port = ''] = text.split(/[=/]/);
    return { name, protocol: protocol as Protocol, port: Number(port) };
  });
}

export function namespace(name: string, labels: Labels = {}): Namespace {
  return {
    kind: 'Namespace',
    name,
    namespace: '',
    labels: { ...labels, 'kubernetes.io/metadata.name': name },
  };
}

/** A policy `namespace/name` with a `spec` as people write it, through the decoder and its defaults. */
export function policy(path: string, spec: unknown): NetworkPolicy {
  const [namespace, name] = path.split('/');
  const result = decodeAs('NetworkPolicy', { metadata: { namespace, name }, spec });
  if (result.outcome === 'object' && result.object.kind === 'NetworkPolicy') return result.object;
  throw new RangeError(`${path} is no NetworkPolicy: ${JSON.stringify(result)}`);
}

/** The verdict on `from to protocol/port`; the ends are addresses, or pods `namespace/name`, which stand for their first address. */
export function judge(world: PolicyWorld, connection: string): Verdict {
  const [from = '', to = '', what = ''] = connection.split(/ (?:to )?/);
  const [protocol = '', port = '0'] = what.split('/');
  const packet: Packet = {
    source: addressOf(world, from),
    destination: addressOf(world, to),
    protocol: protocol as Packet['protocol'],
    destinationPort: Number(port),
  };
  return evaluate(world, packet);
}

function addressOf(world: PolicyWorld, end: string): string {
  if (familyOf(end) !== undefined) return end;
  const found = world.pods.find(({ namespace, name }) => `${namespace}/${name}` === end);
  return found?.addresses[0]?.ip ?? failAddress(end);
}
