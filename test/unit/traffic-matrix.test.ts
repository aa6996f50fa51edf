import { describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import type { ServiceRulesOptions } from '../../pkg/service/iptables/index.ts';
import {
  type Destination,
  type ServiceTraffic,
  type Source,
  trafficService,
  trafficWith,
} from '../support/service-traffic.ts';

/** From and to; then for a Service with both policies Cluster, with external Local, with internal Local. */
type Row = readonly [string, string, string, string];
type Matrix = readonly Row[];

const families = ['IPv4', 'IPv6'] as const;
const protocols = ['TCP', 'UDP', 'SCTP'] as const;

/** kube-proxy's behaviour, row by row. */
const base: Matrix = [
  ['pod → ClusterIP', 'all', 'all', 'local'],
  ['pod → NodePort', 'all masq', 'all', 'all masq'],
  ['pod → VIP', 'all masq', 'all', 'all masq'],
  ['pod → external IP', 'all masq', 'all', 'all masq'],
  ['node → ClusterIP', 'all masq', 'all masq', 'local masq'],
  ['node → NodePort', 'all masq', 'all masq', 'all masq'],
  ['localhost → localhost NodePort', 'all masq', 'all masq', 'all masq'],
  ['node → VIP', 'all masq', 'all masq', 'all masq'],
  ['node → external IP', 'all masq', 'all masq', 'all masq'],
  ['outside → ClusterIP', 'all masq', 'all masq', 'local masq'],
  ['outside → NodePort', 'all masq', 'local', 'all masq'],
  ['outside → VIP', 'all masq', 'local', 'all masq'],
  ['outside → external IP', 'all masq', 'local', 'all masq'],
];

/** The same with some rows replaced, and rows added that have no name in it. */
function but(matrix: Matrix, ...rows: Matrix): Matrix {
  const others = new Map(rows.map((row) => [row[0], row]));
  const names = new Set(matrix.map((row) => row[0]));
  return [...matrix.map((row) => others.get(row[0]) ?? row), ...rows.filter((row) => !names.has(row[0]))];
}

const ranges = { IPv4: ['203.0.113.0/24'], IPv6: ['2001:db8:203::/48'] };
const rangesWithNode = { IPv4: [...ranges.IPv4, '192.168.0.0/24'], IPv6: [...ranges.IPv6, 'fd00:192::/64'] };

interface Configuration {
  readonly name: string;
  readonly options?: Partial<ServiceRulesOptions>;
  readonly sourceRanges?: Readonly<Record<Family, readonly string[]>>;
  readonly matrix: Matrix;
}

const configurations: readonly Configuration[] = [
  { name: 'base', matrix: base },
  {
    name: 'base, pods known by the prefix of their interfaces',
    options: { detector: { kind: 'interface-prefix', prefix: 'veth' } },
    matrix: base,
  },
  {
    name: 'base, pods known by their bridge',
    options: { detector: { kind: 'bridge', name: 'veth9' } },
    matrix: base,
  },
  {
    name: 'no local detector',
    options: { detector: undefined },
    matrix: but(
      base,
      ['pod → NodePort', 'all masq', 'local', 'all masq'],
      ['pod → VIP', 'all masq', 'local', 'all masq'],
      ['pod → external IP', 'all masq', 'local', 'all masq'],
      ['node → ClusterIP', 'all', 'all', 'local'],
      ['outside → ClusterIP', 'all', 'all', 'local'],
    ),
  },
  {
    name: 'masqueradeAll',
    options: { masqueradeAll: true },
    matrix: but(base, ['pod → ClusterIP', 'all masq', 'all masq', 'local masq']),
  },
  {
    name: 'source ranges',
    sourceRanges: ranges,
    matrix: but(
      base,
      ['pod → VIP', 'drop', 'drop', 'drop'],
      ['node → VIP', 'drop', 'drop', 'drop'],
      ['stranger → VIP', 'drop', 'drop', 'drop'],
      ['stranger → ClusterIP', 'all masq', 'all masq', 'local masq'],
      ['stranger → NodePort', 'all masq', 'local', 'all masq'],
      ['stranger → external IP', 'all masq', 'local', 'all masq'],
    ),
  },
  {
    name: 'source ranges that hold the node',
    sourceRanges: rangesWithNode,
    matrix: but(base, ['pod → VIP', 'drop', 'drop', 'drop'], ['stranger → VIP', 'drop', 'drop', 'drop']),
  },
];

/** Nobody serves node ports on ::1. */
function ofFamily(matrix: Matrix, family: Family): Matrix {
  if (family === 'IPv4') return matrix;
  return but(matrix, ['localhost → localhost NodePort', 'untouched', 'untouched', 'untouched']);
}

function trafficOf(
  family: Family,
  { options, sourceRanges }: Omit<Configuration, 'name' | 'matrix'>,
): ServiceTraffic {
  const shared = { loadBalancerSourceRanges: sourceRanges?.[family] ?? [] };
  const objects = [
    trafficService(family, 1, shared),
    trafficService(family, 2, { ...shared, externalTrafficPolicy: 'Local' }),
    trafficService(family, 3, { ...shared, internalTrafficPolicy: 'Local' }),
  ];
  return trafficWith(family, objects, options);
}

const services = [1, 2, 3] as const;

describe.each(families)('%s', (family) => {
  describe.each(configurations)('$name', ({ matrix, ...configuration }) => {
    const traffic = trafficOf(family, configuration);
    const expected = ofFamily(matrix, family);

    test.each(protocols)('%s: which endpoints, and whether masqueraded', (protocol) => {
      const actual = expected.map(([row]): Row => {
        const [source, destination] = row.split(' → ') as [Source, Destination];
        const [one, two, three] = services.map((number) =>
          traffic.connect(source, number, destination, protocol),
        );
        return [row, one ?? '', two ?? '', three ?? ''];
      });
      expect(actual).toEqual(expected);
    });

    test.each(protocols)('%s: an endpoint that reaches itself is always masqueraded', (protocol) => {
      // The source ranges leave the pods out of the load-balancer address.
      const destinations: readonly Destination[] = [
        'ClusterIP',
        'NodePort',
        'external IP',
        ...(configuration.sourceRanges === undefined ? ['VIP' as const] : []),
      ];
      const notMasqueraded = destinations.flatMap((destination) =>
        services
          .filter((number) => !traffic.isHairpinMasqueraded(number, destination, protocol))
          .map((number) => `${destination} of svc${number}`),
      );
      expect(notMasqueraded).toEqual([]);
    });
  });
});
