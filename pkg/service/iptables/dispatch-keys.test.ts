import { describe, expect, test } from 'vitest';
import { printRule } from '../../kernel/index.ts';
import {
  addressKey,
  addressMatches,
  addressPrefixMatches,
  nodePortKey,
  nodePortMatches,
  nodePortPrefixMatches,
} from './dispatch-keys.ts';

const print = (matches: Parameters<typeof printRule>[0]['matches']): string =>
  printRule({ matches, target: { kind: 'none' } });

describe('keys', () => {
  test('are address, protocol and port in hexadecimal', () => {
    expect(addressKey('IPv4', '10.96.0.1', 'TCP', 443)).toBe('0a600001001bb');
    expect(addressKey('IPv6', 'fd00:96::1', 'UDP', 53)).toBe('fd00009600000000000000000000000110035');
    expect(nodePortKey('SCTP', 30_000)).toBe('27530');
  });

  test('match exactly what they say', () => {
    expect(print(addressMatches('IPv4', '10.96.0.1', 'TCP', 443))).toBe(
      '-d 10.96.0.1/32 -p tcp -m tcp --dport 443',
    );
    expect(print(addressMatches('IPv6', 'fd00:96::1', 'UDP', 53))).toBe(
      '-d fd00:96::1/128 -p udp -m udp --dport 53',
    );
    expect(print(nodePortMatches('SCTP', 30_000))).toBe('-p sctp -m sctp --dport 30000');
  });
});

describe('the beginning of a key is', () => {
  test.each([
    ['0', '-d 0.0.0.0/4'],
    ['0a6', '-d 10.96.0.0/12'],
    ['0a600001', '-d 10.96.0.1/32'],
    ['0a6000011', '-d 10.96.0.1/32 -p udp'],
    ['0a60000100', '-d 10.96.0.1/32 -p tcp -m tcp --dport 0:4095'],
    ['0a6000010f', '-d 10.96.0.1/32 -p tcp -m tcp --dport 61440:65535'],
    ['0a600001001b', '-d 10.96.0.1/32 -p tcp -m tcp --dport 432:447'],
    ['0a600001001bb', '-d 10.96.0.1/32 -p tcp -m tcp --dport 443'],
  ])('%s: a network, then a protocol, then ports', (prefix, text) => {
    expect(print(addressPrefixMatches('IPv4', prefix))).toBe(text);
  });

  test('the same for IPv6', () => {
    expect(print(addressPrefixMatches('IPv6', 'fd0000960'))).toBe('-d fd00:96::/36');
    expect(print(addressPrefixMatches('IPv6', 'fd0000960000000000000000000000012'))).toBe(
      '-d fd00:96::1/128 -p sctp',
    );
  });

  test.each([
    ['0', '-p tcp'],
    ['17', '-p udp -m udp --dport 28672:32767'],
    ['075', '-p tcp -m tcp --dport 29952:30207'],
  ])('%s: without an address in the tree of node ports', (prefix, text) => {
    expect(print(nodePortPrefixMatches(prefix))).toBe(text);
  });
});
