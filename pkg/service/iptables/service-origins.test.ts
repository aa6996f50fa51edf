import { describe, expect, test } from 'vitest';
import {
  RenderedNode,
  type ServiceObjects,
  serviceOptions,
} from '../../../test/support/rendered-snapshot.ts';
import { endpoint, endpointSlice, service, servicePort } from '../../../test/support/service-objects.ts';
import { serviceStates } from '../../../test/support/service-states.ts';
import {
  type ApiObject,
  type EndpointSlice,
  leaveOut,
  namespacedName,
  type Origin,
} from '../../api/index.ts';
import {
  chainName,
  describeElement,
  type KernelElement,
  type KernelSnapshot,
  setName,
} from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';

const topology = { nodeName: 'node-a', zone: undefined };
const families: readonly Family[] = ['IPv4', 'IPv6'];

function nodeWith(objects: readonly ServiceObjects[], family: Family): RenderedNode {
  const node = new RenderedNode(serviceOptions(family), topology);
  for (const one of objects) node.set(one);
  node.sync();
  return node;
}

function originsOf(
  node: RenderedNode,
  objects: readonly ServiceObjects[],
  element: KernelElement,
): readonly Origin[] {
  const find = node.rules.originFinder((name) => {
    const found = objects.find((one) => namespacedName(one.service.namespace, one.service.name) === name);
    return found && { slices: [], ...found };
  });
  return find(element);
}

/** `Service ns1/svc1 spec.externalIPs 192.0.2.1` */
const inWords = ({ kind, namespace, name, field, value }: Origin): string =>
  `${kind} ${namespace}/${name} ${field} ${value}`.trimEnd();

function elementsOf({ tables, sets }: KernelSnapshot): readonly KernelElement[] {
  const elements: KernelElement[] = [];
  for (const [table, { chains }] of tables)
    for (const [chain, rules] of chains)
      for (const rule of rules === '' ? [] : rules.split('\n'))
        elements.push({ kind: 'rule', table, chain, rule });
  for (const [set, { members }] of sets)
    for (const member of members) elements.push({ kind: 'member', set, member });
  return elements;
}

/** Leads on in the dispatch, however it is cut. */
const isBranch = (element: KernelElement): boolean =>
  element.kind === 'rule' && / -j KUBE-SVC-t/.test(` ${element.rule}`);

/** A large state says the same again and again. */
const enough = 40;

/** What Services brought about: elements that are not there without any. */
function broughtAbout(kernel: KernelSnapshot, family: Family): readonly KernelElement[] {
  const empty = new Set(elementsOf(nodeWith([], family).kernel()).map(describeElement));
  const all = elementsOf(kernel).filter(
    (element) => !isBranch(element) && !empty.has(describeElement(element)),
  );
  return all.filter((_, index) => index % Math.ceil(all.length / enough) === 0);
}

/** The objects without one of the fields that an element comes from, each time the first. */
function leftOut(objects: readonly ServiceObjects[], origins: readonly Origin[]): readonly ServiceObjects[] {
  const without = <Kind extends ApiObject>(object: Kind): Kind =>
    origins.reduce((left, origin) => (leaveOut(left, origin) as Kind | undefined) ?? left, object);
  return objects.map(({ service, slices = [] }) => ({
    service: without(service),
    slices: slices.map((slice): EndpointSlice => without(slice)),
  }));
}

const everything: ServiceObjects = {
  service: service({
    type: 'LoadBalancer',
    ports: [servicePort({ nodePort: 30_080 }), servicePort({ name: 'dns', port: 53, protocol: 'UDP' })],
    externalIPs: ['192.0.2.1'],
    loadBalancerIPs: ['198.51.100.1'],
    loadBalancerSourceRanges: ['203.0.113.0/24', '192.168.0.2/32'],
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 31_000,
  }),
  slices: [endpointSlice([endpoint('10.0.1.1', { nodeName: 'node-a' }), endpoint('10.0.2.1')])],
};

describe('what a Service wrote', () => {
  const node = nodeWith([everything], 'IPv4');
  const nat = node.kernel().tables.get('nat')?.chains ?? new Map<string, string>();
  const chainOf = (prefix: string): string => [...nat.keys()].find((name) => name.startsWith(prefix)) ?? '';
  const [cluster, external, firewall] = ['KUBE-SVC-', 'KUBE-EXT-', 'KUBE-FW-'].map(chainOf);

  test.each<[string, KernelElement, readonly string[]]>([
    [
      'a chain',
      { kind: 'chain', table: 'nat', chain: chainName(cluster ?? '') },
      ['Service ns1/svc1 spec.ports p80'],
    ],
    [
      'an endpoint',
      {
        kind: 'rule',
        table: 'nat',
        chain: chainName(cluster ?? ''),
        rule: '-p tcp -j DNAT --to-destination 10.0.2.1:8080',
      },
      ['EndpointSlice ns1/svc1-ipv4 endpoints.addresses 10.0.2.1'],
    ],
    [
      'a cluster IP',
      {
        kind: 'rule',
        table: 'nat',
        chain: chainName('KUBE-SERVICES'),
        rule: `-d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j ${cluster}`,
      },
      ['Service ns1/svc1 spec.clusterIPs 10.96.0.10'],
    ],
    [
      'an external IP',
      {
        kind: 'rule',
        table: 'nat',
        chain: chainName('KUBE-SERVICES'),
        rule: `-d 192.0.2.1/32 -p tcp -m tcp --dport 80 -j ${external}`,
      },
      ['Service ns1/svc1 spec.externalIPs 192.0.2.1'],
    ],
    [
      'an address of a load balancer',
      {
        kind: 'rule',
        table: 'nat',
        chain: chainName('KUBE-SERVICES'),
        rule: `-d 198.51.100.1/32 -p tcp -m tcp --dport 80 -j ${firewall}`,
      },
      ['Service ns1/svc1 status.loadBalancer.ingress 198.51.100.1'],
    ],
    [
      'a node port',
      {
        kind: 'rule',
        table: 'nat',
        chain: chainName('KUBE-NODEPORTS'),
        rule: `-p tcp -m tcp --dport 30080 -j ${external}`,
      },
      ['Service ns1/svc1 spec.ports.nodePort 30080'],
    ],
    [
      'a source range',
      { kind: 'member', set: setName('WEIR-4-SOURCE-RANGES'), member: '198.51.100.1,tcp:80,203.0.113.0/24' },
      ['Service ns1/svc1 spec.loadBalancerSourceRanges 203.0.113.0/24'],
    ],
    [
      'a source range of one address',
      { kind: 'member', set: setName('WEIR-4-SOURCE-RANGES'), member: '198.51.100.1,tcp:80,192.168.0.2' },
      ['Service ns1/svc1 spec.loadBalancerSourceRanges 192.168.0.2/32'],
    ],
    [
      "the node's own way to an address of a load balancer",
      { kind: 'member', set: setName('WEIR-4-SOURCE-RANGES'), member: '198.51.100.1,tcp:80,198.51.100.1' },
      ['Service ns1/svc1 status.loadBalancer.ingress 198.51.100.1'],
    ],
    [
      'an endpoint that may reach itself',
      { kind: 'member', set: setName('WEIR-4-HAIRPIN'), member: '10.0.1.1,tcp:8080,10.0.1.1' },
      ['EndpointSlice ns1/svc1-ipv4 endpoints.addresses 10.0.1.1'],
    ],
    [
      'a health check port',
      { kind: 'member', set: setName('WEIR-4-HEALTH-CHECK-PORTS'), member: '0.0.0.0/1,tcp:31000' },
      ['Service ns1/svc1 spec.healthCheckNodePort 31000'],
    ],
    [
      'a rule that nobody wrote',
      { kind: 'rule', table: 'nat', chain: chainName('KUBE-SERVICES'), rule: '-d 10.9.9.9/32 -j RETURN' },
      [],
    ],
  ])('%s comes from the field that says it', (_, element, expected) => {
    expect(originsOf(node, [everything], element).map(inWords)).toEqual(expected);
  });

  test('a client that stays where it is comes from the affinity of its Service', () => {
    const objects = { ...everything, service: service({ affinitySeconds: 60 }) };
    const sticky = nodeWith([objects], 'IPv4');
    const rules = elementsOf(sticky.kernel()).filter(
      (element) => element.kind === 'rule' && element.rule.includes('-m recent'),
    );
    expect(rules).toHaveLength(4);
    for (const rule of rules)
      expect(originsOf(sticky, [objects], rule).map(inWords)).toEqual([
        'Service ns1/svc1 spec.sessionAffinity',
      ]);
  });
});

test('asks for the objects of the Services that hold an element, and of no others', () => {
  const many = Array.from({ length: 200 }, (_, index) => ({
    service: service({ name: `svc${index}`, clusterIPs: { IPv4: `10.96.1.${index}` } }),
    slices: [
      endpointSlice([endpoint(`10.0.1.${index}`)], { name: `slice${index}`, serviceName: `svc${index}` }),
    ],
  }));
  const node = nodeWith(many, 'IPv4');
  const asked: string[] = [];
  const find = node.rules.originFinder((name) => {
    asked.push(name);
    return undefined;
  });
  const elements = elementsOf(node.kernel()).filter((element) => !isBranch(element));
  for (const element of elements) {
    asked.length = 0;
    find(element);
    expect([describeElement(element), asked.length <= 1]).toEqual([describeElement(element), true]);
  }
});

describe.each(families)('every element of %s rules', (family) => {
  test.each(serviceStates(family).filter(({ objects }) => objects.length < 100))(
    'of $name has an origin, and is gone when that is left out',
    ({ objects }) => {
      const node = nodeWith(objects, family);
      for (const element of broughtAbout(node.kernel(), family)) {
        const origins = originsOf(node, objects, element);
        expect([describeElement(element), origins.length > 0]).toEqual([describeElement(element), true]);
        const after = elementsOf(nodeWith(leftOut(objects, origins), family).kernel());
        expect(after.map(describeElement)).not.toContain(describeElement(element));
      }
    },
  );
});
