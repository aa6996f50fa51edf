import type { CommandResult, CommandRunner } from '../runtime/index.ts';
import { WeirError } from '../runtime/index.ts';
import { failureText, isUnprivileged, succeeded } from './command-failure.ts';
import { nftFamily } from './nft-family.ts';
import type { Family } from './tools.ts';

/** The families that have a table of kube-proxy in nftables mode, or why that is not known. */
export type ProxyTables =
  | { readonly kind: 'known'; readonly families: readonly Family[] }
  | { readonly kind: 'unknown'; readonly because: string };

/** kube-proxy's table, by its nftables name. */
export function proxyTable(family: Family): string {
  return `${nftFamily(family)} kube-proxy`;
}

const timeoutMs = 30_000;
const families = ['IPv4', 'IPv6'] as const satisfies readonly Family[];
const anyTable = /^table /m;
const crash =
  'crashed, probably over sets that a newer nft has written; nft 1.1.3 or newer does not, such as that in the image of kube-proxy';
/** A shell says so of a program that a signal ended. */
const signalled = 128;

/**
 * Looks for the tables that kube-proxy in nftables mode writes. iptables shows none of them, so this takes the program `nft`. Of all that lists
 * the names of tables, `list flowtables` reads nothing else, with 1.0.6 as with 1.1.3: 5 ms beside 25,000 rules, where `list tables` of
 * 1.0.6 reads every rule, and crashes over sets that nft 1.1.2 or newer has written.
 */
export async function readProxyTables(commands: CommandRunner, signal?: AbortSignal): Promise<ProxyTables> {
  const flowtables = await list(commands, 'flowtables', signal);
  if (flowtables.spawnError === 'ENOENT') return { kind: 'unknown', because: 'nft is not installed' };
  if (isWithoutTables(flowtables)) return { kind: 'known', families: [] };
  if (succeeded(flowtables) && anyTable.test(flowtables.stdout))
    return { kind: 'known', families: parseProxyTables(flowtables.stdout) };
  // There is no table, or this nft leaves out those without a flowtable.
  const chains = await list(commands, 'chains', signal);
  if (succeeded(chains)) return { kind: 'known', families: parseProxyTables(chains.stdout) };
  const why = isCrash(chains) ? crash : failureText(chains);
  return { kind: 'unknown', because: `nft list chains: ${why}` };
}

/** Deletes kube-proxy's table of a family; one that is not there is no error. Throws WEIR_NFT_FAILED or WEIR_NOT_PRIVILEGED. */
export async function deleteProxyTable(commands: CommandRunner, family: Family): Promise<void> {
  const table = proxyTable(family);
  // What is added first can be deleted whether it was there or not; both are one transaction.
  const input = `add table ${table}\ndelete table ${table}\n`;
  const result = await commands.run({ file: 'nft', args: ['-f', '-'], input, timeoutMs });
  if (succeeded(result)) return;
  const why = isCrash(result) ? crash : failureText(result);
  throw new WeirError(
    isUnprivileged(result) ? 'WEIR_NOT_PRIVILEGED' : 'WEIR_NFT_FAILED',
    `nft delete table ${table}: ${why}`,
  );
}

function list(
  commands: CommandRunner,
  what: 'flowtables' | 'chains',
  signal: AbortSignal | undefined,
): Promise<CommandResult> {
  return commands.run({ file: 'nft', args: ['list', what], captureOutput: true, timeoutMs }, signal);
}

/** The families with a table of kube-proxy in what `nft list tables`, `nft list chains` or `nft list ruleset` prints. */
export function parseProxyTables(listing: string): readonly Family[] {
  const lines = new Set(listing.split('\n').map((line) => line.replace(/ \{$/, '')));
  return families.filter((family) => lines.has(`table ${proxyTable(family)}`));
}

/** The kernel has no nf_tables. */
function isWithoutTables({ stderr }: CommandResult): boolean {
  return /(?:Protocol|Operation) not supported/.test(stderr);
}

function isCrash({ exitCode, timedOut, spawnError }: CommandResult): boolean {
  if (timedOut || spawnError !== undefined) return false;
  return exitCode === undefined || exitCode > signalled;
}
