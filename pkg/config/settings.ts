import { parts } from './parts.ts';
import {
  address,
  bindAddress,
  boolean,
  clusterCIDRs,
  duration,
  interfaceName,
  localCidrs,
  name,
  nodePortAddresses,
  oneOf,
  partList,
  positiveDuration,
  text,
  type ValueType,
  wholeNumber,
} from './value-types.ts';

export type ProxyMode = 'iptables' | 'ipvs' | 'nftables';

/** Where a setting is found. */
export interface Place {
  /** Field of KubeProxyConfiguration, dotted; kube-proxy keeps some of them apart for each mode. */
  readonly kubeProxy?: string | Readonly<Record<ProxyMode, string>>;
  /** Field of WeirConfiguration, dotted. */
  readonly weir?: string;
  /** Name of the flag in camel case, where it is not the setting's; `false`: there is none. */
  readonly flag?: false | Readonly<Record<ProxyMode, string>>;
  /** The flag counts beside --config, too. */
  readonly overrides?: true;
  /** kube-proxy reads an empty flag as one that was not given. */
  readonly emptyFlagIsUnset?: true;
  /** A file can't tell 0 from nothing. */
  readonly zeroIsUnset?: true;
}

export interface Setting<Value> extends Place {
  readonly type: ValueType<Value>;
  readonly default: Value;
}

function setting<Value>(
  type: ValueType<Value>,
  defaultValue: NoInfer<Value>,
  place: Place = {},
): Setting<Value> {
  return { type, default: defaultValue, ...place };
}

/** Without a default. */
function optional<Value>(type: ValueType<Value>, place: Place = {}): Setting<Value | undefined> {
  // The type reads and prints only what was given.
  return { type, default: undefined, ...place };
}

const maxInt32 = 2 ** 31 - 1;
const int32 = wholeNumber(0, maxInt32);

/** Everything that has an effect in Weir, under the name of its flag in camel case. */
export const settings = {
  manifests: optional(name, { weir: 'manifests', overrides: true }),
  parts: setting(partList, parts, { weir: 'parts', overrides: true }),
  nodeName: optional(name, { overrides: true }),
  hostnameOverride: setting(text, '', {
    kubeProxy: 'hostnameOverride',
    overrides: true,
    emptyFlagIsUnset: true,
  }),
  kubeconfig: setting(text, '', { kubeProxy: 'clientConnection.kubeconfig' }),
  master: setting(text, '', { weir: 'master', overrides: true }),
  proxyMode: setting(oneOf(['iptables', 'ipvs', 'nftables']), 'iptables', {
    kubeProxy: 'mode',
    emptyFlagIsUnset: true,
  }),
  clusterCidr: setting(clusterCIDRs, [], { kubeProxy: 'clusterCIDR' }),
  detectLocalMode: setting(
    oneOf(['ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix']),
    'ClusterCIDR',
    { kubeProxy: 'detectLocalMode', emptyFlagIsUnset: true },
  ),
  podBridgeInterface: setting(interfaceName(15), '', { kubeProxy: 'detectLocal.bridgeInterface' }),
  // Rules put a + behind it.
  podInterfaceNamePrefix: setting(interfaceName(14), '', { kubeProxy: 'detectLocal.interfaceNamePrefix' }),
  nodeportAddresses: setting(nodePortAddresses, [], { kubeProxy: 'nodePortAddresses' }),
  masqueradeAll: setting(boolean, false, {
    kubeProxy: {
      iptables: 'iptables.masqueradeAll',
      ipvs: 'iptables.masqueradeAll',
      nftables: 'nftables.masqueradeAll',
    },
  }),
  iptablesMasqueradeBit: setting(wholeNumber(0, 31), 14, { kubeProxy: 'iptables.masqueradeBit' }),
  iptablesLocalhostNodeports: setting(boolean, true, { kubeProxy: 'iptables.localhostNodePorts' }),
  iptablesSyncPeriod: setting(positiveDuration, 30_000, {
    kubeProxy: {
      iptables: 'iptables.syncPeriod',
      ipvs: 'ipvs.syncPeriod',
      nftables: 'nftables.syncPeriod',
    },
    flag: { iptables: 'iptablesSyncPeriod', ipvs: 'ipvsSyncPeriod', nftables: 'iptablesSyncPeriod' },
    zeroIsUnset: true,
  }),
  iptablesMinSyncPeriod: optional(duration, {
    kubeProxy: {
      iptables: 'iptables.minSyncPeriod',
      ipvs: 'ipvs.minSyncPeriod',
      nftables: 'nftables.minSyncPeriod',
    },
    flag: { iptables: 'iptablesMinSyncPeriod', ipvs: 'ipvsMinSyncPeriod', nftables: 'iptablesMinSyncPeriod' },
    zeroIsUnset: true,
  }),
  iptablesBackend: setting(oneOf(['auto', 'legacy', 'nft']), 'auto', {
    weir: 'iptablesBackend',
    overrides: true,
  }),
  conntrackMaxPerCore: setting(int32, 32_768, { kubeProxy: 'conntrack.maxPerCore' }),
  conntrackMin: setting(int32, 131_072, { kubeProxy: 'conntrack.min' }),
  conntrackTcpTimeoutEstablished: setting(duration, 86_400_000, {
    kubeProxy: 'conntrack.tcpEstablishedTimeout',
  }),
  conntrackTcpTimeoutCloseWait: setting(duration, 3_600_000, {
    kubeProxy: 'conntrack.tcpCloseWaitTimeout',
  }),
  conntrackTcpBeLiberal: setting(boolean, false, { kubeProxy: 'conntrack.tcpBeLiberal' }),
  conntrackUdpTimeout: setting(duration, 0, { kubeProxy: 'conntrack.udpTimeout' }),
  conntrackUdpTimeoutStream: setting(duration, 0, { kubeProxy: 'conntrack.udpStreamTimeout' }),
  bindAddress: setting(address, '0.0.0.0', { kubeProxy: 'bindAddress', emptyFlagIsUnset: true }),
  bindAddressHardFail: setting(boolean, false, { kubeProxy: 'bindAddressHardFail' }),
  healthzBindAddress: setting(bindAddress, '0.0.0.0', {
    kubeProxy: 'healthzBindAddress',
    emptyFlagIsUnset: true,
  }),
  healthzPort: setting(wholeNumber(0, 65_535), 10_256),
  metricsBindAddress: setting(bindAddress, '127.0.0.1', {
    kubeProxy: 'metricsBindAddress',
    emptyFlagIsUnset: true,
  }),
  metricsPort: setting(wholeNumber(0, 65_535), 10_249),
  oomScoreAdj: setting(wholeNumber(-1000, 1000), -999, { kubeProxy: 'oomScoreAdj' }),
  policyDeny: setting(oneOf(['drop', 'reject']), 'drop', { weir: 'policy.deny', overrides: true }),
  policyEstablished: setting(oneOf(['keep', 'cut']), 'keep', { weir: 'policy.established', overrides: true }),
  policyClosedStart: setting(oneOf(['off', 'known', 'boot']), 'known', {
    weir: 'policy.closedStart',
    overrides: true,
  }),
  localPodCidrs: setting(localCidrs, [], { weir: 'localPodCIDRs', overrides: true }),
  cniCacheDir: optional(name, { weir: 'cniCacheDir', overrides: true }),
  stateDir: setting(name, '/var/lib/weir', { weir: 'stateDir', overrides: true }),
  loggingFormat: setting(oneOf(['text', 'json']), 'text', { kubeProxy: 'logging.format', overrides: true }),
  v: setting(int32, 0, { kubeProxy: 'logging.verbosity', overrides: true }),
  initOnly: setting(boolean, false, { overrides: true }),
  cleanup: setting(boolean, false, { overrides: true }),
  // What kube-proxy's flags can say and its file format can not.
  minSyncPeriod: optional(duration, { weir: 'minSyncPeriod', flag: false }),
  healthServer: setting(boolean, true, { weir: 'healthServer', flag: false }),
  metricsServer: setting(boolean, true, { weir: 'metricsServer', flag: false }),
} as const;

export type SettingKey = keyof typeof settings;

/** What every setting is, given or by default. */
export type Values = {
  readonly [Key in SettingKey]: (typeof settings)[Key] extends Setting<infer Value> ? Value : never;
};

export const settingKeys = Object.keys(settings) as readonly SettingKey[];

/** The field of KubeProxyConfiguration that counts in this mode. */
export function kubeProxyField({ kubeProxy }: Place, mode: ProxyMode): string | undefined {
  return typeof kubeProxy === 'object' ? kubeProxy[mode] : kubeProxy;
}

/** The flag that counts in this mode, in camel case; `undefined` where there is none. */
export function flagKey(key: SettingKey, mode: ProxyMode): string | undefined {
  const { flag }: Place = settings[key];
  if (flag === false) return undefined;
  return flag === undefined ? key : flag[mode];
}

/** `iptablesSyncPeriod` → `--iptables-sync-period`. */
export function flagName(key: string): string {
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
