import { describe, expect, test } from 'vitest';
import {
  configWarnings,
  type Flags,
  parseCleanupConfig,
  parsePlanConfig,
  parseRuleConfig,
  parseRunConfig,
} from './run-config.ts';

const required = { manifests: './cluster', nodeName: 'node-1' };

function errorsOf(flags: Flags): readonly string[] {
  const parsed = parseRunConfig({ ...required, ...flags });
  return 'errors' in parsed ? parsed.errors : [];
}

function configOf(flags: Flags): Readonly<Record<string, unknown>> {
  const parsed = parseRunConfig({ ...required, ...flags });
  if ('errors' in parsed) throw new Error(parsed.errors.join('; '));
  return parsed.config;
}

describe('flags', () => {
  test.each<[Flags, Readonly<Record<string, unknown>>]>([
    [{ nodeName: 'Node-1 ' }, { nodeName: 'node-1' }],
    [{ clusterCidr: '10.244.3.4/16,fd00::/48' }, { clusterCidr: ['10.244.0.0/16', 'fd00::/48'] }],
    [{ clusterCidr: '' }, { clusterCidr: [] }],
    [{ nodeportAddresses: 'primary' }, { nodeportAddresses: ['primary'] }],
    [{ nodeportAddresses: '192.168.0.0/16, ::1/128' }, { nodeportAddresses: ['192.168.0.0/16', '::1/128'] }],
    [{ masqueradeAll: true }, { masqueradeAll: true }],
    [{ masqueradeAll: 'false' }, { masqueradeAll: false }],
    [{ iptablesMasqueradeBit: '31' }, { iptablesMasqueradeBit: 31 }],
    [{ iptablesSyncPeriod: '1m30s' }, { iptablesSyncPeriod: 90_000 }],
    [{ iptablesMinSyncPeriod: '250ms' }, { iptablesMinSyncPeriod: 250 }],
    [{ iptablesMinSyncPeriod: '0' }, { iptablesMinSyncPeriod: 0 }],
    [{ v: '4' }, { v: 4 }],
  ])('%o are read as %o', (flags, config) => {
    expect(configOf(flags)).toMatchObject(config);
  });

  test.each<[Flags, string]>([
    [{ nodeName: undefined }, '--node-name is required'],
    [{ manifests: '' }, '--manifests: must not be empty'],
    [{ clusterCidr: '10.244.0.0' }, '--cluster-cidr: "10.244.0.0" is not a CIDR such as 10.244.0.0/16'],
    [
      { clusterCidr: '10.0.0.0/8,11.0.0.0/8' },
      '--cluster-cidr: takes one CIDR, or two of different families',
    ],
    [
      { nodeportAddresses: 'secondary' },
      '--nodeport-addresses: "secondary" is neither a CIDR such as 192.168.0.0/16 nor the word primary',
    ],
    [{ nodeportAddresses: 'primary,::/0' }, '--nodeport-addresses: "primary" must stand alone'],
    [{ masqueradeAll: 'yes' }, '--masquerade-all: "yes" is neither true nor false'],
    [{ iptablesMasqueradeBit: '32' }, '--iptables-masquerade-bit: "32" is not a number from 0 to 31'],
    [{ iptablesMasqueradeBit: '-1' }, '--iptables-masquerade-bit: "-1" is not a number from 0 to 31'],
    [{ iptablesBackend: 'nftables' }, '--iptables-backend: "nftables" is not one of auto, legacy, nft'],
    [{ iptablesSyncPeriod: '30' }, '--iptables-sync-period: "30" is not a duration such as 30s or 1m30s'],
    [{ iptablesSyncPeriod: '0' }, '--iptables-sync-period must be greater than 0'],
    [
      { iptablesMinSyncPeriod: '1m' },
      '--iptables-min-sync-period must not be longer than --iptables-sync-period',
    ],
    [
      { detectLocalMode: 'BridgeInterface' },
      '--detect-local-mode=BridgeInterface needs --pod-bridge-interface',
    ],
    [
      { detectLocalMode: 'InterfaceNamePrefix' },
      '--detect-local-mode=InterfaceNamePrefix needs --pod-interface-name-prefix',
    ],
    [{ v: 'lots' }, '--v: "lots" is not a number from 0 to 10'],
  ])('%o are refused: %s', (flags, error) => {
    expect(errorsOf(flags)).toEqual([error]);
  });

  test('all that is wrong is said at once', () => {
    expect(parseRunConfig({ masqueradeAll: 'yes', v: 'x' })).toEqual({
      errors: [
        '--manifests is required',
        '--node-name is required',
        '--masquerade-all: "yes" is neither true nor false',
        '--v: "x" is not a number from 0 to 10',
      ],
    });
  });
});

test('plan takes an output format and any number of files', () => {
  expect(parsePlanConfig({ ...required, output: 'json', against: ['a', 'b'] })).toMatchObject({
    config: { output: 'json', against: ['a', 'b'] },
  });
  expect(parsePlanConfig(required)).toMatchObject({ config: { output: 'text', against: [] } });
});

test('cleanup needs no flag', () => {
  expect(parseCleanupConfig({})).toEqual({
    config: { handBack: false, force: false, iptablesBackend: 'auto' },
  });
  expect(parseCleanupConfig({ force: true, handBack: 'true' })).toMatchObject({
    config: { handBack: true, force: true },
  });
});

test.each<[Flags, number]>([
  [{}, 1],
  [{ clusterCidr: '10.244.0.0/16' }, 0],
  [{ masqueradeAll: 'true' }, 0],
  [{ detectLocalMode: 'NodeCIDR' }, 0],
])('%o lead to %i warnings', (flags, count) => {
  const parsed = parseRuleConfig({ ...required, ...flags });
  expect('config' in parsed ? configWarnings(parsed.config) : undefined).toHaveLength(count);
});
