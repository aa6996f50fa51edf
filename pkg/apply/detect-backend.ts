import type { CommandResult, CommandRunner } from '../runtime/index.ts';
import { WeirError } from '../runtime/index.ts';
import { failureText, isUnprivileged, succeeded } from './command-failure.ts';
import { ipv6Off } from './ipv6-off.ts';
import type { Backend, Family, FamilyTools } from './tools.ts';
import { namedTools, plainTools } from './tools.ts';

export interface DetectOptions {
  readonly commands: CommandRunner;
  readonly choice: Backend | 'auto';
  /** `/proc` unless told. */
  readonly procRoot?: string;
}

export interface DetectedTools {
  readonly backend: Backend;
  /** Why this backend, for people. */
  readonly because: string;
  /** The families this node can do, IPv4 first; at least one. */
  readonly families: readonly FamilyTools[];
  /** What an administrator should know, a sentence each. */
  readonly warnings: readonly string[];
}

/** What one backend holds, as far as it was looked at. */
interface Evidence {
  readonly backend: Backend;
  /** Its programs can be started. */
  readonly installed: boolean;
  /** The kubelet's sign that the node's own iptables uses this backend. */
  readonly hint: string | undefined;
  /** One of the Kubernetes chains it holds. */
  readonly chain: string | undefined;
}

interface Choice {
  readonly backend: Backend;
  readonly because: string;
  readonly toolsOf: (family: Family, backend: Backend) => FamilyTools;
}

const timeoutMs = 60_000;
const families = ['IPv4', 'IPv6'] as const;

const missing =
  'neither iptables-nft-save nor iptables-legacy-save nor iptables-save can be started; install iptables and ipset ' +
  '(Debian, Ubuntu: apt-get install iptables ipset; Fedora: dnf install iptables-nft ipset; Alpine: apk add iptables ipset)';

/**
 * Finds the backend the rest of the node uses, since two that translate addresses get in each other's way. The signs are
 * those of kubernetes-sigs/iptables-wrappers: a chain of the kubelet in nf_tables' mangle table, then in legacy. Without
 * a sign, the backend that holds Kubernetes rules already, else nf_tables. Reads only, and names no legacy table, which would create it.
 * Throws WEIR_NO_IPTABLES, WEIR_NO_IPSET or WEIR_NOT_PRIVILEGED.
 */
export async function detectBackend(options: DetectOptions): Promise<DetectedTools> {
  const { commands } = options;
  const [nft, legacy] = await Promise.all([
    examineNft(commands),
    examineLegacy(commands),
    checkIpset(commands),
  ]);
  const chosen =
    nft.installed || legacy.installed
      ? chooseNamed(options.choice, nft, legacy)
      : await choosePlain(options.choice, commands);
  const usable = await usableFamilies(chosen, options);
  return {
    ...usable,
    backend: chosen.backend,
    because: chosen.because,
    warnings: [...usable.warnings, ...twoBackends(chosen, nft, legacy)],
  };
}

async function examineNft(commands: CommandRunner): Promise<Evidence> {
  // Not nat: it may hold 60,000 chains of kube-proxy, and the filter table tells as much.
  const results = await Promise.all(
    families.flatMap((family) =>
      ['mangle', 'filter'].map((table) => save(commands, namedTools(family, 'nft').save, ['-t', table])),
    ),
  );
  return evidence('nft', results);
}

async function examineLegacy(commands: CommandRunner): Promise<Evidence> {
  const results = await Promise.all(
    families.map((family) => save(commands, namedTools(family, 'legacy').save, [])),
  );
  return evidence('legacy', results);
}

function evidence(backend: Backend, results: readonly CommandResult[]): Evidence {
  const text = results.map((result) => result.stdout).join('\n');
  return {
    backend,
    installed: results.some((result) => result.spawnError === undefined),
    hint: /^:(KUBE-IPTABLES-HINT|KUBE-KUBELET-CANARY) /m.exec(text)?.[1],
    chain: /^:((?:KUBE|WEIR)-\S+) /m.exec(text)?.[1],
  };
}

function chooseNamed(choice: Backend | 'auto', nft: Evidence, legacy: Evidence): Choice {
  const toolsOf = namedTools;
  if (choice !== 'auto') {
    const wanted = choice === 'nft' ? nft : legacy;
    if (wanted.installed) return { backend: choice, because: 'it was asked for', toolsOf };
    throw new WeirError(
      'WEIR_NO_IPTABLES',
      `the ${choice} backend was asked for, but iptables-${choice}-save is not installed`,
    );
  }
  for (const found of [nft, legacy]) {
    if (found.hint !== undefined)
      return { backend: found.backend, because: `the kubelet made ${found.hint} there`, toolsOf };
  }
  for (const [found, other] of [[nft, legacy] as const, [legacy, nft] as const]) {
    if (!other.installed) return { backend: found.backend, because: 'it is the only one installed', toolsOf };
    if (found.chain !== undefined)
      return { backend: found.backend, because: `it holds ${found.chain}`, toolsOf };
  }
  return { backend: 'nft', because: 'nothing speaks for legacy', toolsOf };
}

/** An installation without backends in its names has one backend only, and says which. */
async function choosePlain(choice: Backend | 'auto', commands: CommandRunner): Promise<Choice> {
  const result = await commands.run({
    file: 'iptables',
    args: ['--version'],
    captureOutput: true,
    timeoutMs,
  });
  if (!succeeded(result)) throw new WeirError('WEIR_NO_IPTABLES', missing);
  const version = result.stdout.trim();
  const backend = version.includes('nf_tables') ? 'nft' : 'legacy';
  if (choice === 'auto' || choice === backend)
    return { backend, because: `${version} is installed`, toolsOf: plainTools };
  throw new WeirError(
    'WEIR_NO_IPTABLES',
    `the ${choice} backend was asked for, but only ${version} is installed`,
  );
}

async function usableFamilies(
  chosen: Choice,
  options: DetectOptions,
): Promise<Pick<DetectedTools, 'families' | 'warnings'>> {
  const usable: FamilyTools[] = [];
  const warnings: string[] = [];
  for (const family of families) {
    const tools = chosen.toolsOf(family, chosen.backend);
    const why = await whyUnusable(tools, options);
    if (why === undefined) usable.push(tools);
    else warnings.push(`no ${family} rules are written: ${why}`);
  }
  if (usable.length > 0) return { families: usable, warnings };
  throw new WeirError('WEIR_NO_IPTABLES', warnings.join('; '));
}

async function whyUnusable(tools: FamilyTools, options: DetectOptions): Promise<string | undefined> {
  if (tools.family === 'IPv6') {
    const off = await ipv6Off(options.procRoot ?? '/proc');
    if (off !== undefined) return off;
  }
  const result = await save(options.commands, tools.save, tools.backend === 'nft' ? ['-t', 'filter'] : []);
  if (succeeded(result)) return undefined;
  const why = `${tools.save}: ${failureText(result)}`;
  if (isUnprivileged(result)) throw new WeirError('WEIR_NOT_PRIVILEGED', why);
  return why;
}

function twoBackends(chosen: Choice, nft: Evidence, legacy: Evidence): readonly string[] {
  if (nft.chain === undefined || legacy.chain === undefined) return [];
  const [used, other] = chosen.backend === 'nft' ? [nft, legacy] : [legacy, nft];
  return [
    `both iptables backends hold Kubernetes rules (${nft.chain} in nf_tables, ${legacy.chain} in legacy): Weir writes ` +
      `with ${used.backend} because ${chosen.because}; what ${other.backend} holds stays in force until it is removed`,
  ];
}

async function checkIpset(commands: CommandRunner): Promise<void> {
  const result = await commands.run({ file: 'ipset', args: ['--version'], timeoutMs });
  if (result.spawnError === undefined) return;
  throw new WeirError(
    'WEIR_NO_IPSET',
    `ipset can not be started (${result.spawnError}); install the package ipset`,
  );
}

function save(commands: CommandRunner, file: string, args: readonly string[]): Promise<CommandResult> {
  return commands.run({ file, args, captureOutput: true, timeoutMs });
}
