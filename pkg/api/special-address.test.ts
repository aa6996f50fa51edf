import { describe, expect, it } from 'vitest';
import { decoded, problemsOf, wire } from '../../test/support/wire-objects.ts';
import { decodeObject } from './decode.ts';
import type { ObjectKind } from './object.ts';

type Json = Readonly<Record<string, unknown>>;

interface Place {
  readonly kind: ObjectKind;
  /** The object with this address, the field that has it, and what of it is read. */
  readonly body: (ip: string) => Json;
  readonly field: string;
  readonly read: (object: never) => readonly unknown[];
}

const serviceSpec = { ports: [{ port: 80 }] };
const family = (ip: string): string => (ip.includes(':') ? 'IPv6' : 'IPv4');

const places: readonly Place[] = [
  {
    kind: 'Service',
    body: (ip) => ({ spec: { ...serviceSpec, clusterIP: ip } }),
    field: 'spec.clusterIP',
    read: ({ clusterIPs }: { clusterIPs: Json }) => Object.values(clusterIPs),
  },
  {
    kind: 'Service',
    body: (ip) => ({
      spec: { ...serviceSpec, clusterIP: ip, clusterIPs: [ip], ipFamilies: [family(ip)] },
    }),
    field: 'spec.clusterIPs[0]',
    read: ({ clusterIPs }: { clusterIPs: Json }) => Object.values(clusterIPs),
  },
  {
    kind: 'Service',
    body: (ip) => ({ spec: { ...serviceSpec, clusterIP: '10.0.0.1', externalIPs: [ip] } }),
    field: 'spec.externalIPs[0]',
    read: ({ externalIPs }: { externalIPs: readonly string[] }) => externalIPs,
  },
  {
    kind: 'Service',
    body: (ip) => ({
      spec: { ...serviceSpec, type: 'LoadBalancer', clusterIP: '10.0.0.1' },
      status: { loadBalancer: { ingress: [{ ip }] } },
    }),
    field: 'status.loadBalancer.ingress[0].ip',
    read: ({ loadBalancerIPs }: { loadBalancerIPs: readonly string[] }) => loadBalancerIPs,
  },
  {
    kind: 'EndpointSlice',
    body: (ip) => ({
      metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: family(ip),
      ports: [{ port: 80 }],
      endpoints: [{ addresses: [ip] }],
    }),
    field: 'endpoints[0].addresses[0]',
    read: ({ endpoints }: { endpoints: readonly { ip: string }[] }) => endpoints.map(({ ip }) => ip),
  },
  {
    kind: 'Pod',
    body: (ip) => ({ status: { podIP: ip, podIPs: [{ ip }] } }),
    field: 'status.podIPs[0].ip',
    read: ({ addresses }: { addresses: readonly { ip: string }[] }) => addresses.map(({ ip }) => ip),
  },
  {
    kind: 'Pod',
    body: (ip) => ({ status: { podIP: ip } }),
    field: 'status.podIP',
    read: ({ addresses }: { addresses: readonly { ip: string }[] }) => addresses.map(({ ip }) => ip),
  },
  {
    kind: 'Node',
    body: (ip) => ({
      metadata: { name: 'n1' },
      status: { addresses: [{ type: 'InternalIP', address: ip }] },
    }),
    field: 'status.addresses[0].address',
    read: ({ addresses }: { addresses: readonly string[] }) => addresses,
  },
];

describe.each(places)('$kind $field', ({ kind, body, field, read }) => {
  it.each(['0.0.0.0', '::', '0:0:0:0:0:0:0:0', '::ffff:10.0.0.1', '::FFFF:0a00:1'])(
    '%s is left out and named',
    (ip) => {
      const { object, problems } = decoded(kind, body(ip));
      expect(problems).toEqual([`error ${field}`]);
      expect(read(object as never)).toEqual([]);
    },
  );

  it.each(['10.0.0.1', 'fd00::1', '::ffff:1', '::1:0:0', '255.255.255.255', '239.1.1.1', 'ff0e::1'])(
    '%s stays',
    (ip) => {
      const { object, problems } = decoded(kind, body(ip));
      expect(problems).toEqual([]);
      expect(read(object as never)).toEqual([ip]);
    },
  );
});

describe('addresses that are kept where kube-proxy keeps them', () => {
  it.each(['127.0.0.1', '169.254.1.1', '::1', 'fe80::1', '224.0.0.1'])(
    '%s as a load balancer address',
    (ip) => {
      const { object, problems } = decoded('Service', {
        spec: { ...serviceSpec, clusterIP: '10.0.0.1' },
        status: { loadBalancer: { ingress: [{ ip }] } },
      });
      expect(problems).toEqual([]);
      expect(object.loadBalancerIPs).toEqual([ip]);
    },
  );
});

describe('blocks', () => {
  it('of addresses that are IPv4 written as IPv6 let nobody through', () => {
    const { object, problems } = decoded('Service', {
      spec: { ...serviceSpec, clusterIP: '10.0.0.1', loadBalancerSourceRanges: ['::ffff:10.0.0.0/104'] },
    });
    expect(problems).toEqual(['error spec.loadBalancerSourceRanges[0]']);
    expect(object.loadBalancerSourceRanges).toEqual(['::/128']);
  });

  it.each(['0.0.0.0/0', '::/0', '::ffff:0:0/96'])('%s is no pod range of a node', (cidr) => {
    const { object, problems } = decoded('Node', {
      metadata: { name: 'n1' },
      spec: { podCIDRs: [cidr, '10.1.0.0/24'] },
    });
    expect(problems).toEqual(['error spec.podCIDRs[0]']);
    expect(object.podCIDRs).toEqual(['10.1.0.0/24']);
    expect(decoded('Node', { metadata: { name: 'n1' }, spec: { podCIDR: cidr } })).toMatchObject({
      object: { podCIDRs: [] },
      problems: ['error spec.podCIDR'],
    });
  });

  it.each(['0.0.0.0/0', '0.0.0.0/32', '::/0', '::/128', '224.0.0.0/4', '255.255.255.255/32'])(
    '%s may stand in a policy',
    (cidr) => {
      const rule = { from: [{ ipBlock: { cidr } }] };
      const { object, problems } = decoded('NetworkPolicy', { spec: { podSelector: {}, ingress: [rule] } });
      expect(problems).toEqual([]);
      expect(object.ingress[0]?.peers).toEqual([{ kind: 'ipBlock', cidr, except: [] }]);
    },
  );

  it('of a policy that are IPv4 written as IPv6 are pointed at', () => {
    const rule = { from: [{ ipBlock: { cidr: '::ffff:10.0.0.0/104' } }] };
    const { problems } = decoded('NetworkPolicy', { spec: { podSelector: {}, ingress: [rule] } });
    expect(problems).toEqual(['warning spec.ingress[0].from[0].ipBlock.cidr']);
  });
});

describe('a diagnostic', () => {
  const escape = '\u001b[2J\u0000\n-A FORWARD -j ACCEPT';

  it.each<[string, ObjectKind, Json]>([
    ['a value', 'Service', { spec: { clusterIP: escape } }],
    ['a long value', 'Service', { spec: { clusterIP: 'x'.repeat(1_000_000) } }],
    ['a port name', 'Service', { spec: { clusterIP: '10.0.0.1', ports: [{ port: 80, name: escape }] } }],
    ['a field', 'NetworkPolicy', { spec: { podSelector: {}, [escape]: 1 } }],
    ['a long field', 'NetworkPolicy', { spec: { podSelector: {}, ['y'.repeat(1_000_000)]: 1 } }],
    ['a label', 'Pod', { metadata: { name: 'web', labels: { [escape]: 5 } } }],
    ['a name', 'Pod', { metadata: { name: escape } }],
  ])('shows %s on one short line without control characters', (_what, kind, body) => {
    const result = decodeObject(wire(kind, body));
    expect(problemsOf(result).length).toBeGreaterThan(0);
    const diagnostics = result.outcome === 'ignored' ? [] : result.diagnostics;
    for (const { field, message } of diagnostics) {
      expect(`${field} ${message}`).not.toMatch(/\p{Cc}/u);
      expect(`${field} ${message}`.length).toBeLessThan(400);
    }
  });
});
