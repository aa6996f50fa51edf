import { readFile, stat, writeFile } from 'node:fs/promises';
import { WeirError } from '../runtime/index.ts';

/** The kernel settings Weir looks at or sets, as paths below /proc/sys. */
export const sysctlNames = {
  bridgeIPv4: 'net/bridge/bridge-nf-call-iptables',
  bridgeIPv6: 'net/bridge/bridge-nf-call-ip6tables',
  routeLocalnet: 'net/ipv4/conf/all/route_localnet',
  conntrackMax: 'net/netfilter/nf_conntrack_max',
  tcpBeLiberal: 'net/netfilter/nf_conntrack_tcp_be_liberal',
  tcpTimeoutCloseWait: 'net/netfilter/nf_conntrack_tcp_timeout_close_wait',
  tcpTimeoutEstablished: 'net/netfilter/nf_conntrack_tcp_timeout_established',
  udpTimeout: 'net/netfilter/nf_conntrack_udp_timeout',
  udpTimeoutStream: 'net/netfilter/nf_conntrack_udp_timeout_stream',
} as const;

export type SysctlName = (typeof sysctlNames)[keyof typeof sysctlNames];

/** Kernel settings by path. */
export interface Sysctl {
  /** The value without white space around it, or undefined when the kernel has no such setting (a module may be missing). */
  read(name: SysctlName): Promise<string | undefined>;
  /** Sets the value where it differs; returns whether it had to. Throws WEIR_SYSCTL_FAILED. */
  ensure(name: SysctlName, value: string): Promise<boolean>;
  /** Whether nobody may write it here: outside the host's network namespace some settings only show the host's value. */
  isFixed(name: SysctlName): Promise<boolean>;
}

/** `root` is /proc/sys unless told. Network settings are those of this process' network namespace. */
export function createSysctl(root = '/proc/sys'): Sysctl {
  const read = (name: SysctlName): Promise<string | undefined> => readSetting(root, name);
  return {
    read,
    ensure: async (name, value) => {
      if ((await read(name)) === value) return false;
      await writeSetting(root, name, value);
      return true;
    },
    isFixed: async (name) => {
      const stats = await stat(`${root}/${name}`).catch(() => undefined);
      return stats !== undefined && (stats.mode & 0o222) === 0;
    },
  };
}

async function readSetting(root: string, name: SysctlName): Promise<string | undefined> {
  try {
    return (await readFile(`${root}/${name}`, 'utf8')).trim();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw failure('read', name, error);
  }
}

async function writeSetting(root: string, name: SysctlName, value: string): Promise<void> {
  try {
    // r+ so that a misspelt root never grows files.
    await writeFile(`${root}/${name}`, value, { flag: 'r+' });
  } catch (error) {
    throw failure(`set to ${value}`, name, error);
  }
}

function failure(what: string, name: SysctlName, error: unknown): WeirError {
  const why = error instanceof Error ? error.message : String(error);
  return new WeirError('WEIR_SYSCTL_FAILED', `${name.replaceAll('/', '.')} could not be ${what}: ${why}`, {
    cause: error,
  });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
