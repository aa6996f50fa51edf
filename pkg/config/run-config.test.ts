import { describe, expect, test } from 'vitest';
import type { Flags } from './effective-values.ts';
import { loadPlanConfig, loadRunConfig, parseCleanupConfig, parseRuleConfig } from './load-config.ts';
import type { RunConfig } from './run-config.ts';

const host = {
  hostname: 'Host.Example ',
  readFile: () => Promise.reject(new Error('no such file')),
};
const required = { manifests: './cluster', nodeName: 'node-1', clusterCidr: '10.244.0.0/16' };

async function errorsOf(flags: Flags): Promise<readonly string[]> {
  const loaded = await loadRunConfig({ ...required, ...flags }, host);
  return 'errors' in loaded ? loaded.errors : [];
}

async function load(flags: Flags): Promise<{ config: RunConfig; warnings: readonly string[] }> {
  const loaded = await loadRunConfig(flags, host);
  if ('errors' in loaded) throw new Error(loaded.errors.join('; '));
  return loaded;
}

describe('flags', () => {
  test.each<[Flags, Partial<RunConfig>]>([
    [{ nodeName: 'Node-1 ' }, { nodeName: 'node-1', hostnameOverride: 'node-1' }],
    [{ nodeName: undefined, hostnameOverride: ' Node-2' }, { nodeName: 'node-2' }],
    [{ clusterCidr: '10.244.3.4/16,fd00::/48' }, { clusterCidr: ['10.244.0.0/16', 'fd00::/48'] }],
    [{ clusterCidr: '' }, { clusterCidr: [] }],
    [{ nodeportAddresses: 'primary' }, { nodeportAddresses: ['primary'] }],
    [{ nodeportAddresses: 'all' }, { nodeportAddresses: ['all'] }],
    [
      { nodeportAddresses: 'primary, 10.1.2.3/8,localhost' },
      { nodeportAddresses: ['primary', '10.0.0.0/8', 'localhost'] },
    ],
    [{ nodeportAddresses: '192.168.0.0/16, ::1/128' }, { nodeportAddresses: ['192.168.0.0/16', '::1/128'] }],
    [{ masqueradeAll: true }, { masqueradeAll: true }],
    [{ masqueradeAll: 'false' }, { masqueradeAll: false }],
    [{ iptablesMasqueradeBit: '31' }, { iptablesMasqueradeBit: 31 }],
    [{ iptablesSyncPeriod: '1m30s' }, { iptablesSyncPeriod: 90_000 }],
    [{ iptablesMinSyncPeriod: '250ms' }, { iptablesMinSyncPeriod: 250 }],
    [{ iptablesMinSyncPeriod: '0' }, { iptablesMinSyncPeriod: 0 }],
    [{ v: '4' }, { v: 4 }],
    [{ oomScoreAdj: '-1000' }, { oomScoreAdj: -1000 }],
    [{ conntrackUdpTimeout: '5s' }, { conntrackUdpTimeout: 5000 }],
    [{ bindAddress: '::' }, { bindAddress: '::', healthzBindAddress: '0.0.0.0:10256' }],
    [{ healthzBindAddress: '' }, { healthzBindAddress: '0.0.0.0:10256' }],
    [{ healthzBindAddress: '10.0.0.1' }, { healthzBindAddress: '10.0.0.1:10256' }],
    [{ healthzBindAddress: 'FD00::0:1' }, { healthzBindAddress: '[fd00::1]:10256' }],
    [{ healthzBindAddress: '[::]:80' }, { healthzBindAddress: '[::]:80' }],
    [{ healthzPort: '80' }, { healthzBindAddress: '0.0.0.0:80' }],
    [{ healthzBindAddress: '10.0.0.1:1', healthzPort: '80' }, { healthzBindAddress: '10.0.0.1:1' }],
    [{ parts: 'policies' }, { parts: ['policies'], healthzBindAddress: '0.0.0.0:10356' }],
    [{ parts: 'policies', metricsBindAddress: '0.0.0.0' }, { metricsBindAddress: '0.0.0.0:10349' }],
    [{ parts: 'policies', healthzBindAddress: '[::]:80' }, { healthzBindAddress: '[::]:80' }],
    [
      { parts: 'policies', healthzPort: '80', metricsPort: '0' },
      { healthzBindAddress: '0.0.0.0:80', metricsBindAddress: '' },
    ],
    [{ parts: 'services' }, { parts: ['services'], metricsBindAddress: '127.0.0.1:10249' }],
    [{ parts: ' services, policies' }, { parts: ['policies', 'services'] }],
    [{}, { parts: ['policies', 'services'], healthzBindAddress: '0.0.0.0:10256' }],
    [{ healthzPort: '0' }, { healthzBindAddress: '', metricsBindAddress: '127.0.0.1:10249' }],
    [{ metricsBindAddress: '0.0.0.0' }, { metricsBindAddress: '0.0.0.0:10249' }],
    [{ metricsPort: '0' }, { metricsBindAddress: '' }],
    [{ detectLocalMode: '' }, { detectLocalMode: 'ClusterCIDR' }],
    [{ proxyMode: 'nftables' }, { nodeportAddresses: ['primary'] }],
    [{ proxyMode: 'nftables', nodeportAddresses: '::/0' }, { nodeportAddresses: ['::/0'] }],
    [{ proxyMode: 'nftables', nodeportAddresses: 'all' }, { nodeportAddresses: ['all'] }],
    [{ proxyMode: 'ipvs', ipvsSyncPeriod: '5s', ipvsMinSyncPeriod: '1s' }, { iptablesSyncPeriod: 5000 }],
    [{ proxyMode: 'ipvs', iptablesSyncPeriod: '5s' }, { iptablesSyncPeriod: 30_000 }],
    [
      { initOnly: true, master: 'https://10.0.0.1' },
      { initOnly: true, master: 'https://10.0.0.1' },
    ],
  ])('%o are read as %o', async (flags, config) => {
    expect((await load({ ...required, ...flags })).config).toMatchObject(config);
  });

  test.each<[Flags, string]>([
    [{ nodeName: undefined }, '--node-name is required with --manifests'],
    [{ nodeName: '' }, '--node-name: must not be empty'],
    [{ nodeName: undefined, hostnameOverride: ' ' }, '--hostname-override: must not be blank'],
    [{ manifests: '' }, '--manifests: must not be empty'],
    [{ clusterCidr: '10.244.0.0' }, '--cluster-cidr: "10.244.0.0" is not a CIDR such as 10.244.0.0/16'],
    [
      { localPodCidrs: '10.244.1.0/24,::/0' },
      '--local-pod-cidrs: "::/0" is not a CIDR of some addresses such as 10.244.1.0/24',
    ],
    [
      { clusterCidr: '10.0.0.0/8,11.0.0.0/8' },
      '--cluster-cidr: takes one CIDR, or two of different families',
    ],
    [
      { nodeportAddresses: 'secondary' },
      '--nodeport-addresses: "secondary" is not a CIDR such as 192.168.0.0/16 or one of the words primary, localhost and all',
    ],
    [{ nodeportAddresses: 'all,::/0,all' }, '--nodeport-addresses: "all" is given twice'],
    [{ parts: 'policies,routes' }, '--parts: "routes" is not one of policies, services'],
    [{ parts: '' }, '--parts: must name at least one of policies, services'],
    [{ parts: 'services,services' }, '--parts: names a part twice'],
    [{ masqueradeAll: 'yes' }, '--masquerade-all: "yes" is neither true nor false'],
    [{ iptablesMasqueradeBit: '32' }, '--iptables-masquerade-bit: "32" is not a number from 0 to 31'],
    [{ iptablesMasqueradeBit: '-1' }, '--iptables-masquerade-bit: "-1" is not a number from 0 to 31'],
    [{ iptablesBackend: 'nftables' }, '--iptables-backend: "nftables" is not one of auto, legacy, nft'],
    [{ proxyMode: 'userspace' }, '--proxy-mode: "userspace" is not one of iptables, ipvs, nftables'],
    [{ iptablesSyncPeriod: '30' }, '--iptables-sync-period: "30" is not a duration such as 30s or 1m30s'],
    [{ iptablesSyncPeriod: '0' }, '--iptables-sync-period: must be greater than 0'],
    [{ configSyncPeriod: '0s' }, '--config-sync-period: must be greater than 0'],
    [
      { iptablesMinSyncPeriod: '1m' },
      '--iptables-min-sync-period: must not be longer than --iptables-sync-period',
    ],
    [
      { detectLocalMode: 'BridgeInterface' },
      '--detect-local-mode: BridgeInterface needs --pod-bridge-interface',
    ],
    [
      { detectLocalMode: 'InterfaceNamePrefix' },
      '--detect-local-mode: InterfaceNamePrefix needs --pod-interface-name-prefix',
    ],
    [
      { podBridgeInterface: 'a-bridge-of-many-pods' },
      '--pod-bridge-interface: "a-bridge-of-many-pods" is not the name of an interface (at most 15 characters)',
    ],
    [
      { podBridgeInterface: '+' },
      '--pod-bridge-interface: "+" is not the name of an interface (at most 15 characters)',
    ],
    [
      { podInterfaceNamePrefix: 'fifteen-letters' },
      '--pod-interface-name-prefix: "fifteen-letters" is not the name of an interface (at most 14 characters)',
    ],
    [
      { podInterfaceNamePrefix: 'ca li' },
      '--pod-interface-name-prefix: "ca li" is not the name of an interface (at most 14 characters)',
    ],
    [{ v: 'lots' }, '--v: "lots" is not a number from 0 to 2147483647'],
    [{ oomScoreAdj: '-1001' }, '--oom-score-adj: "-1001" is not a number from -1000 to 1000'],
    [{ bindAddress: 'eth0' }, '--bind-address: "eth0" is not an IP address'],
    [
      { metricsBindAddress: ':10249' },
      '--metrics-bind-address: ":10249" is not an IP address with a port from 1 to 65535, such as 0.0.0.0:10256',
    ],
    [
      { healthzBindAddress: '0.0.0.0:65536' },
      '--healthz-bind-address: "0.0.0.0:65536" is not an IP address with a port from 1 to 65535, such as 0.0.0.0:10256',
    ],
    [{ conntrackMaxPerCore: '-1' }, '--conntrack-max-per-core: "-1" is not a number from 0 to 2147483647'],
    [{ kubeApiBurst: '-1' }, '--kube-api-burst: "-1" is not a number from 0 to 2147483647'],
    [{ featureGates: 'A' }, '--feature-gates: "A" is not a gate such as SomeFeature=true'],
    [{ config: 'none.yaml' }, "--config: none.yaml can't be read: no such file"],
  ])('%o are refused: %s', async (flags, error) => {
    expect(await errorsOf(flags)).toEqual([error]);
  });

  test('all that is wrong is said at once', async () => {
    const flags = { nodeName: undefined, masqueradeAll: 'yes', v: 'x', ipvsStrictArp: 'x', ...minTooLong };
    expect(await errorsOf(flags)).toEqual([
      '--masquerade-all: "yes" is neither true nor false',
      '--v: "x" is not a number from 0 to 2147483647',
      '--ipvs-strict-arp: "x" is neither true nor false',
      '--node-name is required with --manifests',
      '--iptables-min-sync-period: must not be longer than --iptables-sync-period',
    ]);
  });

  const minTooLong = { iptablesMinSyncPeriod: '1m' };

  test('of an unreadable value nothing else is concluded', async () => {
    expect(await errorsOf({ ...minTooLong, iptablesSyncPeriod: 'x' })).toHaveLength(1);
  });

  test('without manifests the API server is the source, and the machine has its own name', async () => {
    const { config } = await load({});
    expect(config).toMatchObject({ manifests: undefined, nodeName: 'host.example', hostnameOverride: '' });
  });

  test.each<[Flags, readonly string[]]>([
    [{}, []],
    [{ clusterCidr: undefined, masqueradeAll: 'true' }, []],
    [{ clusterCidr: undefined, detectLocalMode: 'NodeCIDR' }, []],
    [
      { clusterCidr: '0.0.0.0/0,fd00::/8' },
      [
        '--cluster-cidr has 0.0.0.0/0: all clients count as local, so nothing that comes to a cluster IP is masqueraded',
      ],
    ],
    [{ clusterCidr: '0.0.0.0/0', masqueradeAll: true }, []],
    [{ clusterCidr: '' }, [expect.stringContaining('no --cluster-cidr: pods can not be told') as string]],
    [
      { ipvsScheduler: 'rr', ipvsSyncPeriod: '1s' },
      [
        '--ipvs-sync-period has no effect: Weir routes with iptables rules, not with IPVS',
        '--ipvs-scheduler has no effect: Weir routes with iptables rules, not with IPVS',
      ],
    ],
    [
      { proxyMode: 'ipvs', iptablesSyncPeriod: '1s', ipvsSyncPeriod: '1s' },
      [
        '--proxy-mode: ipvs is not what Weir does; it routes with iptables rules',
        '--iptables-sync-period has no effect with --proxy-mode=ipvs',
      ],
    ],
    [{ profiling: true }, ['--profiling has no effect: Weir has no profiling endpoint']],
    [{ healthzPort: '1' }, ['--healthz-port is deprecated: use --healthz-bind-address']],
  ])('%o lead to these warnings: %j', async (flags, warnings) => {
    expect((await load({ ...required, ...flags })).warnings).toEqual(warnings);
  });
});

test('plan takes an output format and any number of files', async () => {
  expect(await loadPlanConfig({ ...required, output: 'json', against: ['a', 'b'] }, host)).toMatchObject({
    config: { output: 'json', against: ['a', 'b'], nodeName: 'node-1' },
  });
  expect(await loadPlanConfig(required, host)).toMatchObject({ config: { output: 'text', against: [] } });
  expect(await loadPlanConfig({ output: 'xml', v: 'x' }, host)).toEqual({
    errors: ['--v: "x" is not a number from 0 to 2147483647', '--output: "xml" is not one of text, json'],
  });
});

test('the rules depend on flags alone, if need be', () => {
  expect(parseRuleConfig(required)).toMatchObject({ config: { nodeName: 'node-1' } });
  expect(parseRuleConfig({})).toEqual({
    errors: ['--node-name is required: this machine has no name'],
  });
});

test('policies alone are not warned of what concerns Services, but of the ports of a kube-proxy', async () => {
  expect((await load({ nodeName: 'n', parts: 'policies' })).warnings).toEqual([]);
  const ports = { healthzBindAddress: '0.0.0.0:10256', metricsPort: '10249' };
  expect((await load({ nodeName: 'n', parts: 'policies', ...ports })).warnings).toEqual([
    '--metrics-port is deprecated: use --metrics-bind-address',
    '--healthz-bind-address (healthzBindAddress) is 0.0.0.0:10256: port 10256 is that of a kube-proxy on this node; configure another one for Weir',
    '--metrics-bind-address (metricsBindAddress) is 127.0.0.1:10249: port 10249 is that of a kube-proxy on this node; configure another one for Weir',
  ]);
});

test('cleanup takes the parts that are to go', () => {
  expect(parseCleanupConfig({ parts: 'policies' })).toMatchObject({ config: { parts: ['policies'] } });
  expect(parseCleanupConfig({ parts: 'policy' })).toEqual({
    errors: ['--parts: "policy" is not one of policies, services'],
  });
});

test('cleanup needs no flag', () => {
  expect(parseCleanupConfig({})).toEqual({
    config: { handBack: false, force: false, iptablesBackend: 'auto', parts: ['policies', 'services'] },
  });
  expect(parseCleanupConfig({ force: true, handBack: 'true' })).toMatchObject({
    config: { handBack: true, force: true },
  });
  expect(parseCleanupConfig({ handBack: 'x' })).toEqual({
    errors: ['--hand-back: "x" is neither true nor false'],
  });
});
