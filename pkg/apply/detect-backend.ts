import type { Clock, CommandResult, CommandRunner } from '../runtime/index.ts';
import { Backoff, systemClock, WeirError } from '../runtime/index.ts';
import { failureText, isNoTable, isUnprintable, isUnprivileged, succeeded } from './command-failure.ts';
import { ipv6Off } from './ipv6-off.ts';
import type { Backend, Family, FamilyTools } from './tools.ts';
import { namedTools, plainTools } from './tools.ts';

export interface DetectOptions {
  readonly commands: CommandRunner;
  readonly choice: Backend | 'auto';
  /** `/proc` unless told. */
  readonly procRoot?: string;
  /** The system's unless told. */
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

export interface DetectedTools {
  readonly backend: Backend;
  /** Why this backend, for people. */
  readonly because: string;
  /** The families that the node can do, IPv4 first; at least one. */
  readonly families: readonly FamilyTools[];
  /** Those that it cannot do now. That may change: with a module that is loaded, a setting, a package that is installed. */
  readonly absent: readonly AbsentFamily[];
  /** What an administrator should know, a sentence each. */
  readonly warnings: readonly string[];
}

export interface AbsentFamily {
  readonly tools: FamilyTools;
  readonly why: string;
  /** The node has it switched off, and forwards no packet of it. */
  readonly isOff: boolean;
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
  /** Why part of it could not be looked at, which the next look may do better. */
  readonly failure: string | undefined;
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

/** What a program fails at for want of memory, or in a race, it does a moment later. */
const retryMs = 10_000;

/**
 * Finds the backend the rest of the node uses, since two that translate addresses get in each other's way. The signs are
 * those of kubernetes-sigs/iptables-wrappers: a chain of the kubelet in nf_tables' mangle table, then in legacy. Without
 * a sign, the backend that holds Kubernetes rules already, else nf_tables. Reads only, and names no legacy table, which would create it.
 * What fails for no reason that lasts is tried again for some seconds, since the choice is made once; a family that fails then, too, counts
 * as one that the node can do. Throws WEIR_NO_IPTABLES, WEIR_NO_IPSET or WEIR_NOT_PRIVILEGED, or the signal's reason.
 */
export async function detectBackend(options: DetectOptions): Promise<DetectedTools> {
  const { commands } = options;
  const [nft, legacy] = await Promise.all([
    examine('nft', examineNft, options),
    examine('legacy', examineLegacy, options),
    checkIpset(commands),
  ]);
  const chosen =
    nft.installed || legacy.installed
      ? chooseNamed(options.choice, nft, legacy)
      : await choosePlain(options.choice, commands);
  return {
    ...(await sortFamilies(chosen, options)),
    backend: chosen.backend,
    because: chosen.because,
    warnings: [...unseen(chosen, options.choice, [nft, legacy]), ...twoBackends(chosen, nft, legacy)],
  };
}

async function examine(
  backend: Backend,
  look: (commands: CommandRunner) => Promise<Evidence>,
  { choice, commands, clock = systemClock, signal }: DetectOptions,
): Promise<Evidence> {
  const mayWait = choice === 'auto' || choice === backend;
  const deadline = clock.now() + (mayWait ? retryMs : 0);
  const backoff = new Backoff({ initialMs: 200, maxMs: 2000 });
  for (;;) {
    const evidence = await look(commands);
    const delay = backoff.next();
    if (evidence.failure === undefined || clock.now() + delay > deadline) return evidence;
    await clock.sleep(delay, signal);
  }
}

async function examineNft(commands: CommandRunner): Promise<Evidence> {
  // Not nat: it may hold 60,000 chains of kube-proxy, and the filter table tells as much.
  const looks = families.flatMap((family) =>
    (['mangle', 'filter'] as const).map((table) => lookAtTable(commands, namedTools(family, 'nft'), table)),
  );
  return evidence('nft', await Promise.all(looks));
}

async function examineLegacy(commands: CommandRunner): Promise<Evidence> {
  const results = await Promise.all(
    families.map((family) => save(commands, namedTools(family, 'legacy').save, [])),
  );
  return evidence('legacy', results);
}

/** The chains that tell who has written: kubelet's signs first, then those that kubelet, kube-proxy and Weir always have. */
const telling = {
  mangle: ['KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'],
  filter: ['KUBE-KUBELET-CANARY', 'KUBE-FIREWALL', 'KUBE-FORWARD', 'KUBE-SERVICES', 'WEIR-FORWARD'],
} as const;

/** A table that cannot be printed is asked for single chains. */
async function lookAtTable(
  commands: CommandRunner,
  tools: FamilyTools,
  table: keyof typeof telling,
): Promise<CommandResult> {
  const result = await save(commands, tools.save, ['-t', table]);
  if (!isUnprintable(result)) return result;
  const chains = await Promise.all(
    telling[table].map(async (name) => {
      const listed = await save(commands, tools.list, ['-t', table, '-S', name]);
      return succeeded(listed) ? `:${name} - [0:0]\n` : '';
    }),
  );
  return { ...result, exitCode: 0, stderr: '', stdout: chains.join('') };
}

function evidence(backend: Backend, results: readonly CommandResult[]): Evidence {
  const text = results.map((result) => result.stdout).join('\n');
  const failed = results.find(mayDoBetter);
  return {
    backend,
    installed: results.some((result) => result.spawnError === undefined),
    hint: /^:(KUBE-IPTABLES-HINT|KUBE-KUBELET-CANARY) /m.exec(text)?.[1],
    chain: /^:((?:KUBE|WEIR)-\S+) /m.exec(text)?.[1],
    failure: failed === undefined ? undefined : failureText(failed),
  };
}

/** Whether the same command may well succeed later without anybody changing anything. */
function mayDoBetter(result: CommandResult): boolean {
  return (
    !succeeded(result) && result.spawnError !== 'ENOENT' && !isUnprivileged(result) && !isNoTable(result)
  );
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

async function sortFamilies(
  chosen: Choice,
  options: DetectOptions,
): Promise<Pick<DetectedTools, 'families' | 'absent'>> {
  const present: FamilyTools[] = [];
  const absent: AbsentFamily[] = [];
  for (const family of families) {
    const tools = chosen.toolsOf(family, chosen.backend);
    const off = family === 'IPv6' ? await ipv6Off(options.procRoot ?? '/proc') : undefined;
    const why = off ?? (await whyAbsent(tools, options.commands));
    if (why === undefined) present.push(tools);
    else absent.push({ tools, why, isOff: off !== undefined });
  }
  if (present.length > 0) return { families: present, absent };
  throw new WeirError('WEIR_NO_IPTABLES', absent.map(absentText).join('; '));
}

/** For people. */
export function absentText({ tools, why }: AbsentFamily): string {
  return `no ${tools.family} rules are written: ${why}`;
}

/** Why the kernel or the programs do not have the family; `undefined` where they may have it, whatever else they say now. */
async function whyAbsent(tools: FamilyTools, commands: CommandRunner): Promise<string | undefined> {
  const result = await save(commands, tools.save, tools.backend === 'nft' ? ['-t', 'filter'] : []);
  const why = `${tools.save}: ${failureText(result)}`;
  if (isUnprivileged(result)) throw new WeirError('WEIR_NOT_PRIVILEGED', why);
  return isNoTable(result) || result.spawnError === 'ENOENT' ? why : undefined;
}

function unseen(
  chosen: Choice,
  choice: DetectOptions['choice'],
  evidence: readonly Evidence[],
): readonly string[] {
  if (choice !== 'auto') return [];
  return evidence.flatMap(({ backend, failure }) =>
    failure === undefined
      ? []
      : [
          `what the ${backend} backend of iptables holds could not be read (${failure}): Weir writes with ${chosen.backend} all the same, because ${chosen.because}`,
        ],
  );
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
