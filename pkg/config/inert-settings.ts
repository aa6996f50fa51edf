import {
  boolean,
  duration,
  featureGates,
  loggingDuration,
  number,
  positiveDuration,
  quantity,
  text,
  texts,
  type ValueType,
  wholeNumber,
} from './value-types.ts';

/** What kube-proxy has and Weir has no use for: read, checked, and without effect. */
export interface InertSetting {
  /** In camel case. */
  readonly flag?: string;
  /** Field of KubeProxyConfiguration, dotted. */
  readonly field?: string;
  readonly type: ValueType<unknown>;
  /** As kube-proxy serialises it; `undefined`: not at all. */
  readonly default: unknown;
  /** Why it has no effect, after a colon. */
  readonly why: string;
}

type Row = readonly [
  flag: string | undefined,
  field: string | undefined,
  type: ValueType<unknown>,
  defaultValue: unknown,
];

function because(why: string, rows: readonly Row[]): readonly InertSetting[] {
  return rows.map(([flag, field, type, defaultValue]) => ({
    ...(flag === undefined ? {} : { flag }),
    ...(field === undefined ? {} : { field }),
    type,
    default: defaultValue,
    why,
  }));
}

const int32 = wholeNumber(0, 2 ** 31 - 1);

export const inertSettings: readonly InertSetting[] = [
  ...because('Weir routes with iptables rules, not with IPVS', [
    ['ipvsSyncPeriod', 'ipvs.syncPeriod', duration, 30_000],
    ['ipvsMinSyncPeriod', 'ipvs.minSyncPeriod', duration, 0],
    ['ipvsScheduler', 'ipvs.scheduler', text, ''],
    ['ipvsExcludeCidrs', 'ipvs.excludeCIDRs', texts, []],
    ['ipvsStrictArp', 'ipvs.strictARP', boolean, false],
    ['ipvsTcpTimeout', 'ipvs.tcpTimeout', duration, 0],
    ['ipvsTcpfinTimeout', 'ipvs.tcpFinTimeout', duration, 0],
    ['ipvsUdpTimeout', 'ipvs.udpTimeout', duration, 0],
  ]),
  ...because('Weir routes with iptables rules, not with nftables rules', [
    [undefined, 'nftables.masqueradeBit', wholeNumber(0, 31), 14],
    [undefined, 'nftables.masqueradeAll', boolean, false],
    [undefined, 'nftables.syncPeriod', duration, 30_000],
    [undefined, 'nftables.minSyncPeriod', duration, 1000],
  ]),
  ...because('Weir runs on Linux', [
    [undefined, 'windowsRunAsService', boolean, false],
    [undefined, 'winkernel.networkName', text, ''],
    [undefined, 'winkernel.sourceVip', text, ''],
    [undefined, 'winkernel.enableDSR', boolean, false],
    [undefined, 'winkernel.rootHnsEndpointName', text, ''],
    [undefined, 'winkernel.forwardHealthCheckVIP', boolean, false],
  ]),
  ...because('Weir has no feature gates', [['featureGates', 'featureGates', featureGates, undefined]]),
  ...because('Weir talks JSON to the API server, at a pace of its own', [
    [undefined, 'clientConnection.acceptContentTypes', text, ''],
    ['kubeApiContentType', 'clientConnection.contentType', text, 'application/vnd.kubernetes.protobuf'],
    ['kubeApiQps', 'clientConnection.qps', number, 5],
    ['kubeApiBurst', 'clientConnection.burst', int32, 10],
  ]),
  ...because('Weir compares with the kernel, and watches do not need refreshing', [
    ['configSyncPeriod', 'configSyncPeriod', positiveDuration, 900_000],
  ]),
  ...because('Weir has no profiling endpoint', [['profiling', 'enableProfiling', boolean, false]]),
  ...because('Weir hides no metrics', [
    ['showHiddenMetricsForVersion', 'showHiddenMetricsForVersion', text, ''],
  ]),
  ...because('kube-proxy does not use it either', [[undefined, 'portRange', text, '']]),
  ...because('Weir logs every line at once, on one stream', [
    ['logFlushFrequency', 'logging.flushFrequency', loggingDuration, 5000],
    ['vmodule', 'logging.vmodule', text, undefined],
    ['logTextSplitStream', 'logging.options.text.splitStream', boolean, undefined],
    ['logTextInfoBufferSize', 'logging.options.text.infoBufferSize', quantity, '0'],
    ['logJsonSplitStream', 'logging.options.json.splitStream', boolean, undefined],
    ['logJsonInfoBufferSize', 'logging.options.json.infoBufferSize', quantity, '0'],
  ]),
  ...because('Weir does not report on the machine', [
    ['bootIdFile', undefined, text, ''],
    ['machineIdFile', undefined, text, ''],
  ]),
];

/** The flags among them, in camel case, and whether they may stand without a value. */
export const inertFlags: readonly {
  readonly key: string;
  readonly isBoolean: boolean;
  readonly why: string;
}[] = inertSettings.flatMap(({ flag, type, why }) =>
  flag === undefined ? [] : [{ key: flag, isBoolean: type === boolean, why }],
);
