import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  endpoint,
  endpointPort,
  endpointSlice,
  service,
  servicePort,
} from '../../../test/support/service-objects.ts';
import type { EndpointSlice, Service } from '../../api/index.ts';
import {
  equalUdpFrontends,
  isStaleFlow,
  mergeUdpFrontends,
  noUdpFrontends,
  type UdpFlow,
  type UdpFrontends,
  udpFrontends,
} from './udp-flows.ts';

const dnsPort = servicePort({ name: 'dns', protocol: 'UDP', port: 53, nodePort: 30_053 });
const dns = service({
  name: 'dns',
  type: 'LoadBalancer',
  ports: [dnsPort, servicePort()],
  externalIPs: ['198.51.100.1', '2001:db8::1'],
  loadBalancerIPs: ['203.0.113.1'],
});

function slice(
  endpoints: Parameters<typeof endpointSlice>[0],
  changes: Partial<EndpointSlice> = {},
): EndpointSlice {
  const ports = [endpointPort({ name: 'dns', protocol: 'UDP', port: 5353 }), endpointPort()];
  return endpointSlice(endpoints, { serviceName: 'dns', ports, ...changes });
}

/** `address:port` → `address:port`. */
function flow(frontend: string, endpoint: string): UdpFlow {
  const [destination = '', destinationPort] = splitSocket(frontend);
  const [source = '', sourcePort] = splitSocket(endpoint);
  return {
    original: { destination, destinationPort: Number(destinationPort) },
    reply: { source, sourcePort: Number(sourcePort) },
  };
}

function splitSocket(text: string): readonly string[] {
  const colon = text.lastIndexOf(':');
  return [text.slice(0, colon), text.slice(colon + 1)];
}

const isNodePortAddress = (address: string): boolean => ['192.168.0.2', 'fd00::2'].includes(address);

function isStale(tracked: UdpFlow, frontends: UdpFrontends, former: UdpFrontends = noUdpFrontends): boolean {
  return isStaleFlow(tracked, { frontends, isNodePortAddress }, former);
}

describe('the UDP frontends of a Service', () => {
  test('are its addresses and node ports, of the family, and of its UDP ports only', () => {
    expect(udpFrontends(dns, [slice(['10.0.0.1'])], 'IPv4')).toEqual({
      sockets: new Map([
        ['10.96.0.10 53', new Set(['10.0.0.1 5353'])],
        ['203.0.113.1 53', new Set(['10.0.0.1 5353'])],
        ['198.51.100.1 53', new Set(['10.0.0.1 5353'])],
      ]),
      nodePorts: new Map([[30_053, new Set(['10.0.0.1 5353'])]]),
    });
    expect(udpFrontends(dns, [slice(['fd01::1'])], 'IPv6').sockets).toEqual(
      new Map([
        ['fd00:96::10 53', new Set(['fd01::1 5353'])],
        ['2001:db8::1 53', new Set(['fd01::1 5353'])],
      ]),
    );
  });

  const none: readonly [string, Service | undefined][] = [
    ['that is gone', undefined],
    ['without UDP', service({ ports: [servicePort({ nodePort: 30_080 })] })],
    ['that another proxy serves', { ...dns, otherProxy: true }],
    ['that is headless', { ...dns, clusterIPs: {}, headless: true }],
    ['without an address of the family', { ...dns, clusterIPs: { IPv6: 'fd00:96::10' } }],
  ];
  test.each(none)('of a Service %s are none', (_case, one) => {
    expect(udpFrontends(one, [slice(['10.0.0.1'])], 'IPv4')).toEqual(noUdpFrontends);
  });

  test.each([
    ['ready', 'RS', true],
    ['serving while it terminates', 'ST', true],
    ['serving without being ready', 'S', true],
    ['ready without serving, as published before it is', 'R', true],
    ['terminating', 'T', false],
    ['neither ready nor serving', '', false],
  ])('keep flows with an endpoint that is %s: %s', (_case, flags, keeps) => {
    const { nodePorts } = udpFrontends(dns, [slice([endpoint('10.0.0.1', { flags })])], 'IPv4');
    expect(nodePorts.get(30_053)?.has('10.0.0.1 5353')).toBe(keeps);
  });

  test('keep flows with far endpoints, whatever hints and policies say', () => {
    const far = endpoint('10.0.0.1', { nodeName: 'other', zoneHints: ['b'], nodeHints: ['other'] });
    const local = { ...dns, internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' } as const;
    const { sockets } = udpFrontends(local, [slice([far])], 'IPv4');
    expect(sockets.get('10.96.0.10 53')).toEqual(new Set(['10.0.0.1 5353']));
  });

  test('keep flows with an address that serves anywhere in the slices', () => {
    const old = slice([endpoint('10.0.0.1', { flags: 'T' })], { name: 'a' });
    const young = slice(['10.0.0.1'], { name: 'b' });
    for (const slices of [
      [old, young],
      [young, old],
    ])
      expect(udpFrontends(dns, slices, 'IPv4').nodePorts.get(30_053)).toEqual(new Set(['10.0.0.1 5353']));
  });

  test('that two Services claim keep the flows of both', () => {
    const one = udpFrontends(dns, [slice(['10.0.0.1'])], 'IPv4');
    const two = udpFrontends(dns, [slice(['10.0.0.2'])], 'IPv4');
    expect(mergeUdpFrontends([one, two]).sockets.get('10.96.0.10 53')).toEqual(
      new Set(['10.0.0.1 5353', '10.0.0.2 5353']),
    );
  });

  test('are equal when they lead to the same', () => {
    const one = udpFrontends(dns, [slice(['10.0.0.1', '10.0.0.2'])], 'IPv4');
    expect(equalUdpFrontends(one, udpFrontends(dns, [slice(['10.0.0.2', '10.0.0.1'])], 'IPv4'))).toBe(true);
    expect(equalUdpFrontends(one, udpFrontends(dns, [slice(['10.0.0.2', '10.0.0.3'])], 'IPv4'))).toBe(false);
    expect(equalUdpFrontends(one, udpFrontends(dns, [slice(['10.0.0.1'])], 'IPv4'))).toBe(false);
    expect(equalUdpFrontends(one, noUdpFrontends)).toBe(false);
  });
});

describe('a flow', () => {
  const served = udpFrontends(dns, [slice(['10.0.0.1'])], 'IPv4');
  const empty = udpFrontends(dns, [slice([])], 'IPv4');

  test.each([
    ['a serving endpoint', '10.96.0.10:53', '10.0.0.1:5353', false],
    ['an endpoint that is gone', '10.96.0.10:53', '10.0.0.9:5353', true],
    ['an endpoint whose port changed', '10.96.0.10:53', '10.0.0.1:53', true],
    ['an endpoint that is gone, by the load balancer', '203.0.113.1:53', '10.0.0.9:5353', true],
    ['an endpoint that is gone, by the external IP', '198.51.100.1:53', '10.0.0.9:5353', true],
    ['an endpoint that is gone, by the node port', '192.168.0.2:30053', '10.0.0.9:5353', true],
    ['a serving endpoint, by the node port', '192.168.0.2:30053', '10.0.0.1:5353', false],
    ['the Service itself: it began before the rules', '10.96.0.10:53', '10.96.0.10:53', true],
    ['the node itself on a node port', '192.168.0.2:30053', '192.168.0.2:30053', true],
    ["the same port of another machine's", '192.168.0.3:30053', '192.168.0.3:30053', false],
    ["another machine's node port, translated by somebody", '192.168.0.3:30053', '10.0.0.9:5353', false],
    ['another port of the cluster IP', '10.96.0.10:54', '10.0.0.9:5353', false],
    ['a server outside', '8.8.8.8:53', '8.8.8.8:53', false],
    ['an endpoint, straight', '10.0.0.1:5353', '10.0.0.1:5353', false],
  ])('to %s: stale is %4$s', (_case, frontend, to, expected) => {
    expect(isStale(flow(frontend, to), served)).toBe(expected);
  });

  test.each([
    ['an endpoint that is gone', '10.96.0.10:53', '10.0.0.9:5353', true],
    ['an endpoint that is gone, by the node port', '192.168.0.2:30053', '10.0.0.9:5353', true],
    ['the Service itself, which leads nowhere', '10.96.0.10:53', '10.96.0.10:53', false],
  ])('without any endpoint left, to %s: stale is %4$s', (_case, frontend, to, expected) => {
    expect(isStale(flow(frontend, to), empty)).toBe(expected);
  });

  test.each([
    ['a former endpoint', '10.96.0.10:53', '10.0.0.1:5353', true],
    ['a former endpoint, by the load balancer', '203.0.113.1:53', '10.0.0.1:5353', true],
    ['a former endpoint, by the node port', '192.168.0.2:30053', '10.0.0.1:5353', true],
    [
      'a former endpoint, by an address of the node that is gone too',
      '192.168.0.7:30053',
      '10.0.0.1:5353',
      true,
    ],
    ['whoever has the address now', '10.96.0.10:53', '10.0.0.9:53', false],
    ['a process that has the address now', '198.51.100.1:53', '198.51.100.1:53', false],
    ['a former endpoint, straight', '10.0.0.1:5353', '10.0.0.1:5353', false],
  ])('of a Service that is gone, to %s: stale is %4$s', (_case, frontend, to, expected) => {
    expect(isStale(flow(frontend, to), noUdpFrontends, served)).toBe(expected);
  });

  test('of one address that is gone is stale, of the others it is not', () => {
    const now = udpFrontends({ ...dns, externalIPs: [] }, [slice(['10.0.0.1'])], 'IPv4');
    expect(isStale(flow('198.51.100.1:53', '10.0.0.1:5353'), now, served)).toBe(true);
    expect(isStale(flow('203.0.113.1:53', '10.0.0.1:5353'), now, served)).toBe(false);
  });

  test('of a node port that another Service has now goes where that one leads', () => {
    const other = service({ name: 'other', clusterIPs: { IPv4: '10.96.0.11' }, ports: [dnsPort] });
    const now = udpFrontends(other, [slice(['10.0.0.2'], { serviceName: 'other' })], 'IPv4');
    expect(isStale(flow('192.168.0.2:30053', '10.0.0.1:5353'), now, served)).toBe(true);
    expect(isStale(flow('192.168.0.2:30053', '10.0.0.2:5353'), now, served)).toBe(false);
  });

  test('over IPv6 is told alike', () => {
    const now = udpFrontends(dns, [slice(['fd01::1'])], 'IPv6');
    expect(isStale(flow('fd00:96::10:53', 'fd01::1:5353'), now)).toBe(false);
    expect(isStale(flow('fd00:96::10:53', 'fd01::2:5353'), now)).toBe(true);
    expect(isStale(flow('fd00::2:30053', 'fd01::2:5353'), now)).toBe(true);
  });

  const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
  const history = fc.array(
    fc.record({
      isThere: fc.boolean(),
      nodePort: fc.constantFrom(0, 30_053, 30_054),
      externalIPs: fc.subarray(['198.51.100.1', '192.168.0.2']),
      endpoints: fc.array(
        fc.tuple(fc.constantFrom(...addresses), fc.constantFrom('RS', 'ST', 'S', 'T', '', 'R')),
        { maxLength: 4 },
      ),
      port: fc.constantFrom(53, 5353),
    }),
    { minLength: 1, maxLength: 4 },
  );

  test('to a serving endpoint of its frontend is never stale, whatever there was before', () => {
    fc.assert(
      fc.property(history, (states) => {
        const all = states.map(({ isThere, nodePort, externalIPs, endpoints, port }) => {
          const ports = [endpointPort({ name: 'dns', protocol: 'UDP', port })];
          const list = endpoints.map(([ip, flags]) => endpoint(ip, { flags }));
          const one = { ...dns, externalIPs, ports: [{ ...dnsPort, nodePort }] };
          return udpFrontends(isThere ? one : undefined, [slice(list, { ports })], 'IPv4');
        });
        const now = all.at(-1) ?? noUdpFrontends;
        const former = mergeUdpFrontends(all);
        for (const [socket, endpoints] of now.sockets)
          for (const to of endpoints)
            expect(isStale(flow(socket.replace(' ', ':'), to.replace(' ', ':')), now, former)).toBe(false);
        for (const [nodePort, endpoints] of now.nodePorts) {
          for (const to of endpoints) {
            for (const address of ['192.168.0.2', '192.168.0.9']) {
              if (now.sockets.has(`${address} ${nodePort}`)) continue;
              expect(isStale(flow(`${address}:${nodePort}`, to.replace(' ', ':')), now, former)).toBe(false);
            }
          }
        }
        // And nothing that no Service ever had to do with.
        for (const socket of ['10.0.0.1:53', '8.8.8.8:53', '192.168.0.2:53']) {
          if (now.sockets.has(socket.replace(':', ' '))) continue;
          expect(isStale(flow(socket, socket), now, former)).toBe(false);
        }
      }),
    );
  });
});
