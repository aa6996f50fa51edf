import { describe, expect, test } from 'vitest';
import { endpoint, endpointPort, endpointSlice, service } from '../../../test/support/service-objects.ts';
import type { EndpointSlice } from '../../api/index.ts';
import type { Family } from '../../net/index.ts';
import { routedPorts } from './routed-port.ts';
import { type ServiceEndpoint, serviceEndpoints } from './service-endpoints.ts';

function endpointsOf(slices: readonly EndpointSlice[], family: Family = 'IPv4'): readonly ServiceEndpoint[] {
  const [port] = routedPorts(service(), family);
  if (port === undefined) throw new Error('no port');
  return serviceEndpoints(port, slices, 'node-a');
}

function addresses(slices: readonly EndpointSlice[], family?: Family): readonly string[] {
  return endpointsOf(slices, family).map((one) => one.address);
}

describe('serviceEndpoints', () => {
  test('sorts by the text of address and port', () => {
    const slices = [endpointSlice(['10.0.0.9', '10.0.0.10']), endpointSlice(['10.0.0.100'])];
    expect(addresses(slices)).toEqual(['10.0.0.100:8080', '10.0.0.10:8080', '10.0.0.9:8080']);
  });

  test('writes IPv6 addresses in brackets', () => {
    expect(addresses([endpointSlice(['fd00:10::1'])], 'IPv6')).toEqual(['[fd00:10::1]:8080']);
  });

  test('takes slices of its own family only', () => {
    const slices = [endpointSlice(['10.0.0.1']), endpointSlice(['fd00:10::1'])];
    expect(addresses(slices)).toEqual(['10.0.0.1:8080']);
  });

  test('takes ports of the same name and protocol only', () => {
    const ports = [
      endpointPort({ port: 1 }),
      endpointPort({ name: '', port: 2 }),
      endpointPort({ name: 'p81', port: 3 }),
      endpointPort({ protocol: 'UDP', port: 4 }),
    ];
    expect(addresses([endpointSlice(['10.0.0.1'], { ports })])).toEqual(['10.0.0.1:1']);
  });

  test('counts two ports of one address as two endpoints', () => {
    const slices = [
      endpointSlice(['10.0.0.1']),
      endpointSlice(['10.0.0.1'], { ports: [endpointPort({ port: 8081 })] }),
    ];
    expect(addresses(slices)).toEqual(['10.0.0.1:8080', '10.0.0.1:8081']);
  });

  test('tells local endpoints by the name of the node; without one they are not local', () => {
    const slice = endpointSlice([
      endpoint('10.0.0.1', { nodeName: 'node-a' }),
      endpoint('10.0.0.2', { nodeName: 'node-b' }),
      endpoint('10.0.0.3'),
    ]);
    expect(endpointsOf([slice]).map((one) => one.isLocal)).toEqual([true, false, false]);
  });
});

describe('one address in two entries', () => {
  test.each<[string, string, string, string]>([
    ['the one that is not terminating wins', 'ST', 'R', 'R'],
    ['even over one that says it is ready', 'RST', 'S', 'S'],
    ['of two that are not terminating, the ready one wins', 'S', 'RS', 'RS'],
    ['of two that are terminating, the serving one wins', 'T', 'ST', 'ST'],
  ])('%s', (_, one, other, winner) => {
    const slices = [
      endpointSlice([endpoint('10.0.0.1', { flags: one })], { name: 'a' }),
      endpointSlice([endpoint('10.0.0.1', { flags: other })], { name: 'b' }),
    ];
    const { isLocal: _isLocal, ...expected } = endpointsOf([
      endpointSlice([endpoint('10.0.0.1', { flags: winner })]),
    ])[0] as ServiceEndpoint;
    for (const order of [slices, slices.toReversed()]) {
      expect(endpointsOf(order)).toEqual([{ ...expected, isLocal: false }]);
    }
  });

  test('within one slice just the same', () => {
    const slice = endpointSlice([endpoint('10.0.0.1', { flags: 'ST' }), endpoint('10.0.0.1')]);
    expect(endpointsOf([slice])).toMatchObject([{ ready: true, terminating: false }]);
  });

  test('that differ in nothing that ranks them: the order of slices does not decide', () => {
    const slices = [
      endpointSlice([endpoint('10.0.0.1', { nodeName: 'node-a', zoneHints: ['a'] })], { name: 'a' }),
      endpointSlice([endpoint('10.0.0.1', { nodeName: 'node-b', zoneHints: ['b'] })], { name: 'b' }),
    ];
    expect(endpointsOf(slices)).toEqual(endpointsOf(slices.toReversed()));
  });
});
