import { familyOf } from '../net/index.ts';
import type { ConfigFile } from './config-file.ts';
import { type EffectiveValues, effectiveValues, type Flags } from './effective-values.ts';
import { settings, type Values } from './settings.ts';
import { withPort } from './value-types.ts';

/** Settings that end in others. */
type Settled =
  | 'nodeName'
  | 'proxyMode'
  | 'healthzPort'
  | 'metricsPort'
  | 'minSyncPeriod'
  | 'healthServer'
  | 'metricsServer'
  | 'cleanup';

/**
 * Everything that Weir's behaviour depends on besides the cluster's objects, under the names of kube-proxy's flags in camel
 * case. Durations are in milliseconds.
 */
export interface RunConfig extends Omit<Values, Settled> {
  /** Name of the Node that this machine is: `hostnameOverride`, or else the host name; in lower case. */
  readonly nodeName: string;
  /** File that the rest was read from; `undefined`: from flags alone. */
  readonly configFile: string | undefined;
  /** `IP:port`; empty where there is to be no such server. */
  readonly healthzBindAddress: string;
  /** `IP:port`; empty where there is to be no such server. */
  readonly metricsBindAddress: string;
  /** `undefined`: by how long a sync takes. */
  readonly iptablesMinSyncPeriod: number | undefined;
}

/** What the rules depend on besides the cluster's objects. */
export type RuleConfig = Pick<
  RunConfig,
  | 'parts'
  | 'nodeName'
  | 'clusterCidr'
  | 'detectLocalMode'
  | 'podBridgeInterface'
  | 'podInterfaceNamePrefix'
  | 'nodeportAddresses'
  | 'masqueradeAll'
  | 'iptablesMasqueradeBit'
  | 'iptablesLocalhostNodeports'
  | 'iptablesBackend'
  | 'bindAddress'
  | 'conntrackTcpBeLiberal'
  | 'policyDeny'
  | 'policyEstablished'
  | 'policyClosedStart'
  | 'localPodCidrs'
>;

/** `errors` are one line each and name the flag, or file, line, column and field; `warnings` say what was passed over. */
export type Settlement =
  | { readonly config: RunConfig; readonly warnings: readonly string[] }
  | { readonly errors: readonly string[] };

/** The effective configuration of these flags, this file, and a machine of this name. */
export function settle(flags: Flags, file: ConfigFile | undefined, hostname: string): Settlement {
  const effective = effectiveValues(flags, file);
  const { values } = effective;
  const node = nodeNameOf(effective, hostname);
  const errors = [
    ...effective.errors,
    ...('error' in node ? [node.error] : []),
    ...contradictions(effective),
  ];
  if ('error' in node || errors.length > 0) return { errors };
  const {
    nodeName,
    proxyMode,
    healthzPort: _healthzPort,
    metricsPort: _metricsPort,
    minSyncPeriod,
    healthServer,
    metricsServer,
    cleanup: _,
    ...rest
  } = values;
  const port = (key: 'healthzPort' | 'metricsPort'): number =>
    values.parts.includes('services') || effective.given.has(key) ? values[key] : portsBesideProxy[key];
  const config: RunConfig = Object.freeze({
    ...rest,
    hostnameOverride: nodeName === undefined && values.hostnameOverride === '' ? '' : node.name,
    nodeName: node.name,
    configFile: file === undefined ? undefined : String(flags['config']),
    nodeportAddresses:
      // The nftables proxy answers on the Node's own address only, unless told otherwise.
      proxyMode === 'nftables' && rest.nodeportAddresses.length === 0 ? ['primary'] : rest.nodeportAddresses,
    iptablesMinSyncPeriod: minSyncPeriod ?? rest.iptablesMinSyncPeriod,
    healthzBindAddress: serverAddress(
      effective,
      'healthzBindAddress',
      healthServer ? port('healthzPort') : 0,
    ),
    metricsBindAddress: serverAddress(
      effective,
      'metricsBindAddress',
      metricsServer ? port('metricsPort') : 0,
    ),
  });
  return { config, warnings: [...effective.warnings, ...deprecations(effective), ...configWarnings(config)] };
}

/** Where Weir listens by default when Services are not its task: kube-proxy has its own ports. */
const portsBesideProxy = { healthzPort: 10_356, metricsPort: 10_349 } as const;

type NodeName = { readonly name: string } | { readonly error: string };

/** As kube-proxy: trimmed and in lower case. The machines of a folder of manifests are hardly this one, so there it must be said. */
function nodeNameOf({ values, broken, nameOf }: EffectiveValues, hostname: string): NodeName {
  if (broken.has('nodeName')) return { name: '' };
  const [key, given] =
    values.nodeName === undefined
      ? (['hostnameOverride', values.hostnameOverride] as const)
      : (['nodeName', values.nodeName] as const);
  if (given !== '') {
    const name = given.trim().toLowerCase();
    return name === '' ? { error: `${nameOf(key)}: must not be blank` } : { name };
  }
  if (values.manifests !== undefined) return { error: `--node-name is required with ${nameOf('manifests')}` };
  const name = hostname.trim().toLowerCase();
  return name === '' ? { error: '--node-name is required: this machine has no name' } : { name };
}

function contradictions({ values, broken, nameOf }: EffectiveValues): readonly string[] {
  const needs = (mode: string, key: 'podBridgeInterface' | 'podInterfaceNamePrefix') =>
    values.detectLocalMode === mode && values[key] === '' && !broken.has(key)
      ? [`${nameOf('detectLocalMode')}: ${mode} needs ${plainName(nameOf(key))}`]
      : [];
  const mayCompare = !broken.has('iptablesSyncPeriod');
  const isTooLong = (key: 'iptablesMinSyncPeriod' | 'minSyncPeriod') =>
    mayCompare && (values[key] ?? 0) > values.iptablesSyncPeriod
      ? [`${nameOf(key)}: must not be longer than ${plainName(nameOf('iptablesSyncPeriod'))}`]
      : [];
  return [
    ...needs('BridgeInterface', 'podBridgeInterface'),
    ...needs('InterfaceNamePrefix', 'podInterfaceNamePrefix'),
    ...isTooLong('iptablesMinSyncPeriod'),
    ...isTooLong('minSyncPeriod'),
  ];
}

/** Without the place in the file: one is enough in a line. */
function plainName(name: string): string {
  return name.slice(name.lastIndexOf(' ') + 1);
}

/** In a file, the defaults are of the family of `bindAddress`; on the command line they are IPv4, as kube-proxy has them. */
function serverAddress(
  { values, given }: EffectiveValues,
  key: 'healthzBindAddress' | 'metricsBindAddress',
  port: number,
): string {
  if (port === 0) return '';
  const isIPv6 = given.get('bindAddress') === 'file' && familyOf(values.bindAddress) === 'IPv6';
  const defaultIPv6 = key === 'healthzBindAddress' ? '::' : '::1';
  return withPort(isIPv6 && !given.has(key) ? defaultIPv6 : values[key], port);
}

function deprecations({ given }: EffectiveValues): readonly string[] {
  return [
    ...(given.has('healthzPort') ? ['--healthz-port is deprecated: use --healthz-bind-address'] : []),
    ...(given.has('metricsPort') ? ['--metrics-port is deprecated: use --metrics-bind-address'] : []),
  ];
}

/** What is allowed, but hardly meant; one line each. */
function configWarnings(config: RunConfig): readonly string[] {
  return config.parts.includes('services') ? serviceWarnings(config) : proxyPortWarnings(config);
}

function proxyPortWarnings({ healthzBindAddress, metricsBindAddress }: RunConfig): readonly string[] {
  const servers = [
    ['healthz-bind-address', 'healthzBindAddress', healthzBindAddress, settings.healthzPort.default],
    ['metrics-bind-address', 'metricsBindAddress', metricsBindAddress, settings.metricsPort.default],
  ] as const;
  return servers
    .filter(([, , address, port]) => address.endsWith(`:${port}`))
    .map(
      ([flag, field, address, port]) =>
        `--${flag} (${field}) is ${address}: port ${port} is that of a kube-proxy on this node; configure another one for Weir`,
    );
}

function serviceWarnings(config: RunConfig): readonly string[] {
  if (config.detectLocalMode !== 'ClusterCIDR' || config.masqueradeAll) return [];
  const everything = config.clusterCidr.filter((cidr) => cidr.endsWith('/0'));
  if (everything.length > 0) {
    return [
      `${config.configFile === undefined ? '--cluster-cidr' : `${config.configFile}: clusterCIDR`} has ${everything.join(' and ')}: all clients count as local, so nothing that comes to a cluster IP is masqueraded`,
    ];
  }
  if (config.clusterCidr.length > 0) return [];
  const what = config.configFile === undefined ? 'no --cluster-cidr' : `${config.configFile}: no clusterCIDR`;
  return [
    `${what}: pods can not be told from other clients, so what comes from outside the cluster to a cluster IP is not masqueraded`,
  ];
}
