import type { EndpointSlice, NamespacedName, Origin, Service, ServiceOrigin } from '../../api/index.ts';
import {
  type KernelElement,
  type Match,
  type MemberElement,
  parseRule,
  type Rule,
  type RuleElement,
} from '../../kernel/index.ts';
import type { ServiceFragment } from './service-fragment.ts';
import type { ServiceSets } from './service-names.ts';

/** A service port as it was rendered. */
export interface OriginPort {
  /** `namespace/name`, with `:port` when the port has a name. */
  readonly id: string;
  readonly nodePort: number;
  readonly fragment: ServiceFragment;
}

/** A Service with its EndpointSlices, as it was rendered. */
export interface OriginObjects {
  readonly service: Service;
  readonly slices: readonly EndpointSlice[];
}

/** The fields that an element comes from; empty for what is there whatever objects there are. */
export type OriginFinder = (element: KernelElement) => readonly Origin[];

/**
 * Finds where elements of the Service rules come from: the fields that give them their value. Looks at all Services for the first question about
 * chains and for the first about members; every other question costs what its answer does. Holds for what was rendered when it was asked for.
 * `objectsOf`: `undefined` for a Service that is gone.
 */
export function serviceOriginFinder(
  rendered: ReadonlyMap<NamespacedName, readonly OriginPort[]>,
  objectsOf: (service: NamespacedName) => OriginObjects | undefined,
  sets: ServiceSets,
): OriginFinder {
  const portsOf = portFinder(rendered);
  return (element) => {
    const rule = element.kind === 'rule' ? parseRule(element.rule) : undefined;
    const origins: Origin[] = [];
    for (const { service, port } of portsOf(element, rule)) {
      if (!holds(port, element, rule)) continue;
      const objects = objectsOf(service);
      if (objects !== undefined) origins.push(...fieldsOf(element, rule, port, objects, sets));
    }
    if (origins.length < 2) return origins;
    const unique = new Map(origins.map((origin) => [Object.values(origin).join(' '), origin]));
    return [...unique.values()];
  };
}

interface PortOfService {
  readonly service: NamespacedName;
  readonly port: OriginPort;
}

/** The service ports that may hold an element, in the order of the Services. */
function portFinder(
  rendered: ReadonlyMap<NamespacedName, readonly OriginPort[]>,
): (element: KernelElement, rule: Rule | undefined) => Iterable<PortOfService> {
  let byChain: Map<string, PortOfService[]> | undefined;
  let byMember: Map<string, PortOfService[]> | undefined;
  const indexed = (keysOf: (port: OriginPort) => Iterable<string>): Map<string, PortOfService[]> => {
    const index = new Map<string, PortOfService[]>();
    for (const [service, ports] of rendered) {
      for (const port of ports) {
        for (const key of new Set(keysOf(port))) {
          const known = index.get(key);
          if (known === undefined) index.set(key, [{ service, port }]);
          else known.push({ service, port });
        }
      }
    }
    return index;
  };
  return (element, rule) => {
    switch (element.kind) {
      case 'chain':
        byChain ??= indexed(chainsAndTargets);
        return byChain.get(element.chain) ?? [];
      case 'rule': {
        byChain ??= indexed(chainsAndTargets);
        const ports = byChain.get(element.chain);
        if (ports !== undefined) return ports;
        return rule?.target.kind === 'jump' ? (byChain.get(rule.target.chain) ?? []) : [];
      }
      case 'member':
        byMember ??= indexed(({ fragment }) => fragment.members.map(([set, member]) => `${set} ${member}`));
        return byMember.get(`${element.set} ${element.member}`) ?? [];
      case 'set':
        return [];
    }
  };
}

function* chainsAndTargets({ fragment }: OriginPort): Generator<string> {
  for (const { name } of fragment.chains) yield name;
  for (const { target } of fragment.frontends) yield target;
  if (fragment.nodePortTarget !== undefined) yield fragment.nodePortTarget;
}

function holds({ fragment, nodePort }: OriginPort, element: KernelElement, rule: Rule | undefined): boolean {
  switch (element.kind) {
    case 'chain':
      return element.table === 'nat' && hasChain(fragment, element.chain);
    case 'rule':
      if (element.table !== 'nat' || rule === undefined) return false;
      return hasChain(fragment, element.chain) || leadsInto(fragment, nodePort, rule);
    case 'member':
      return fragment.members.some(([set, member]) => set === element.set && member === element.member);
    case 'set':
      return false;
  }
}

function hasChain(fragment: ServiceFragment, name: string): boolean {
  return fragment.chains.some((chain) => chain.name === name);
}

/** Whether it is the rule of the dispatch that leads an address or a node port of this service port into its chain. */
function leadsInto(fragment: ServiceFragment, nodePort: number, { matches, target }: Rule): boolean {
  if (target.kind !== 'jump') return false;
  const [ip, port] = [destinationOf(matches), portOf(matches)];
  if (ip === undefined) return target.chain === fragment.nodePortTarget && port === nodePort;
  return fragment.frontends.some(
    (frontend) => frontend.target === target.chain && frontend.ip === ip && frontend.port === port,
  );
}

function fieldsOf(
  element: KernelElement,
  rule: Rule | undefined,
  port: OriginPort,
  objects: OriginObjects,
  sets: ServiceSets,
): readonly Origin[] {
  switch (element.kind) {
    case 'rule':
      return rule === undefined ? [] : ruleFields(element, rule, port, objects);
    case 'member':
      return memberFields(element, port, objects, sets);
    case 'chain':
    case 'set':
      return [portOrigin(port, objects)];
  }
}

function ruleFields(
  { chain }: RuleElement,
  { matches, target }: Rule,
  port: OriginPort,
  objects: OriginObjects,
): readonly Origin[] {
  if (!hasChain(port.fragment, chain)) {
    const ip = destinationOf(matches);
    return ip === undefined
      ? [fieldOf(objects, 'spec.ports.nodePort', String(port.nodePort))]
      : addressFields(ip, objects);
  }
  // Affinity first: without it the endpoint's address is in a rule of its own, which may well be taken.
  if (matches.some(({ kind }) => kind === 'recent')) return [fieldOf(objects, 'spec.sessionAffinity', '')];
  return target.kind === 'dnat' ? endpointFields(addressIn(target.to), objects) : [portOrigin(port, objects)];
}

function memberFields(
  { set, member }: MemberElement,
  port: OriginPort,
  objects: OriginObjects,
  sets: ServiceSets,
): readonly Origin[] {
  const [first = '', , third = ''] = member.split(',');
  switch (set) {
    case sets.hairpin.name:
      return endpointFields(first, objects);
    case sets.rejectNodePorts.name:
    case sets.dropNodePorts.name:
      return [fieldOf(objects, 'spec.ports.nodePort', String(port.nodePort))];
    case sets.healthCheckPorts.name:
      return [fieldOf(objects, 'spec.healthCheckNodePort', String(objects.service.healthCheckNodePort))];
    case sets.sourceRanges.name: {
      const ranges = objects.service.loadBalancerSourceRanges.filter(
        (range) => range === third || range === `${third}/${third.includes(':') ? 128 : 32}`,
      );
      return ranges.length > 0
        ? ranges.map((range) => fieldOf(objects, 'spec.loadBalancerSourceRanges', range))
        : addressFields(first, objects);
    }
    default:
      return addressFields(first, objects);
  }
}

/** Every field of a Service that says this address. */
function addressFields(ip: string, objects: OriginObjects): readonly Origin[] {
  const { clusterIPs, externalIPs, loadBalancerIPs } = objects.service;
  const fields: ServiceOrigin['field'][] = [];
  if (Object.values(clusterIPs).includes(ip)) fields.push('spec.clusterIPs');
  if (externalIPs.includes(ip)) fields.push('spec.externalIPs');
  if (loadBalancerIPs.includes(ip)) fields.push('status.loadBalancer.ingress');
  return fields.map((field) => fieldOf(objects, field, ip));
}

function endpointFields(ip: string, { slices }: OriginObjects): readonly Origin[] {
  return slices
    .filter(({ endpoints }) => endpoints.some((endpoint) => endpoint.ip === ip))
    .map(({ namespace, name }) => ({
      kind: 'EndpointSlice',
      namespace,
      name,
      field: 'endpoints.addresses',
      value: ip,
    }));
}

function portOrigin({ id }: OriginPort, objects: OriginObjects): Origin {
  const colon = id.indexOf(':');
  return fieldOf(objects, 'spec.ports', colon === -1 ? '' : id.slice(colon + 1));
}

function fieldOf({ service }: OriginObjects, field: ServiceOrigin['field'], value: string): Origin {
  return { kind: 'Service', namespace: service.namespace, name: service.name, field, value };
}

function destinationOf(matches: readonly Match[]): string | undefined {
  const match = matches.find(({ kind }) => kind === 'destination');
  return match?.kind === 'destination' ? match.cidr.replace(/\/\d+$/, '') : undefined;
}

function portOf(matches: readonly Match[]): number | undefined {
  const match = matches.find(({ kind }) => kind === 'destination-port');
  return match?.kind === 'destination-port' ? match.ports.first : undefined;
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
function addressIn(to: string): string {
  return to.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}
