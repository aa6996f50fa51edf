import { describe, expect, it } from 'vitest';
import { decoded, problemsOf, wire } from '../../test/support/wire-objects.ts';
import { decodeObject } from './decode.ts';

type Json = Readonly<Record<string, unknown>>;

function labelled(labels: Json): Json {
  return { name: 'web-abc', namespace: 'shop', labels };
}

const metadata = labelled({ 'kubernetes.io/service-name': 'web' });

function slice(changes: Json = {}) {
  return decoded('EndpointSlice', { metadata, addressType: 'IPv4', ...changes });
}

function endpoints(...list: readonly unknown[]) {
  const { object, problems } = slice({ endpoints: list });
  return { ips: object.endpoints.map(({ ip }) => ip), endpoints: object.endpoints, problems };
}

describe('an EndpointSlice', () => {
  it('has the defaults of the API server', () => {
    const { object, problems } = slice({ ports: [{ port: 8080 }], endpoints: [{ addresses: ['10.0.0.1'] }] });
    expect(problems).toEqual([]);
    expect(object).toEqual({
      kind: 'EndpointSlice',
      namespace: 'shop',
      name: 'web-abc',
      serviceName: 'web',
      family: 'IPv4',
      ports: [{ name: '', protocol: 'TCP', port: 8080 }],
      endpoints: [
        {
          ip: '10.0.0.1',
          ready: true,
          serving: true,
          terminating: false,
          nodeName: undefined,
          zoneHints: [],
          nodeHints: [],
        },
      ],
    });
  });

  it('keeps everything that is said', () => {
    const { object, problems } = slice({
      addressType: 'IPv6',
      ports: [{ name: 'dns', protocol: 'UDP', port: 53 }],
      endpoints: [
        {
          addresses: ['FD00::01', 'fd00::2'],
          conditions: { ready: false, serving: true, terminating: true },
          nodeName: 'node-a',
          hints: { forZones: [{ name: 'zone-a' }, { name: 'zone-b' }], forNodes: [{ name: 'node-a' }] },
        },
      ],
    });
    expect(problems).toEqual([]);
    expect(object).toMatchObject({
      family: 'IPv6',
      ports: [{ name: 'dns', protocol: 'UDP', port: 53 }],
      endpoints: [
        {
          ip: 'fd00::1',
          ready: false,
          serving: true,
          terminating: true,
          nodeName: 'node-a',
          zoneHints: ['zone-a', 'zone-b'],
          nodeHints: ['node-a'],
        },
      ],
    });
  });

  it('takes 10,000 endpoints', () => {
    const list = Array.from({ length: 10_000 }, (_, i) => ({ addresses: [`10.0.${i >> 8}.${i & 255}`] }));
    expect(endpoints(...list).ips).toHaveLength(10_000);
  });

  it.each([
    ['of type FQDN', { addressType: 'FQDN' }],
    [
      'of a headless Service',
      { metadata: labelled({ 'service.kubernetes.io/headless': '', 'kubernetes.io/service-name': 'web' }) },
    ],
    ['without a Service', { metadata: labelled({}) }],
    ['with an empty Service name', { metadata: labelled({ 'kubernetes.io/service-name': '' }) }],
  ])('is ignored when it is %s', (_case, changes) => {
    expect(decodeObject(wire('EndpointSlice', { metadata, addressType: 'IPv4', ...changes })).outcome).toBe(
      'ignored',
    );
  });

  it.each([
    ['missing address type', { addressType: undefined }, 'error addressType'],
    ['unknown address type', { addressType: 'ipv4' }, 'error addressType'],
    [
      'Service name that is no string',
      { metadata: labelled({ 'kubernetes.io/service-name': 5 }) },
      'error metadata.labels[kubernetes.io/service-name]',
    ],
    ['labels that are no object', { metadata: { name: 'web-abc', labels: 'x' } }, 'error metadata.labels'],
  ])('is dropped with a %s', (_case, changes, problem) => {
    const result = decodeObject(wire('EndpointSlice', { metadata, addressType: 'IPv4', ...changes }));
    expect(result.outcome).toBe('invalid');
    expect(problemsOf(result)).toEqual([problem]);
  });

  it.each([
    ['number', { name: 'x', port: 0 }, 'error ports[0].port'],
    ['missing number', { name: 'x' }, 'warning ports[0].port'],
    ['protocol', { port: 80, protocol: 'ICMP' }, 'error ports[0].protocol'],
    ['name', { name: 'x y', port: 80 }, 'error ports[0].name'],
    ['shape', 80, 'error ports[0]'],
  ])('leaves out a port with a bad %s', (_case, port, problem) => {
    const { object, problems } = slice({ ports: [port, { name: 'good', port: 81 }] });
    expect(object.ports).toEqual([{ name: 'good', protocol: 'TCP', port: 81 }]);
    expect(problems).toEqual([problem]);
  });

  it.each([
    ['no address', { addresses: [] }, 'addresses'],
    ['addresses that are no list', { addresses: '10.0.0.1' }, 'addresses'],
    ['leading zeros', { addresses: ['10.0.0.01'] }, 'addresses[0]'],
    ['an address of the other family', { addresses: ['fd00::1'] }, 'addresses[0]'],
    ['a loopback address', { addresses: ['127.0.0.1'] }, 'addresses[0]'],
    ['the unspecified address', { addresses: ['0.0.0.0'] }, 'addresses[0]'],
    ['a link-local address', { addresses: ['169.254.169.254'] }, 'addresses[0]'],
    ['a multicast address', { addresses: ['224.0.0.1'] }, 'addresses[0]'],
    ['an unreadable ready', { addresses: ['10.0.0.1'], conditions: { ready: 'true' } }, 'conditions.ready'],
    ['an unreadable serving', { addresses: ['10.0.0.1'], conditions: { serving: 1 } }, 'conditions.serving'],
    [
      'an unreadable terminating',
      { addresses: ['10.0.0.1'], conditions: { terminating: 'no' } },
      'conditions.terminating',
    ],
    ['an unreadable node', { addresses: ['10.0.0.1'], nodeName: 1 }, 'nodeName'],
  ])('leaves out an endpoint with %s', (_case, endpoint, field) => {
    const { ips, problems } = endpoints(endpoint, { addresses: ['10.0.0.9'] });
    expect(ips).toEqual(['10.0.0.9']);
    expect(problems).toEqual([`error endpoints[0].${field}`]);
  });

  it.each(['::1', '::', 'fe80::1', 'febf::1', 'ff02::1', '::ffff:10.0.0.1'])('leaves out %s', (address) => {
    const { object, problems } = slice({ addressType: 'IPv6', endpoints: [{ addresses: [address] }] });
    expect(object.endpoints).toEqual([]);
    expect(problems).toEqual(['error endpoints[0].addresses[0]']);
  });

  it('keeps an endpoint whose hints can not be read, without them', () => {
    const result = endpoints({
      addresses: ['10.0.0.1'],
      hints: { forZones: [{ name: 1 }, { name: 'a' }], forNodes: 'x' },
    });
    expect(result.endpoints[0]).toMatchObject({ zoneHints: ['a'], nodeHints: [] });
    expect(result.problems).toEqual([
      'error endpoints[0].hints.forZones[0].name',
      'error endpoints[0].hints.forNodes',
    ]);
  });

  it('lists a hundred problems and counts the rest', () => {
    const { problems } = endpoints(...Array.from({ length: 250 }, () => ({ addresses: ['x'] })));
    expect(problems).toHaveLength(101);
    const result = decodeObject(
      wire('EndpointSlice', {
        metadata,
        addressType: 'IPv4',
        endpoints: Array.from({ length: 250 }, () => 1),
      }),
    );
    expect(result.outcome === 'object' && result.diagnostics.at(-1)?.message).toBe(
      'has 150 more problems that are not listed',
    );
  });
});
