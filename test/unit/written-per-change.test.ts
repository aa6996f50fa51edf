import { describe, expect, test } from 'vitest';
import { namespacedName } from '../../pkg/api/index.ts';
import type { Plan } from '../../pkg/kernel/index.ts';
import { RenderedNode, type ServiceObjects, serviceOptions } from '../support/rendered-snapshot.ts';
import { endpoint, endpointSlice, service, servicePort } from '../support/service-objects.ts';
import { manyServices } from '../support/service-states.ts';

const topology = { nodeName: 'node-a', zone: undefined };

interface Cost {
  readonly written: number;
  readonly deleted: number;
  readonly members: number;
}

function costOf(plan: Plan): Cost {
  const members = [...plan.addMembers, ...plan.removeMembers].reduce(
    (sum, change) => sum + change.members.length,
    0,
  );
  return { written: plan.writeChains.length, deleted: plan.deleteChains.length, members };
}

function filledNode(): RenderedNode {
  const node = new RenderedNode(serviceOptions('IPv4'), topology);
  for (const one of manyServices('IPv4', 1000)) node.set(one);
  node.sync();
  return node;
}

function serviceWith(ips: readonly string[], changes: Parameters<typeof service>[0] = {}): ServiceObjects {
  return {
    service: service({ clusterIPs: { IPv4: '10.100.250.3' }, ...changes }),
    slices: [
      endpointSlice(ips.map((ip) => endpoint(ip, { nodeName: ip.endsWith('1') ? 'node-a' : 'node-b' }))),
    ],
  };
}

describe('among 1,000 Services', () => {
  const node = filledNode();
  node.set(
    serviceWith(['10.0.0.9'], {
      name: 'other',
      clusterIPs: { IPv4: '10.100.250.9' },
      externalIPs: ['192.0.2.9'],
    }),
  );
  node.sync();

  test('a sync without a change writes nothing', () => {
    expect(costOf(node.sync())).toEqual({ written: 0, deleted: 0, members: 0 });
  });

  test('a new Service writes its chain and its place in the dispatch', () => {
    node.set(serviceWith(['10.0.0.1', '10.0.0.2']));
    expect(costOf(node.sync())).toEqual({ written: 2, deleted: 0, members: 3 });
  });

  test('the same Service told again writes nothing', () => {
    node.set(serviceWith(['10.0.0.1', '10.0.0.2']));
    expect(costOf(node.sync())).toEqual({ written: 0, deleted: 0, members: 0 });
  });

  test('a replaced endpoint writes one chain', () => {
    node.set(serviceWith(['10.0.0.1', '10.0.0.3']));
    expect(costOf(node.sync())).toEqual({ written: 1, deleted: 0, members: 2 });
  });

  test('the last endpoint that goes takes the chain and its place with it', () => {
    node.set(serviceWith([]));
    expect(costOf(node.sync())).toEqual({ written: 1, deleted: 1, members: 4 });
  });

  test('a load balancer with policy Local writes its four chains and three places', () => {
    node.set(
      serviceWith(['10.0.0.1', '10.0.0.2'], {
        type: 'LoadBalancer',
        ports: [servicePort({ nodePort: 32_767 })],
        loadBalancerIPs: ['198.51.100.1'],
        loadBalancerSourceRanges: ['203.0.113.0/24'],
        externalTrafficPolicy: 'Local',
      }),
    );
    expect(costOf(node.sync())).toMatchObject({ written: 7, deleted: 0 });
  });

  test('a Service that goes leaves its place and takes its chains', () => {
    node.delete(namespacedName('ns1', 'svc1'));
    expect(costOf(node.sync())).toMatchObject({ written: 3, deleted: 4 });
  });
});

test('one of 150 endpoints that goes writes its group and the weights', () => {
  const node = new RenderedNode(serviceOptions('IPv4'), topology);
  const ips = Array.from({ length: 150 }, (_, index) => `10.0.1.${index}`);
  node.set(serviceWith(ips));
  node.sync();
  node.set(serviceWith(ips.slice(1)));
  expect(costOf(node.sync())).toEqual({ written: 2, deleted: 0, members: 1 });
});

test('a restart beside the rules of the process before writes nothing', () => {
  const node = filledNode();
  const again = new RenderedNode(serviceOptions('IPv4'), topology, node.kernel());
  for (const one of manyServices('IPv4', 1000).toReversed()) again.set(one);
  const plan = again.sync();
  expect(costOf(plan)).toEqual({ written: 0, deleted: 0, members: 0 });
  expect([plan.jumps, plan.createSets, plan.earlyRules]).toEqual([[], [], []]);
});
