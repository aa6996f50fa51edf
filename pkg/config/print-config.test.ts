import fc from 'fast-check';
import { expect, test } from 'vitest';
import { kubeadmConfig } from '../../test/support/kubeadm-config.ts';
import type { Flags } from './effective-values.ts';
import { loadRunConfig } from './load-config.ts';
import { configText, kubeProxyConfiguration } from './print-config.ts';
import type { RunConfig } from './run-config.ts';

async function load(flags: Flags, text = ''): Promise<{ config: RunConfig; warnings: readonly string[] }> {
  const host = { hostname: 'machine', readFile: () => Promise.resolve(text) };
  const loaded = await loadRunConfig(flags, host);
  if ('errors' in loaded) throw new Error(loaded.errors.join('; '));
  return loaded;
}

const seconds = fc.integer({ min: 0, max: 100_000 }).map((milliseconds) => `${milliseconds}ms`);
const boolean = fc.constantFrom(true, 'true', 'false');
const count = fc.nat(2 ** 31 - 1).map(String);
const bindAddress = fc.constantFrom('', '10.0.0.1', '::1', '[::]:80', '0.0.0.0:1');
const port = fc.constantFrom('0', '1', '65535');

/** Flags of every setting, each valid. */
const anyFlags = fc.record(
  {
    manifests: fc.constantFrom('./cluster', '/a b/c: d'),
    parts: fc.constantFrom('policies', 'services', 'services,policies'),
    master: fc.constantFrom('', 'https://10.0.0.1:6443'),
    kubeconfig: fc.constantFrom('', '/etc/kubeconfig', '- "odd" #name'),
    hostnameOverride: fc.constantFrom('Node', 'true', '1e3', '0x10'),
    proxyMode: fc.constantFrom('', 'iptables', 'ipvs', 'nftables'),
    clusterCidr: fc.constantFrom('', '10.1.2.3/8', '10.0.0.0/8,fd00::/8'),
    detectLocalMode: fc.constantFrom('', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix'),
    nodeportAddresses: fc.constantFrom(
      '',
      'primary',
      '10.0.0.0/8',
      '::/0,0.0.0.0/0',
      'localhost,10.0.0.0/8,primary',
      'all',
    ),
    masqueradeAll: boolean,
    iptablesMasqueradeBit: fc.nat(31).map(String),
    iptablesLocalhostNodeports: boolean,
    iptablesMinSyncPeriod: seconds,
    ipvsMinSyncPeriod: seconds,
    iptablesBackend: fc.constantFrom('auto', 'legacy', 'nft'),
    conntrackMaxPerCore: count,
    conntrackMin: count,
    conntrackTcpTimeoutEstablished: seconds,
    conntrackTcpTimeoutCloseWait: seconds,
    conntrackTcpBeLiberal: boolean,
    conntrackUdpTimeout: seconds,
    conntrackUdpTimeoutStream: seconds,
    bindAddress: fc.constantFrom('', '0.0.0.0', '::', 'fd00::1'),
    bindAddressHardFail: boolean,
    healthzBindAddress: bindAddress,
    healthzPort: port,
    metricsBindAddress: bindAddress,
    metricsPort: port,
    oomScoreAdj: fc.integer({ min: -1000, max: 1000 }).map(String),
    policyDeny: fc.constantFrom('drop', 'reject'),
    policyEstablished: fc.constantFrom('keep', 'cut'),
    policyClosedStart: fc.constantFrom('off', 'known', 'boot'),
    localPodCidrs: fc.constantFrom('', '10.244.1.0/24,fd00::/64'),
    cniCacheDir: fc.constantFrom('/cni', 'null'),
    stateDir: fc.constantFrom('/state', 'off'),
    loggingFormat: fc.constantFrom('text', 'json'),
    v: count,
  },
  { requiredKeys: ['hostnameOverride'] },
);

test('what is printed is read back as the same configuration, without a complaint about it', async () => {
  await fc.assert(
    fc.asyncProperty(anyFlags, async (flags) => {
      const interfaces = { podBridgeInterface: 'cni0', podInterfaceNamePrefix: 'veth' };
      const { config } = await load({
        ...interfaces,
        iptablesSyncPeriod: '1h40m',
        ipvsSyncPeriod: '2h',
        ...flags,
      });
      const again = await load({ config: 'c' }, configText(config));
      expect({ ...again.config, configFile: undefined }).toEqual(config);
      expect(again.warnings.filter((warning) => !warning.includes('no clusterCIDR'))).toEqual([]);
      expect(configText(again.config)).toBe(configText(config));
    }),
    { numRuns: 30 },
  );
});

test('a name that the machine has is not printed: the file is for any', async () => {
  const { config } = await load({});
  expect(config.nodeName).toBe('machine');
  expect(kubeProxyConfiguration(config)).toMatchObject({ hostnameOverride: '' });
});

test("of kubeadm's config.conf every default is filled in, in kube-proxy's order", async () => {
  const { config } = await load({ config: 'c' }, kubeadmConfig);
  expect(configText(config)).toBe(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection:
  acceptContentTypes: ""
  burst: 10
  contentType: application/vnd.kubernetes.protobuf
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
  qps: 5
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 15m0s
conntrack:
  maxPerCore: 32768
  min: 131072
  tcpBeLiberal: false
  tcpCloseWaitTimeout: 1h0m0s
  tcpEstablishedTimeout: 24h0m0s
  udpStreamTimeout: 0s
  udpTimeout: 0s
detectLocal:
  bridgeInterface: ""
  interfaceNamePrefix: ""
detectLocalMode: ClusterCIDR
enableProfiling: false
healthzBindAddress: 0.0.0.0:10256
hostnameOverride: ""
iptables:
  localhostNodePorts: true
  masqueradeAll: false
  masqueradeBit: 14
  minSyncPeriod: 0s
  syncPeriod: 30s
ipvs:
  excludeCIDRs: []
  minSyncPeriod: 0s
  scheduler: ""
  strictARP: false
  syncPeriod: 30s
  tcpFinTimeout: 0s
  tcpTimeout: 0s
  udpTimeout: 0s
kind: KubeProxyConfiguration
logging:
  flushFrequency: 5s
  format: text
  options:
    json:
      infoBufferSize: "0"
    text:
      infoBufferSize: "0"
  verbosity: 0
metricsBindAddress: 127.0.0.1:10249
mode: iptables
nftables:
  masqueradeAll: false
  masqueradeBit: 14
  minSyncPeriod: 1s
  syncPeriod: 30s
nodePortAddresses: []
oomScoreAdj: -999
portRange: ""
showHiddenMetricsForVersion: ""
windowsRunAsService: false
winkernel:
  enableDSR: false
  forwardHealthCheckVIP: false
  networkName: ""
  rootHnsEndpointName: ""
  sourceVip: ""
---
apiVersion: weir.dev/v1alpha1
cniCacheDir: ""
healthServer: true
iptablesBackend: auto
kind: WeirConfiguration
localPodCIDRs: []
manifests: ""
master: ""
metricsServer: true
minSyncPeriod: ""
parts:
  - policies
  - services
policy:
  closedStart: known
  deny: drop
  established: keep
stateDir: /var/lib/weir
`);
});
