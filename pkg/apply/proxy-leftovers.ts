import { canonicalAddress } from '../net/index.ts';
import type { Command, CommandRunner } from '../runtime/index.ts';
import { WeirError } from '../runtime/index.ts';
import { failureText, isUnprivileged, succeeded } from './command-failure.ts';
import { hasIpvsInterface, ipvsInterface, readVirtualServers, type VirtualServer } from './ipvs.ts';
import { deleteProxyTable, proxyTable, readProxyTables } from './proxy-tables.ts';
import type { Family } from './tools.ts';

/**
 * What kube-proxy leaves in force on a node in modes whose rules are not in iptables' tables. Its chains and sets of IPVS mode are none of it: they are
 * replaced and deleted as those of iptables mode are.
 */
export type ProxyLeftover =
  | { readonly kind: 'table'; readonly family: Family }
  | { readonly kind: 'interface' }
  /** `isAll`: there are no others, such as those of keepalived. */
  | { readonly kind: 'servers'; readonly servers: readonly VirtualServer[]; readonly isAll: boolean };

export interface FoundLeftovers {
  readonly leftovers: readonly ProxyLeftover[];
  /** What could not be looked at, a sentence each. */
  readonly unknown: readonly string[];
}

export interface LeftoverText {
  readonly mode: 'nftables' | 'IPVS';
  /** `table ip kube-proxy`, `interface kube-ipvs0`, `12 virtual servers`. */
  readonly what: string;
  /** The command that removes it by hand. */
  readonly command: string;
}

const timeoutMs = 10_000;
/** So many ipvsadm run at a time. */
const deletesAtOnce = 4;

/** Looks, and changes nothing. `/proc` unless told. */
export async function findProxyLeftovers(
  commands: CommandRunner,
  { procRoot = '/proc', signal }: { readonly procRoot?: string; readonly signal?: AbortSignal } = {},
): Promise<FoundLeftovers> {
  const [tables, servers, hasInterface] = await Promise.all([
    readProxyTables(commands, signal),
    readVirtualServers(procRoot),
    hasIpvsInterface(procRoot),
  ]);
  const leftovers: ProxyLeftover[] = [];
  const unknown: string[] = [];
  if (tables.kind === 'known')
    leftovers.push(...tables.families.map((family) => ({ kind: 'table', family }) as const));
  else unknown.push(unknownTables(tables.because));
  // Without the interface there has been no kube-proxy in IPVS mode, and the virtual servers are of others.
  if (!hasInterface) return { leftovers, unknown };
  const addresses = servers.length === 0 ? new Set() : await interfaceAddresses(commands, signal);
  if (addresses === undefined)
    unknown.push(
      `which of ${servers.length} virtual servers of IPVS kube-proxy has left is not known: ip is not installed`,
    );
  // Those of node ports, at the node's own addresses, look like anybody's.
  const own = servers.filter(({ address }) => addresses?.has(address) === true);
  if (own.length > 0) leftovers.push({ kind: 'servers', servers: own, isAll: own.length === servers.length });
  return { leftovers: [...leftovers, { kind: 'interface' }], unknown };
}

function unknownTables(because: string): string {
  const commands = (['IPv4', 'IPv6'] as const).map((family) => `nft delete table ${proxyTable(family)}`);
  return `whether a kube-proxy in nftables mode has left its tables in force is not known: ${because}. If one ran here: ${commands.join('; ')}`;
}

/** Of kube-proxy's interface; `undefined` where they cannot be told. */
async function interfaceAddresses(
  commands: CommandRunner,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string | undefined> | undefined> {
  const args = ['-o', 'address', 'show', 'dev', ipvsInterface];
  const result = await commands.run({ file: 'ip', args, captureOutput: true, timeoutMs }, signal);
  if (result.spawnError !== undefined) return undefined;
  return new Set(
    [...result.stdout.matchAll(/ inet6? ([^\s/]+)/g)].map(([, address = '']) => canonicalAddress(address)),
  );
}

/** A leftover in words. */
export function leftoverText(leftover: ProxyLeftover): LeftoverText {
  switch (leftover.kind) {
    case 'table': {
      const table = proxyTable(leftover.family);
      return { mode: 'nftables', what: `table ${table}`, command: `nft delete table ${table}` };
    }
    case 'interface':
      return {
        mode: 'IPVS',
        what: `interface ${ipvsInterface}`,
        command: `ip link delete ${ipvsInterface}`,
      };
    case 'servers': {
      const { servers, isAll } = leftover;
      const what = `${servers.length} virtual server${servers.length === 1 ? '' : 's'}`;
      const others = isAll ? '' : ` at addresses of ${ipvsInterface}; others stay (ipvsadm -Ln)`;
      return { mode: 'IPVS', what: `${what}${others}`, command: isAll ? 'ipvsadm -C' : 'ipvsadm -D' };
    }
  }
}

/** Established connections that end when it is removed. */
export function connectionsThrough(leftover: ProxyLeftover): number {
  if (leftover.kind !== 'servers') return 0;
  return leftover.servers.reduce((sum, { connections }) => sum + connections, 0);
}

/** Removes it; what is gone already is no error. Throws WEIR_NFT_FAILED, WEIR_IPVS_FAILED or WEIR_NOT_PRIVILEGED. */
export async function removeProxyLeftover(commands: CommandRunner, leftover: ProxyLeftover): Promise<void> {
  switch (leftover.kind) {
    case 'table':
      await deleteProxyTable(commands, leftover.family);
      return;
    case 'interface':
      await run(commands, 'ip', ['link', 'delete', ipvsInterface], /Cannot find device/);
      return;
    case 'servers':
      await removeServers(commands, leftover);
      return;
  }
}

async function removeServers(
  commands: CommandRunner,
  { servers, isAll }: Extract<ProxyLeftover, { kind: 'servers' }>,
): Promise<void> {
  if (isAll) {
    await run(commands, 'ipvsadm', ['-C']);
    return;
  }
  const left = [...servers];
  const worker = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop())
      await run(commands, 'ipvsadm', ['-D', next.option, next.socket], /No such service/);
  };
  await Promise.all(Array.from({ length: deletesAtOnce }, worker));
}

async function run(
  commands: CommandRunner,
  file: string,
  args: readonly string[],
  isGone?: RegExp,
): Promise<void> {
  const command: Command = { file, args, timeoutMs };
  const result = await commands.run(command);
  if (succeeded(result) || isGone?.test(result.stderr) === true) return;
  throw new WeirError(
    isUnprivileged(result) ? 'WEIR_NOT_PRIVILEGED' : 'WEIR_IPVS_FAILED',
    `${[file, ...args].join(' ')}: ${failureText(result)}`,
  );
}
