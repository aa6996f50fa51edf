import { describe, expect, test } from 'vitest';
import { namespacedName, type Service } from '../../pkg/api/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { RenderedNode, type ServiceObjects, serviceOptions } from '../support/rendered-snapshot.ts';
import { type Destination, ServiceTraffic, type Source, trafficService } from '../support/service-traffic.ts';

const topology = { nodeName: 'node-a', zone: undefined };

const probes: readonly (readonly [Source, Destination])[] = [
  ['pod', 'ClusterIP'],
  ['node', 'ClusterIP'],
  ['outside', 'ClusterIP'],
  ['localEndpoint', 'ClusterIP'],
  ['outside', 'NodePort'],
  ['node', 'NodePort'],
  ['outside', 'VIP'],
  ['stranger', 'VIP'],
  ['pod', 'external IP'],
];

/**
 * Opened by one field and closed by another at the same time. Here each chain is written by itself; in a kernel, a change of
 * this size is one transaction.
 */
const twoChangesAtOnce = 'external Local, elsewhere → source ranges';

/** One Service in all its moods. */
function moods(family: Family): Readonly<Record<string, ServiceObjects | undefined>> {
  const one = (
    changes: Partial<Service> = {},
    ...endpoints: readonly ('localEndpoint' | 'remoteEndpoint')[]
  ): ServiceObjects => trafficService(family, 1, changes, endpoints);
  const both = ['localEndpoint', 'remoteEndpoint'] as const;
  const ranges = [family === 'IPv4' ? '203.0.113.0/24' : '2001:db8:203::/48'];
  return {
    'not there': undefined,
    'no endpoints': one(),
    'one endpoint here': one({}, 'localEndpoint'),
    'one endpoint elsewhere': one({}, 'remoteEndpoint'),
    'two endpoints': one({}, ...both),
    'external Local': one({ externalTrafficPolicy: 'Local' }, ...both),
    'external Local, elsewhere': one({ externalTrafficPolicy: 'Local' }, 'remoteEndpoint'),
    'internal Local': one({ internalTrafficPolicy: 'Local' }, ...both),
    'internal Local, elsewhere': one({ internalTrafficPolicy: 'Local' }, 'remoteEndpoint'),
    'source ranges': one({ loadBalancerSourceRanges: ranges }, ...both),
    affinity: one({ affinitySeconds: 60 }, ...both),
    'a cluster IP alone': one(
      {
        loadBalancerIPs: [],
        externalIPs: [],
        ports: one().service.ports.map((port) => ({ ...port, nodePort: 0 })),
      },
      ...both,
    ),
  };
}

describe.each(['IPv4', 'IPv6'] as const)('%s: on the way from one set of rules to the next', (family) => {
  const all = moods(family);

  test.each(Object.keys(all))(
    'from "%s" to any other: nobody who is served is disturbed, nobody else is let in',
    (from) => {
      const surprises: string[] = [];
      for (const to of Object.keys(all)) {
        if (`${from} → ${to}` === twoChangesAtOnce) continue;
        const node = new RenderedNode(serviceOptions(family), topology);
        enter(node, all[from]);
        node.sync();
        const before = look(family, node);
        enter(node, all[to]);
        const between: (readonly (readonly string[])[])[] = [];
        node.sync(() => between.push(look(family, node)));
        const after = look(family, node);
        for (const [index, probe] of probes.entries()) {
          // Where an endpoint asks, only its way back to itself is of interest: other endpoints may come and go.
          const ofInterest = (kinds: readonly string[]): readonly string[] =>
            probe[0] === 'localEndpoint' ? kinds.filter((kind) => kind.includes('to itself')) : kinds;
          const seen = ofInterest([...new Set(between.flatMap((kinds) => kinds[index] ?? []))]);
          const strange = surprisesOf(ofInterest(before[index] ?? []), ofInterest(after[index] ?? []), seen);
          if (strange.length > 0)
            surprises.push(`to "${to}": ${probe.join(' → ')} ends ${strange.join(', ')}`);
        }
      }
      expect(surprises).toEqual([]);
    },
  );
});

/**
 * Ends that belong to neither the old nor the new rules. Who is served before and after must be served in between, in one
 * of the two ways. Who is not may find silence for a moment, but must not be told off, nor let in where neither lets him in.
 */
function surprisesOf(
  before: readonly string[],
  after: readonly string[],
  seen: readonly string[],
): readonly string[] {
  const known = new Set([...before, ...after]);
  const strange = seen.filter((kind) => !known.has(kind));
  const served = [...known].filter((kind) => kind.includes('routed'));
  if (served.length === known.size) return strange;
  return strange.filter(
    (kind) => kind.startsWith('reject') || (served.length === 0 && kind.includes('routed')),
  );
}

function enter(node: RenderedNode, objects: ServiceObjects | undefined): void {
  if (objects === undefined) node.delete(namespacedName('ns1', 'svc1'));
  else node.set(objects);
}

function look(family: Family, node: RenderedNode): readonly (readonly string[])[] {
  const traffic = new ServiceTraffic(family, node.kernel());
  return probes.map(([source, destination]) => traffic.kindsOfEnds(source, 1, destination));
}
