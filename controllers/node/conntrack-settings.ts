import { createSysFs, type Sysctl, type SysctlName, type SysFs, sysctlNames } from '../../pkg/apply/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import { errorLine, isWeirError, WeirError } from '../../pkg/runtime/index.ts';

/** The settings of connection tracking; times are milliseconds, and 0 leaves the kernel's own value alone. */
export interface ConntrackConfig {
  /** Connections for each processor; 0 leaves the size of the table alone, whatever `conntrackMin` says. */
  readonly conntrackMaxPerCore: number;
  readonly conntrackMin: number;
  readonly conntrackTcpTimeoutEstablished: number;
  readonly conntrackTcpTimeoutCloseWait: number;
  readonly conntrackUdpTimeout: number;
  readonly conntrackUdpTimeoutStream: number;
  /** `false` leaves the kernel's own value alone. */
  readonly conntrackTcpBeLiberal: boolean;
}

export interface ConntrackSettingsOptions {
  readonly config: ConntrackConfig;
  readonly sysctl: Sysctl;
  readonly log: Logger;
  /** What can't be set is an error, and no warning. */
  readonly strict: boolean;
  /** /sys unless told. */
  readonly sysFs?: SysFs;
}

interface Setting {
  readonly name: SysctlName;
  readonly wanted: number;
  /** Whether a value that is there already is as good. Only the value itself is, by default. */
  readonly suffices?: (present: number) => boolean;
}

/** More than this takes gigabytes on machines with hundreds of processors (kubernetes/kubernetes#137002). */
const greatestScaledMax = 1_048_576;
/** Connections that share a bucket of the table, at most, for look-ups to stay quick. */
const connectionsPerBucket = 4;

/**
 * Sets up connection tracking as kube-proxy does, writing only what differs. The table is never made smaller; configured times are
 * set even where they are shorter than the present ones. What nobody can set from this network namespace is passed over. Where the kernel refuses otherwise, throws WEIR_SYSCTL_FAILED with `strict`, and else warns in one
 * line: usually an init step with more privilege has set everything before.
 */
export async function applyConntrackSettings(options: ConntrackSettingsOptions): Promise<void> {
  const { config, sysctl, log, strict, sysFs = createSysFs() } = options;
  const max = await conntrackMax(config, sysFs);
  const settings =
    max === undefined ? [] : [{ name: sysctlNames.conntrackMax, wanted: max, suffices: isAtLeast(max) }];
  const problems: string[] = [];
  for (const setting of [...settings, ...otherSettings(config)]) {
    const problem = await apply(setting, sysctl, log);
    if (problem === undefined) continue;
    if (strict) throw new WeirError('WEIR_SYSCTL_FAILED', problem);
    problems.push(problem);
  }
  if (problems.length > 0) {
    log.warn(
      `connection tracking is not set up as configured: ${problems.join('; ')}. Run "weir run --init-only" with full privilege first, or configure 0 to leave a setting alone`,
    );
  }
  if (max !== undefined && problems.length === 0) await growTable(max, options, sysFs);
}

/**
 * Somebody had a reason to make the table larger, and a running node may need what it has (kubernetes/kubernetes#142035). The kernel
 * takes 0 for "without limit".
 */
function isAtLeast(max: number): (present: number) => boolean {
  return (present) => present === 0 || present >= max;
}

async function conntrackMax(config: ConntrackConfig, sysFs: SysFs): Promise<number | undefined> {
  const { conntrackMaxPerCore, conntrackMin } = config;
  if (conntrackMaxPerCore <= 0) return undefined;
  const scaled = conntrackMaxPerCore * (await sysFs.cpuCount());
  return scaled > greatestScaledMax ? greatestScaledMax : Math.max(scaled, conntrackMin);
}

function otherSettings(config: ConntrackConfig): readonly Setting[] {
  const timeouts = [
    [sysctlNames.tcpTimeoutEstablished, config.conntrackTcpTimeoutEstablished],
    [sysctlNames.tcpTimeoutCloseWait, config.conntrackTcpTimeoutCloseWait],
    [sysctlNames.udpTimeout, config.conntrackUdpTimeout],
    [sysctlNames.udpTimeoutStream, config.conntrackUdpTimeoutStream],
  ] as const;
  return [
    ...timeouts
      .filter(([, ms]) => ms > 0)
      // Less than a second must not become "at once".
      .map(([name, ms]) => ({ name, wanted: Math.max(1, Math.floor(ms / 1000)) })),
    ...(config.conntrackTcpBeLiberal ? [{ name: sysctlNames.tcpBeLiberal, wanted: 1 }] : []),
  ];
}

/** What went wrong; `undefined` when the setting is right, or can't be set by anybody here. */
async function apply(
  { name, wanted, suffices = (present) => present === wanted }: Setting,
  sysctl: Sysctl,
  log: Logger,
): Promise<string | undefined> {
  const label = name.replaceAll('/', '.');
  try {
    const present = await sysctl.read(name);
    if (present !== undefined && suffices(Number(present))) return undefined;
    if (present === undefined) return `${label} should be ${wanted}, but the kernel does not have it`;
    if (await sysctl.isFixed(name)) {
      log.debug(`${label} stays ${present}: only the host's network namespace can set it`);
      return undefined;
    }
    try {
      await sysctl.ensure(name, String(wanted));
    } catch (error) {
      if (!isWeirError(error)) throw error;
      return `${label} should be ${wanted} and is ${present} (${causeOf(error)})`;
    }
    log.info(`${label} set to ${wanted}; it was ${present}`);
    return undefined;
  } catch (error) {
    if (!isWeirError(error)) throw error;
    return error.message;
  }
}

/** A table of few buckets gets slow long before it is full. That can't be set is not fatal: it works all the same. */
async function growTable(
  max: number,
  { sysctl, log }: ConntrackSettingsOptions,
  sysFs: SysFs,
): Promise<void> {
  const wanted = Math.floor(max / connectionsPerBucket);
  const present = await sysFs.conntrackBuckets();
  if (present === undefined || present >= wanted) return;
  if (await sysctl.isFixed(sysctlNames.conntrackMax)) {
    log.debug(
      `the conntrack table keeps its ${present} buckets: only the host's network namespace can set it`,
    );
    return;
  }
  try {
    await sysFs.setConntrackBuckets(wanted);
    log.info(`conntrack table: ${wanted} buckets; it had ${present}`);
  } catch (error) {
    log.warn(`the conntrack table should have ${wanted} buckets and has ${present}: ${errorLine(error)}`);
  }
}

function causeOf(error: WeirError): string {
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
}
