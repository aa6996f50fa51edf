import { describe, expect, test } from 'vitest';
import {
  endpoint,
  endpointPort,
  endpointSlice,
  service,
  servicePort,
} from '../../../test/support/service-objects.ts';
import type { EndpointSlice, Service } from '../../api/index.ts';
import { decideService, type ServicePortDecision } from './decide-service.ts';

const topology = { nodeName: 'node-a', zone: undefined };
const local = endpoint('10.0.1.1', { nodeName: 'node-a' });
const remote = endpoint('10.0.2.1', { nodeName: 'node-b' });
const loadBalancer: Partial<Service> = {
  type: 'LoadBalancer',
  loadBalancerIPs: ['198.51.100.1'],
  ports: [servicePort({ nodePort: 30_080 })],
};

function decide(changes: Partial<Service>, slices: readonly EndpointSlice[]): ServicePortDecision {
  const [decision] = decideService(service(changes), slices, 'IPv4', topology);
  if (decision === undefined) throw new Error('no port');
  return decision;
}

describe('what becomes of traffic without an endpoint', () => {
  test.each<[string, Partial<Service>, readonly (typeof local)[], string | undefined, string | undefined]>([
    ['routed, and nothing outside to refuse', {}, [remote], undefined, undefined],
    ['no endpoints: rejected', {}, [], 'reject', undefined],
    ['no endpoints, external too: both rejected', loadBalancer, [], 'reject', 'reject'],
    ['internal Local, none here: dropped', { internalTrafficPolicy: 'Local' }, [remote], 'drop', undefined],
    ['internal Local, none anywhere: rejected', { internalTrafficPolicy: 'Local' }, [], 'reject', undefined],
    ['internal Local, one here: routed', { internalTrafficPolicy: 'Local' }, [local], undefined, undefined],
    [
      'internal Local, none here, external Cluster: only the inside dropped',
      { ...loadBalancer, internalTrafficPolicy: 'Local' },
      [remote],
      'drop',
      undefined,
    ],
    [
      'external Local, none here: only the outside dropped',
      { ...loadBalancer, externalTrafficPolicy: 'Local' },
      [remote],
      undefined,
      'drop',
    ],
    [
      'external Local, none anywhere: both rejected',
      { ...loadBalancer, externalTrafficPolicy: 'Local' },
      [],
      'reject',
      'reject',
    ],
    [
      'external Local, one here: routed',
      { ...loadBalancer, externalTrafficPolicy: 'Local' },
      [local, remote],
      undefined,
      undefined,
    ],
    [
      'external Local, the one here terminates: routed',
      { ...loadBalancer, externalTrafficPolicy: 'Local' },
      [{ ...local, ready: false, terminating: true }, remote],
      undefined,
      undefined,
    ],
    [
      'external Local without anything external: means nothing',
      { type: 'NodePort', externalTrafficPolicy: 'Local' },
      [remote],
      undefined,
      undefined,
    ],
  ])('%s', (_, changes, endpoints, internal, external) => {
    const decision = decide(changes, [endpointSlice(endpoints)]);
    expect([decision.internalRefusal, decision.externalRefusal]).toEqual([internal, external]);
  });
});

describe('decideService', () => {
  test('gathers endpoints over all slices of the family', () => {
    const slices = [endpointSlice([remote]), endpointSlice([local]), endpointSlice(['fd00:10::1'])];
    expect(decide({}, slices).endpoints.cluster.map((one) => one.ip)).toEqual(['10.0.1.1', '10.0.2.1']);
  });

  test('decides for each port by itself', () => {
    const changes = { ports: [servicePort(), servicePort({ name: 'p81', port: 81 })] };
    const slices = [endpointSlice([local], { ports: [endpointPort({ name: 'p81' })] })];
    const decisions = decideService(service(changes), slices, 'IPv4', topology);
    expect(decisions.map((one) => [one.port.name, one.internalRefusal])).toEqual([
      ['p80', 'reject'],
      ['p81', undefined],
    ]);
  });

  test('decides nothing for a family without a cluster IP', () => {
    expect(
      decideService(
        service({ clusterIPs: { IPv4: '10.96.0.1' } }),
        [endpointSlice(['fd00:10::1'])],
        'IPv6',
        topology,
      ),
    ).toEqual([]);
  });
});
