import { describe, expect, test } from 'vitest';
import { kubeadmConfig } from '../../test/support/kubeadm-config.ts';
import type { Flags } from './effective-values.ts';
import { type Loaded, loadRunConfig } from './load-config.ts';
import type { RunConfig } from './run-config.ts';

function load(text: string, flags: Flags = {}): Promise<Loaded<RunConfig>> {
  const host = { hostname: 'machine', readFile: () => Promise.resolve(text) };
  return loadRunConfig({ config: 'c.conf', ...flags }, host);
}

async function errorsOf(text: string, flags: Flags = {}): Promise<readonly string[]> {
  const loaded = await load(text, flags);
  return 'errors' in loaded ? loaded.errors : [];
}

async function warningsOf(text: string, flags: Flags = {}): Promise<readonly string[]> {
  const loaded = await load(text, flags);
  return 'warnings' in loaded ? loaded.warnings : [`refused: ${loaded.errors.join('; ')}`];
}

/** Three lines, then those given. */
function kubeProxy(...lines: readonly string[]): string {
  const head = ['apiVersion: kubeproxy.config.k8s.io/v1alpha1', 'kind: KubeProxyConfiguration'];
  return [...head, 'clusterCIDR: 10.244.0.0/16', ...lines, ''].join('\n');
}

function weir(...lines: readonly string[]): string {
  return ['apiVersion: weir.dev/v1alpha1', 'kind: WeirConfiguration', ...lines, ''].join('\n');
}

describe("kubeadm's config.conf", () => {
  test('is read as it is, without a warning, and leads to the defaults', async () => {
    const defaults = await loadRunConfig(
      { kubeconfig: '/var/lib/kube-proxy/kubeconfig.conf', clusterCidr: '10.244.0.0/16' },
      { hostname: 'machine', readFile: () => Promise.resolve('') },
    );
    const expected = 'config' in defaults ? { ...defaults.config, configFile: 'c.conf' } : undefined;
    expect(await load(kubeadmConfig)).toEqual({ config: expected, warnings: [] });
  });

  test('takes the name of the node from the flag of its DaemonSet', async () => {
    const loaded = await load(kubeadmConfig, { hostnameOverride: 'Node-7' });
    expect(loaded).toMatchObject({ config: { nodeName: 'node-7' }, warnings: [] });
  });

  test('with another mode warns of that alone', async () => {
    expect(await warningsOf(kubeadmConfig.replace('mode: ""', 'mode: nftables'))).toEqual([
      'c.conf:52:7: mode: nftables is not what Weir does; it routes with iptables rules',
    ]);
  });
});

describe('fields', () => {
  test.each<[readonly string[], Partial<RunConfig>]>([
    [['mode: iptables'], {}],
    [['hostnameOverride: Node-9'], { nodeName: 'node-9', hostnameOverride: 'node-9' }],
    [['iptables:', '  masqueradeBit: 0'], { iptablesMasqueradeBit: 0 }],
    [['iptables: {minSyncPeriod: 0s}'], { iptablesMinSyncPeriod: undefined }],
    [['iptables: {minSyncPeriod: 1s}'], { iptablesMinSyncPeriod: 1000 }],
    [['iptables: null'], { iptablesSyncPeriod: 30_000 }],
    [['mode: ipvs', 'ipvs: {syncPeriod: 5s, minSyncPeriod: 2s}'], { iptablesSyncPeriod: 5000 }],
    [
      ['mode: ipvs', 'iptables: {masqueradeAll: true, syncPeriod: 5s}'],
      { masqueradeAll: true, iptablesSyncPeriod: 30_000 },
    ],
    [
      ['mode: nftables', 'nftables: {masqueradeAll: true, syncPeriod: 5s}'],
      { masqueradeAll: true, iptablesSyncPeriod: 5000 },
    ],
    [['mode: nftables', 'iptables: {masqueradeAll: true}'], { masqueradeAll: false }],
    [['mode: nftables'], { nodeportAddresses: ['primary'] }],
    [['nodePortAddresses: [10.1.2.3/8, "::/0"]'], { nodeportAddresses: ['10.0.0.0/8', '::/0'] }],
    [['nodePortAddresses: [all]'], { nodeportAddresses: ['all'] }],
    [['nodePortAddresses: [primary, 127.0.0.0/8]'], { nodeportAddresses: ['primary', '127.0.0.0/8'] }],
    [['nodePortAddresses: [localhost, primary]'], { nodeportAddresses: ['localhost', 'primary'] }],
    [
      ['conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s}'],
      { conntrackMaxPerCore: 0, conntrackTcpTimeoutEstablished: 0 },
    ],
    [['oomScoreAdj: 0'], { oomScoreAdj: 0 }],
    [['bindAddress: "::"'], { healthzBindAddress: '[::]:10256', metricsBindAddress: '[::1]:10249' }],
    [['bindAddress: "::"', 'metricsBindAddress: 0.0.0.0'], { metricsBindAddress: '0.0.0.0:10249' }],
    [['logging: {verbosity: 4, format: json, flushFrequency: 5000000000}'], { v: 4, loggingFormat: 'json' }],
    [
      ['detectLocalMode: BridgeInterface', 'detectLocal: {bridgeInterface: cni0}'],
      { podBridgeInterface: 'cni0' },
    ],
    [['x: &bit 3', 'iptables: {masqueradeBit: *bit}'], { iptablesMasqueradeBit: 3 }],
  ])('%j are read as %o', async (lines, config) => {
    expect(await load(kubeProxy(...lines))).toMatchObject({ config });
  });

  test.each<[readonly string[], Partial<RunConfig>]>([
    [
      ['policy: {deny: reject, established: cut, closedStart: boot}'],
      { policyDeny: 'reject', policyEstablished: 'cut', policyClosedStart: 'boot' },
    ],
    [
      ['localPodCIDRs: [10.244.1.0/24]', 'iptablesBackend: nft'],
      { localPodCidrs: ['10.244.1.0/24'], iptablesBackend: 'nft' },
    ],
    [['minSyncPeriod: 0s'], { iptablesMinSyncPeriod: 0 }],
    [['healthServer: false'], { healthzBindAddress: '', metricsBindAddress: '127.0.0.1:10249' }],
    [['metricsServer: false'], { metricsBindAddress: '' }],
    [['cniCacheDir: /cni', 'stateDir: /state'], { cniCacheDir: '/cni', stateDir: '/state' }],
    [
      ['cniCacheDir: ""', 'master: https://10.0.0.1:6443'],
      { cniCacheDir: undefined, master: 'https://10.0.0.1:6443' },
    ],
  ])('of WeirConfiguration %j are read as %o', async (lines, config) => {
    for (const text of [
      `${kubeProxy()}---\n${weir(...lines)}`,
      `${weir(...lines)}---\n${kubeProxy()}`,
      weir(...lines),
    ])
      expect(await load(text)).toMatchObject({ config });
  });

  test('JSON is YAML', async () => {
    const text = JSON.stringify({
      apiVersion: 'weir.dev/v1alpha1',
      kind: 'WeirConfiguration',
      stateDir: '/x',
    });
    expect(await load(text)).toMatchObject({ config: { stateDir: '/x' } });
  });
});

describe('beside --config', () => {
  test('the flags that only Weir has, and those for the log, override the file', async () => {
    const text = `${kubeProxy('logging: {verbosity: 1}')}---\n${weir('iptablesBackend: nft')}`;
    const flags = { iptablesBackend: 'legacy', v: '5', stateDir: '/s', master: 'https://a', initOnly: true };
    expect(await load(text, flags)).toEqual({
      config: expect.objectContaining({
        iptablesBackend: 'legacy',
        v: 5,
        stateDir: '/s',
        master: 'https://a',
        initOnly: true,
      }) as RunConfig,
      warnings: [],
    });
  });

  test('parts are a list in the file, which the flag overrides', async () => {
    const text = `${kubeProxy('mode: nftables')}---\n${weir('parts: [policies]')}`;
    const alone = { parts: ['policies'], healthzBindAddress: '0.0.0.0:10356' };
    expect(await load(text)).toMatchObject({ config: alone, warnings: [] });
    expect(await load(text, { parts: 'services' })).toMatchObject({ config: { parts: ['services'] } });
  });

  test("kube-proxy's own flags are ignored, and each is named", async () => {
    const flags = {
      clusterCidr: '10.9.0.0/16',
      healthzPort: '0',
      kubeconfig: '/k',
      masqueradeAll: 'nonsense',
    };
    const loaded = await load(kubeProxy(), flags);
    expect(loaded).toMatchObject({
      config: {
        clusterCidr: ['10.244.0.0/16'],
        healthzBindAddress: '0.0.0.0:10256',
        kubeconfig: '',
        masqueradeAll: false,
      },
      warnings: [
        '--kubeconfig is ignored beside --config; the file says clientConnection.kubeconfig',
        '--cluster-cidr is ignored beside --config; the file says clusterCIDR',
        '--masquerade-all is ignored beside --config; the file says iptables.masqueradeAll',
        '--healthz-port is ignored beside --config',
      ],
    });
  });
});

describe('what is passed over', () => {
  test.each<[readonly string[], string]>([
    [['iptables:', '  foo: 1'], 'c.conf:5:3: unknown field iptables.foo'],
    [['Mode: ipvs'], 'c.conf:4:1: unknown field Mode'],
    [
      ['iptables:', '  masqueradeBit: 3', '  masqueradeBit: 4'],
      'c.conf:6:3: duplicate field iptables.masqueradeBit: the last one counts',
    ],
    [
      ['ipvs:', '  scheduler: rr', '  strictARP: true'],
      'c.conf:5:14: ipvs.scheduler, ipvs.strictARP have no effect: Weir routes with iptables rules, not with IPVS',
    ],
    [
      ['nftables: {syncPeriod: 1s}'],
      'c.conf:4:24: nftables.syncPeriod has no effect: Weir routes with iptables rules, not with nftables rules',
    ],
    [['winkernel: {enableDSR: true}'], 'c.conf:4:24: winkernel.enableDSR has no effect: Weir runs on Linux'],
    [['featureGates:', '  A: true'], 'c.conf:4:1: featureGates has no effect: Weir has no feature gates'],
    [
      ['clientConnection: {qps: 50}'],
      'c.conf:4:25: clientConnection.qps has no effect: Weir talks JSON to the API server, at a pace of its own',
    ],
  ])('%j: %s', async (lines, warning) => {
    expect(await warningsOf(kubeProxy(...lines))).toEqual([warning]);
  });

  test('of a duplicate field the last one counts', async () => {
    const lines = ['iptables:', '  masqueradeBit: 3', '  masqueradeBit: 4'];
    expect(await load(kubeProxy(...lines))).toMatchObject({ config: { iptablesMasqueradeBit: 4 } });
  });

  test('a file without clusterCIDR is named for it', async () => {
    expect(await warningsOf(weir())).toEqual([
      expect.stringMatching(/^c\.conf: no clusterCIDR: pods can not/),
    ]);
  });
});

describe('mistakes', () => {
  const expected =
    'expected is apiVersion kubeproxy.config.k8s.io/v1alpha1, kind KubeProxyConfiguration, or apiVersion weir.dev/v1alpha1, kind WeirConfiguration';

  test.each<[string, string]>([
    ['', 'c.conf:1:1: holds neither a KubeProxyConfiguration nor a WeirConfiguration'],
    ['# nothing\n---\n', 'c.conf:1:1: holds neither a KubeProxyConfiguration nor a WeirConfiguration'],
    ['- a', 'c.conf:1:1: must be a KubeProxyConfiguration or a WeirConfiguration'],
    [
      'kind: KubeProxyConfiguration',
      `c.conf:1:1: is apiVersion "", kind "KubeProxyConfiguration"; ${expected}`,
    ],
    [
      kubeProxy().replace('v1alpha1', 'v1alpha2'),
      `c.conf:1:1: is apiVersion "kubeproxy.config.k8s.io/v1alpha2", kind "KubeProxyConfiguration"; ${expected}`,
    ],
    [kubeProxy('mode: *nothing'), expect.stringMatching(/^c\.conf:1:1: Unresolved alias/) as string],
    [`${kubeProxy()}---\n${kubeProxy()}`, 'c.conf:5:1: is a second KubeProxyConfiguration'],
    [kubeProxy('iptables: [', 'x'), expect.stringMatching(/^c\.conf:\d+:\d+: /) as string],
  ])('%j: %s', async (text, error) => {
    expect(await errorsOf(text)).toEqual([error]);
  });

  test.each<[readonly string[], string]>([
    [
      ['iptables:', '  masqueradeBit: "14"'],
      'c.conf:5:18: iptables.masqueradeBit: "14" is not a number from 0 to 31',
    ],
    [
      ['iptables:', '  masqueradeBit: 32'],
      'c.conf:5:18: iptables.masqueradeBit: 32 is not a number from 0 to 31',
    ],
    [
      ['iptables:', '  masqueradeAll: yes'],
      'c.conf:5:18: iptables.masqueradeAll: "yes" is neither true nor false',
    ],
    [['mode: userspace'], 'c.conf:4:7: mode: "userspace" is not one of iptables, ipvs, nftables'],
    [['mode: 3'], 'c.conf:4:7: mode: 3 is not one of iptables, ipvs, nftables'],
    [['configSyncPeriod: 30'], 'c.conf:4:19: configSyncPeriod: must be text, not 30'],
    [
      ['configSyncPeriod: 30x'],
      'c.conf:4:19: configSyncPeriod: "30x" is not a duration such as 30s or 1m30s',
    ],
    [['conntrack: 7'], 'c.conf:4:12: conntrack: must be a mapping'],
    [['nodePortAddresses: 10.0.0.0/8'], 'c.conf:4:20: nodePortAddresses: must be a list, not "10.0.0.0/8"'],
    [
      ['nodePortAddresses:', '- 10.0.0.0/8', '- x'],
      'c.conf:6:3: nodePortAddresses[1]: "x" is not a CIDR such as 192.168.0.0/16 or one of the words primary, localhost and all',
    ],
    [
      ['nodePortAddresses: [primary, primary]'],
      'c.conf:4:30: nodePortAddresses[1]: "primary" is given twice',
    ],
    [['hostnameOverride: "  "'], 'c.conf:4:19: hostnameOverride: must not be blank'],
    [['oomScoreAdj: 1001'], 'c.conf:4:14: oomScoreAdj: 1001 is not a number from -1000 to 1000'],
    [
      ['iptables: {minSyncPeriod: 1m}'],
      'c.conf:4:27: iptables.minSyncPeriod: must not be longer than iptables.syncPeriod',
    ],
    [
      ['detectLocalMode: InterfaceNamePrefix'],
      'c.conf:4:18: detectLocalMode: InterfaceNamePrefix needs detectLocal.interfaceNamePrefix',
    ],
    [['ipvs: {strictARP: 1}'], 'c.conf:4:19: ipvs.strictARP: 1 is neither true nor false'],
    [['mode: ipvs', 'iptables: {syncPeriod: 1}'], 'c.conf:5:24: iptables.syncPeriod: must be text, not 1'],
    [['featureGates: {A: 1}'], 'c.conf:4:1: featureGates: 1 is neither true nor false'],
    [
      ['clientConnection: {burst: -1}'],
      'c.conf:4:27: clientConnection.burst: -1 is not a number from 0 to 2147483647',
    ],
  ])('%j: %s', async (lines, error) => {
    expect(await errorsOf(kubeProxy(...lines))).toEqual([error]);
  });

  test('all are told at once, by their place, those of flags first', async () => {
    const text = `${kubeProxy('oomScoreAdj: x', 'bindAddress: y')}---\n${weir('policy: {deny: z}')}`;
    expect(await errorsOf(text, { v: 'w', logFlushFrequency: 'u' })).toEqual([
      '--v: "w" is not a number from 0 to 2147483647',
      '--log-flush-frequency: "u" is not a duration such as 30s or 1m30s',
      'c.conf:4:14: oomScoreAdj: "x" is not a number from -1000 to 1000',
      'c.conf:5:14: bindAddress: "y" is not an IP address',
      'c.conf:9:16: policy.deny: "z" is not one of drop, reject',
    ]);
  });
});
