import { describe, expect, test } from 'vitest';
import type { Family } from '../../net/index.ts';
import {
  type NodeAddresses,
  type NodePortAddresses,
  nodePortAddresses,
  servesLocalhostNodePorts,
} from './node-port-addresses.ts';

const node: NodeAddresses = {
  nodeIPs: { IPv4: '192.168.0.2', IPv6: 'fd00:192::2' },
  interfaceAddresses: [
    '127.0.0.1',
    '::1',
    '192.168.0.2',
    '10.0.0.1',
    '192.168.0.1',
    'fd00:192::2',
    'fe80::1',
    '192.168.0.2',
  ],
};
const all: NodePortAddresses = { kind: 'all', exceptLoopback: false };
const allButLoopback: NodePortAddresses = { kind: 'all', exceptLoopback: true };
const some = (...addresses: readonly string[]): NodePortAddresses => ({ kind: 'some', addresses });

describe('nodePortAddresses', () => {
  test.each<[string, Family, readonly string[], NodePortAddresses]>([
    ['all addresses by default', 'IPv4', [], all],
    ['all addresses by default, never IPv6 loopback', 'IPv6', [], allButLoopback],
    ['all addresses with a /0', 'IPv4', ['10.0.0.0/8', '0.0.0.0/0'], all],
    ['all addresses where every CIDR is of the other family', 'IPv4', ['fd00:192::/64'], all],
    [
      'all IPv6 addresses where every CIDR is of the other family',
      'IPv6',
      ['192.168.0.0/24'],
      allButLoopback,
    ],
    [
      'the addresses that interfaces carry within the CIDRs, sorted, each once',
      'IPv4',
      ['192.168.0.0/24', '192.168.0.2/32', '172.16.0.0/12'],
      some('192.168.0.1', '192.168.0.2'),
    ],
    ['none when no interface carries one of them', 'IPv4', ['172.16.0.0/12'], some()],
    ['loopback too where a CIDR names it', 'IPv4', ['127.0.0.0/8'], some('127.0.0.1')],
    ['never IPv6 loopback', 'IPv6', ['::1/128', 'fd00:192::/64'], some('fd00:192::2')],
    ['the primary address', 'IPv4', ['primary'], some('192.168.0.2')],
    ['the primary address of the family', 'IPv6', ['primary'], some('fd00:192::2')],
    ['all addresses on request', 'IPv4', ['all'], all],
    ['all addresses on request, never IPv6 loopback', 'IPv6', ['all'], allButLoopback],
    ['all addresses, whatever else is said', 'IPv4', ['primary', '10.0.0.0/8', 'all'], all],
    ['localhost', 'IPv4', ['localhost'], some('127.0.0.1')],
    [
      'nothing where localhost is all that is said, for there are no IPv6 node ports',
      'IPv6',
      ['localhost'],
      some(),
    ],
    ['the primary address and localhost', 'IPv4', ['primary', 'localhost'], some('127.0.0.1', '192.168.0.2')],
    ['the primary address and localhost', 'IPv6', ['localhost', 'primary'], some('fd00:192::2')],
    ['the primary address and a CIDR', 'IPv4', ['primary', '10.0.0.0/8'], some('10.0.0.1', '192.168.0.2')],
    [
      'the primary address of a family that the CIDRs leave out',
      'IPv6',
      ['10.0.0.0/8', 'primary'],
      some('fd00:192::2'),
    ],
  ])('%s (%s)', (_, family, cidrs, expected) => {
    const options = { nodePortAddresses: cidrs, localhostNodePorts: true };
    expect(nodePortAddresses(options, node, family)).toEqual(expected);
  });

  test.each<[string, readonly string[], NodePortAddresses]>([
    ['all but loopback by default', [], allButLoopback],
    ['not loopback, though a CIDR names it', ['127.0.0.0/8', '10.0.0.0/8'], some('10.0.0.1')],
  ])('without localhost node ports: %s', (_, cidrs, expected) => {
    const options = { nodePortAddresses: cidrs, localhostNodePorts: false };
    expect(nodePortAddresses(options, node, 'IPv4')).toEqual(expected);
  });

  test.each<[string, NodeAddresses['nodeIPs']]>([
    ['is not known', { IPv6: 'fd00:192::2' }],
    ['is a loopback address', { IPv4: '127.0.0.1' }],
  ])('primary means all addresses while the primary address %s', (_, nodeIPs) => {
    const options = { nodePortAddresses: ['primary'], localhostNodePorts: true };
    expect(nodePortAddresses(options, { ...node, nodeIPs }, 'IPv4')).toEqual(all);
  });

  test('without a primary address, what else is said still limits node ports', () => {
    const options = { nodePortAddresses: ['primary', '10.0.0.0/8'], localhostNodePorts: true };
    const unknown = { ...node, nodeIPs: {} };
    expect(nodePortAddresses(options, unknown, 'IPv4')).toEqual(some('10.0.0.1'));
    expect(nodePortAddresses(options, unknown, 'IPv6')).toEqual(allButLoopback);
  });

  test('primary takes only an address that an interface carries', () => {
    const options = { nodePortAddresses: ['primary'], localhostNodePorts: true };
    const elsewhere = { ...node, nodeIPs: { IPv4: '203.0.113.1' } };
    expect(nodePortAddresses(options, elsewhere, 'IPv4')).toEqual(some());
  });
});

describe('servesLocalhostNodePorts', () => {
  test.each<[string, Family, readonly string[], boolean, boolean]>([
    ['by default', 'IPv4', [], true, true],
    ['with a /0', 'IPv4', ['0.0.0.0/0'], true, true],
    ['with a CIDR that covers 127.0.0.0', 'IPv4', ['64.0.0.0/2'], true, true],
    ['with a CIDR within 127.0.0.0/8', 'IPv4', ['127.0.0.5/32'], true, true],
    ['where every CIDR is of the other family', 'IPv4', ['fd00::/8'], true, true],
    ['not where the CIDRs leave loopback out', 'IPv4', ['192.168.0.0/24'], true, false],
    ['not on the primary address alone', 'IPv4', ['primary'], true, false],
    ['with the word localhost', 'IPv4', ['primary', 'localhost'], true, true],
    ['with the word all', 'IPv4', ['all'], true, true],
    ['not when they are switched off', 'IPv4', [], false, false],
    ['not when they are switched off, though localhost is named', 'IPv4', ['localhost'], false, false],
    ['never for IPv6', 'IPv6', [], true, false],
    ['never for IPv6, though localhost is named', 'IPv6', ['localhost'], true, false],
  ])('%s (%s)', (_, family, cidrs, localhostNodePorts, expected) => {
    const options = { nodePortAddresses: cidrs, localhostNodePorts };
    expect(servesLocalhostNodePorts(options, node, family)).toBe(expected);
  });
});
