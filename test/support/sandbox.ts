import { spawn } from 'node:child_process';
import { createCommandRunner } from '../../pkg/runtime/index.ts';

/** A program with its arguments. */
export interface Invocation {
  readonly file: string;
  readonly args: readonly string[];
}

/** How this machine lets us have network namespaces of our own. */
export type Sandbox =
  | { readonly kind: 'root' | 'user-namespace' }
  /** It does not; `reason` is for people. */
  | { readonly kind: 'none'; readonly reason: string };

/** Names the sandbox to the processes inside; what makes namespaces refuses to work without it. */
export const sandboxVariable = 'WEIR_SANDBOX';

/**
 * Namespaces of the kind `sandbox` allows, in which `invocation` runs as root: network, mounts, processes and host
 * name are private, and so is `/run` with `/run/netns` and the lock of iptables. All of it, processes included, is gone
 * when the program ends or is killed, or when the caller dies.
 */
export function sandboxed(
  sandbox: { readonly kind: 'root' | 'user-namespace' },
  invocation: Invocation,
): Invocation {
  const user = sandbox.kind === 'user-namespace' ? ['--user', '--map-root-user'] : [];
  const namespaces = [
    '--net',
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    '--ipc',
    '--uts',
  ];
  // The shell stays as process 1: it reaps orphans, which the program would not do.
  const script = [
    'mount -t tmpfs tmpfs /run',
    'mkdir /run/netns /run/lock',
    'ip link set lo up',
    `export ${sandboxVariable}=${sandbox.kind}`,
    '"$@"',
  ].join(' && ');
  const inside = ['sh', '-c', script, 'sh', invocation.file, ...invocation.args];
  return { file: 'setpriv', args: ['--pdeathsig', 'KILL', 'unshare', ...user, ...namespaces, ...inside] };
}

/** Tries what is allowed here: plain namespaces for root, else those of an unprivileged user namespace. */
export async function findSandbox(): Promise<Sandbox> {
  const kinds =
    process.getuid?.() === 0 ? (['root', 'user-namespace'] as const) : (['user-namespace'] as const);
  const runner = createCommandRunner();
  let reason = '';
  for (const kind of kinds) {
    const attempt = await runner.run({
      ...sandboxed({ kind }, { file: 'true', args: [] }),
      timeoutMs: 10_000,
    });
    if (attempt.exitCode === 0) return { kind };
    reason = attempt.stderr.trim().split('\n')[0] || (attempt.spawnError ?? 'unshare failed');
  }
  return { kind: 'none', reason: `${reason} (run as root, or allow unprivileged user namespaces)` };
}

/** Runs a program with this process's standard output; resolves with its exit code (1 when a signal ended it). */
export function runInvocation(
  invocation: Invocation,
  environment: Readonly<Record<string, string>> = {},
): Promise<number> {
  const env = { ...process.env, ...environment };
  const child = spawn(invocation.file, invocation.args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
