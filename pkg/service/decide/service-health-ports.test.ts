import { expect, test } from 'vitest';
import {
  endpoint,
  endpointPort,
  endpointSlice,
  service,
  servicePort,
} from '../../../test/support/service-objects.ts';
import type { Endpoint, Service } from '../../api/index.ts';
import { serviceHealthPort } from './service-health-ports.ts';

const local = (ip: string, flags = 'RS'): Endpoint => endpoint(ip, { flags, nodeName: 'node-a' });
const balanced: Partial<Service> = {
  type: 'LoadBalancer',
  externalTrafficPolicy: 'Local',
  healthCheckNodePort: 31_000,
};

test.each<[string, readonly Endpoint[], number]>([
  ['none at all', [], 0],
  ['ready ones of this node', [local('10.0.1.1'), local('10.0.1.2')], 2],
  ['none of other nodes', [endpoint('10.0.2.1', { nodeName: 'node-b' }), local('10.0.1.1')], 1],
  ['none without a node', [endpoint('10.0.2.1')], 0],
  ['none that are not ready', [local('10.0.1.1', ''), local('10.0.1.2', 'S')], 0],
  ['none that serve while they terminate', [local('10.0.1.1', 'ST')], 0],
])('counts %s', (_, endpoints, count) => {
  expect(serviceHealthPort(service(balanced), [endpointSlice(endpoints)], 'IPv4', 'node-a')).toEqual({
    port: 31_000,
    localEndpoints: count,
  });
});

test('counts an address once, over all ports and slices', () => {
  const ports = [servicePort(), servicePort({ name: 'p81', port: 81 })];
  const both = [endpointPort(), endpointPort({ name: 'p81', port: 8081 })];
  const slices = [
    endpointSlice([local('10.0.1.1')], { ports: both }),
    endpointSlice([local('10.0.1.1'), local('10.0.1.2')], { name: 'other' }),
  ];
  expect(serviceHealthPort(service({ ...balanced, ports }), slices, 'IPv4', 'node-a')?.localEndpoints).toBe(
    2,
  );
});

test('each family counts its own', () => {
  const slices = [endpointSlice([local('10.0.1.1')]), endpointSlice([local('fd00::1'), local('fd00::2')])];
  const count = (family: 'IPv4' | 'IPv6'): number | undefined =>
    serviceHealthPort(service(balanced), slices, family, 'node-a')?.localEndpoints;
  expect([count('IPv4'), count('IPv6')]).toEqual([1, 2]);
});

test.each<[string, Partial<Service>]>([
  ['without a number', { ...balanced, healthCheckNodePort: 0 }],
  ['with traffic policy Cluster', { ...balanced, externalTrafficPolicy: 'Cluster' }],
  ['of type NodePort', { ...balanced, type: 'NodePort' }],
  ['of another proxy', { ...balanced, otherProxy: true }],
  ['of the other family', { ...balanced, clusterIPs: { IPv6: 'fd00:96::10' } }],
])('no port for a Service %s', (_, changes) => {
  expect(serviceHealthPort(service(changes), [], 'IPv4', 'node-a')).toBeUndefined();
});
