import { describe, expect, test } from 'vitest';
import {
  type FakeCommandRunner,
  fakeCommandRunner,
  inputOf,
} from '../../test/support/fake-command-runner.ts';
import { type Jump, unreadableRule } from '../kernel/index.ts';
import type { Command, CommandResult } from '../runtime/index.ts';
import type { Landmarks } from './landmarks.ts';
import { readByChain } from './read-by-chain.ts';
import { namedTools } from './tools.ts';

/** `unknown`: with a rule that iptables has no words for; `unparsable`: it stumbles over the last rule. */
type FakeChain = readonly string[] | 'unknown' | { readonly unparsable: readonly string[] };

/** What iptables-nft 1.8.9 prints of a nat table that it cannot print whole. */
function fakeTable(chains: Readonly<Record<string, FakeChain>>): FakeCommandRunner {
  const all: Readonly<Record<string, FakeChain>> = {
    PREROUTING: [],
    INPUT: [],
    OUTPUT: [],
    POSTROUTING: [],
    ...chains,
  };
  const listOf = (name: string): Partial<CommandResult> => {
    const chain = all[name];
    const head = /^[A-Z]+$/.test(name) && name.endsWith('ING') ? `-P ${name} ACCEPT\n` : `-N ${name}\n`;
    if (chain === undefined || chain === 'unknown')
      return { exitCode: 1, stderr: `chain \`${name}' in table \`nat' is incompatible, use 'nft' tool.\n` };
    const rules = 'unparsable' in chain ? chain.unparsable : chain;
    const stdout = head + rules.map((rule) => `-A ${name} ${rule}\n`).join('');
    return 'unparsable' in chain
      ? { exitCode: 3, stdout, stderr: 'Error: meta sreg key not supported\nParsing nftables rule failed\n' }
      : { stdout };
  };
  const checkOf = (line: string): Partial<CommandResult> => {
    const [, builtin = '', rule = '', target = ''] = /^-C (\S+) (.*-j (\S+))$/.exec(line) ?? [];
    if (all[target] === undefined) return { exitCode: 2, stderr: `Chain '${target}' does not exist\n` };
    const present = held[builtin]?.includes(rule) === true;
    return present ? {} : { exitCode: 1, stderr: 'line 2 failed: Bad rule (does a matching rule exist …)\n' };
  };
  const restore = (command: Command): Partial<CommandResult> => {
    let stdout = '';
    for (const line of inputOf(command).split('\n')) {
      if (line.startsWith('-C ')) return checkOf(line);
      if (!line.startsWith('-S ')) continue;
      const listed = listOf(line.slice(3));
      stdout += listed.stdout ?? '';
      if (listed.exitCode !== undefined) return { ...listed, stdout };
    }
    return { stdout };
  };
  return fakeCommandRunner({
    'iptables-nft-restore': restore,
    'iptables-nft': ({ args }) => listOf(args.at(-1) ?? ''),
  });
}

/** Rules that built-in chains hold besides those that cannot be printed. */
const held: Readonly<Record<string, readonly string[]>> = { PREROUTING: ['-j KUBE-SERVICES'] };

const jump = (builtin: string, target: string): Jump => ({
  table: 'nat',
  builtin,
  rule: `-j ${target}`,
  target,
  position: 'reachable',
});
const landmarks: Landmarks = {
  jumps: [jump('PREROUTING', 'KUBE-SERVICES'), jump('PREROUTING', 'KUBE-NODEPORTS')],
  chains: { nat: ['KUBE-MARK-MASQ', 'KUBE-PROXY-CANARY'], filter: ['WEIR-A'] },
};

async function read(commands: FakeCommandRunner, known: readonly string[] = []) {
  const context = { commands, tools: namedTools('IPv4', 'nft') };
  const { lines, unreadable } = await readByChain(context, 'nat', { landmarks, known });
  const ours = lines.filter((line) => !/^-P (INPUT|OUTPUT|POSTROUTING)|^-N (INPUT|OUTPUT)/.test(line));
  return { lines: ours, unreadable };
}

describe('a table that iptables-nft cannot print', () => {
  test('is read along the jumps, with what is known or looked for beside them', async () => {
    const commands = fakeTable({
      PREROUTING: ['-j KUBE-SERVICES', '-p tcp -j REDIRECT --to-ports 1'],
      'KUBE-SERVICES': ['-j KUBE-SVC-A', '-m comment --comment "-j NONE" -j KUBE-SVC-B'],
      'KUBE-SVC-A': ['-j DNAT --to-destination 10.0.0.1:80'],
      'KUBE-SVC-B': [],
      'KUBE-MARK-MASQ': ['-j MARK --set-xmark 0x4000/0x4000'],
      'KUBE-SVL-C': ['-j RETURN'],
      'not-ours': ['-j ACCEPT'],
    });
    expect(await read(commands, ['KUBE-SVC-A', 'KUBE-SVL-C', 'KUBE-SVC-GONE'])).toEqual({
      lines: [
        '-P PREROUTING ACCEPT',
        '-A PREROUTING -j KUBE-SERVICES',
        '-A PREROUTING -p tcp -j REDIRECT --to-ports 1',
        '-N KUBE-SERVICES',
        '-A KUBE-SERVICES -j KUBE-SVC-A',
        '-A KUBE-SERVICES -m comment --comment "-j NONE" -j KUBE-SVC-B',
        '-N KUBE-SVC-A',
        '-A KUBE-SVC-A -j DNAT --to-destination 10.0.0.1:80',
        '-N KUBE-SVC-B',
        '-N KUBE-MARK-MASQ',
        '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
        '-N KUBE-SVL-C',
        '-A KUBE-SVL-C -j RETURN',
      ],
      unreadable: [],
    });
    // One process for the chains of each level; those that are not there cost more.
    expect(commands.lines.slice(0, 3)).toEqual(Array(3).fill('iptables-nft-restore --noflush'));
  });

  test.each<[string, FakeChain]>([
    ['has no words for', 'unknown'],
    ['stumbles over', { unparsable: ['-j KUBE-SVC-A'] }],
  ])('shows which chains hold what iptables %s', async (_, chain) => {
    const commands = fakeTable({
      PREROUTING: chain,
      'KUBE-SERVICES': ['-j KUBE-SVC-A', '-j KUBE-SVC-B', '-j KUBE-SVC-C'],
      'KUBE-SVC-A': ['-j RETURN'],
      'KUBE-SVC-B': chain,
      'KUBE-SVC-C': ['-j RETURN'],
    });
    expect(await read(commands)).toEqual({
      lines: [
        '-P PREROUTING ?',
        '-A PREROUTING -j KUBE-SERVICES',
        '-N KUBE-SERVICES',
        '-A KUBE-SERVICES -j KUBE-SVC-A',
        '-A KUBE-SERVICES -j KUBE-SVC-B',
        '-A KUBE-SERVICES -j KUBE-SVC-C',
        '-N KUBE-SVC-A',
        '-A KUBE-SVC-A -j RETURN',
        '-N KUBE-SVC-B',
        `-A KUBE-SVC-B ${unreadableRule}`,
        '-N KUBE-SVC-C',
        '-A KUBE-SVC-C -j RETURN',
      ],
      unreadable: ['KUBE-SVC-B', 'PREROUTING'],
    });
  });

  test('does not look for ever for chains that are gone', async () => {
    const commands = fakeTable({});
    const gone = Array.from({ length: 10_000 }, (_, index) => `KUBE-SVC-${index}`);
    expect(await read(commands, gone)).toEqual({
      lines: ['-P PREROUTING ACCEPT'],
      unreadable: [],
    });
    expect(commands.lines.length).toBeLessThan(300);
  });

  test.each<[string, Partial<CommandResult> | undefined]>([
    ['WEIR_NO_IPTABLES', undefined],
    ['WEIR_SAVE_FAILED', { timedOut: true }],
    ['WEIR_SAVE_FAILED', { exitCode: 1, stderr: 'out of memory' }],
    ['WEIR_NOT_PRIVILEGED', { exitCode: 4, stderr: 'Operation not permitted' }],
  ])('is not taken for one with gaps where reading fails: %s', async (code, answer) => {
    const commands = fakeCommandRunner({
      'iptables-nft-restore': () => answer,
      'iptables-nft': () => answer,
    });
    await expect(read(commands)).rejects.toMatchObject({ code });
  });
});
