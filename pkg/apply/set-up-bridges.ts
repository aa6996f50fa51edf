import type { CommandRunner } from '../runtime/index.ts';
import { failureText, succeeded } from './command-failure.ts';
import type { Sysctl } from './sysctl.ts';
import { sysctlNames } from './sysctl.ts';
import type { Family } from './tools.ts';

const modprobeTimeoutMs = 10_000;

/**
 * Makes packets between two pods on one bridge pass through iptables: without br_netfilter and its two settings neither
 * policies nor the way back through a Service work for them. The module may be built in or loaded by the host, so a modprobe that
 * fails is only told when the settings are missing too. Returns what went wrong, a sentence each; throws for neither a missing
 * module nor a setting that can't be written.
 */
export async function setUpBridges(
  sysctl: Sysctl,
  commands: CommandRunner,
  families: readonly Family[],
): Promise<readonly string[]> {
  const problems: string[] = [];
  let modprobe: string | undefined;
  for (const family of families) {
    const name = bridgeSetting(family);
    if ((await sysctl.read(name)) === undefined) modprobe ??= await loadModule(commands);
    if ((await sysctl.read(name)) === undefined) {
      problems.push(
        `packets between ${family} pods on one bridge are not filtered: no ${name}; modprobe br_netfilter: ${modprobe ?? ''}`,
      );
    } else {
      const failure = await sysctl.ensure(name, '1').then(() => undefined, messageOf);
      if (failure !== undefined)
        problems.push(`packets between ${family} pods on one bridge are not filtered: ${failure}`);
    }
  }
  return problems;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function bridgeSetting(family: Family): (typeof sysctlNames)['bridgeIPv4' | 'bridgeIPv6'] {
  return family === 'IPv4' ? sysctlNames.bridgeIPv4 : sysctlNames.bridgeIPv6;
}

async function loadModule(commands: CommandRunner): Promise<string> {
  const result = await commands.run({
    file: 'modprobe',
    args: ['br_netfilter'],
    timeoutMs: modprobeTimeoutMs,
  });
  return succeeded(result) ? 'no error' : failureText(result);
}
