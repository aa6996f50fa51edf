import { readFile } from 'node:fs/promises';
import { canonicalAddress, formatAddress } from '../net/index.ts';

/** A virtual server of IPVS, by the words that ipvsadm takes. */
export interface VirtualServer {
  /** `-t`, `-u`, `--sctp-service`. */
  readonly option: string;
  /** `10.96.0.1:443`, `[fd00::1]:443`. */
  readonly socket: string;
  /** Canonical. */
  readonly address: string;
  /** Established connections that it forwards. */
  readonly connections: number;
}

/** The interface that kube-proxy in IPVS mode gives every virtual address of Services to. */
export const ipvsInterface = 'kube-ipvs0';

/** Whether this network namespace has that interface. `/proc` unless told. */
export async function hasIpvsInterface(procRoot = '/proc'): Promise<boolean> {
  const devices = await contents(`${procRoot}/net/dev`);
  return devices.split('\n').some((line) => line.trimStart().startsWith(`${ipvsInterface}:`));
}

/** All virtual servers of this network namespace, whoever made them; none where the kernel has no IPVS. */
export async function readVirtualServers(procRoot = '/proc'): Promise<readonly VirtualServer[]> {
  return parseVirtualServers(await contents(`${procRoot}/net/ip_vs`));
}

const options: ReadonlyMap<string, string> = new Map([
  ['TCP', '-t'],
  ['UDP', '-u'],
  ['SCTP', '--sctp-service'],
]);

/**
 * Reads `/proc/net/ip_vs`: `TCP  0A600001:01BB rr`, `TCP  [fd00:0000:…:0001]:01BB rr`, and for each destination
 * `  -> 0A0A0001:1F90      Masq    1      3          0` (weight, active, inactive). Servers of firewall marks, which kube-proxy has none
 * of, are left out.
 */
export function parseVirtualServers(text: string): readonly VirtualServer[] {
  const servers: VirtualServer[] = [];
  let isKnown = false;
  for (const line of text.split('\n')) {
    const destination = /^\s+-> \S+\s+\S+\s+\d+\s+(\d+)\s/.exec(line);
    const last = servers.at(-1);
    if (destination !== null) {
      if (isKnown && last !== undefined)
        servers[servers.length - 1] = { ...last, connections: last.connections + Number(destination[1]) };
      continue;
    }
    const server = parseServer(line);
    isKnown = server !== undefined;
    if (server !== undefined) servers.push(server);
  }
  return servers;
}

function parseServer(line: string): VirtualServer | undefined {
  const [, protocol = '', ipv4, ipv6, portText = ''] =
    /^([A-Z]+)\s+(?:([0-9A-F]{8})|\[([0-9a-f:]+)\]):([0-9A-F]{4}) /.exec(line) ?? [];
  const option = options.get(protocol);
  const address =
    ipv4 === undefined
      ? canonicalAddress(ipv6 ?? '')
      : formatAddress({ family: 'IPv4', bits: BigInt(`0x${ipv4}`) });
  if (option === undefined || address === undefined) return undefined;
  const host = address.includes(':') ? `[${address}]` : address;
  return { option, socket: `${host}:${Number.parseInt(portText, 16)}`, address, connections: 0 };
}

async function contents(path: string): Promise<string> {
  // Whatever keeps us from reading it: there is nothing for us.
  return readFile(path, 'utf8').catch(() => '');
}
