import { describe, expect, test } from 'vitest';
import { fakeCommandRunner, inputOf } from '../../test/support/fake-command-runner.ts';
import type { CommandResult } from '../runtime/index.ts';
import { deleteProxyTable, readProxyTables } from './proxy-tables.ts';

type Answer = Partial<CommandResult>;
const crash: Answer = { exitCode: undefined };
const forbidden: Answer = { exitCode: 1, stderr: 'Operation not permitted (you must be root)' };

describe('the tables of kube-proxy in nftables mode', () => {
  test.each<[title: string, answers: readonly (Answer | undefined)[], expected: unknown]>([
    [
      'are those of its name',
      [
        {
          stdout:
            'table ip nat {\n}\ntable inet kube-proxy {\n}\ntable ip6 kube-proxy {\n}\ntable ip kube-proxy-2 {\n}\n',
        },
      ],
      { kind: 'known', families: ['IPv6'] },
    ],
    [
      'are there for both families',
      [{ stdout: 'table ip6 kube-proxy {\n}\ntable ip kube-proxy {\n}\n' }],
      { kind: 'known', families: ['IPv4', 'IPv6'] },
    ],
    [
      'are found among the chains where no table has a flowtable and nft leaves these out',
      [{ stdout: '' }, { stdout: 'table ip kube-proxy {\n\tchain services {\n\t}\n}\n' }],
      { kind: 'known', families: ['IPv4'] },
    ],
    ['are not there where there are none', [{}, {}], { kind: 'known', families: [] }],
    [
      'are not there where the kernel has no nf_tables',
      [{ exitCode: 1, stderr: 'netlink: Error: cache initialization failed: Protocol not supported' }],
      { kind: 'known', families: [] },
    ],
    ['are unknown without nft', [undefined], { kind: 'unknown', because: 'nft is not installed' }],
    [
      'are unknown where nft may not look',
      [forbidden, forbidden],
      {
        kind: 'unknown',
        because: 'nft list chains: exit code 1: Operation not permitted (you must be root)',
      },
    ],
    [
      'are found among the chains where nft crashes',
      [crash, { stdout: 'table ip kube-proxy {\n}\n' }],
      { kind: 'known', families: ['IPv4'] },
    ],
    [
      'are unknown where it crashes over the chains, too',
      [{ exitCode: 139 }, crash],
      { kind: 'unknown', because: expect.stringContaining('nft 1.1.3 or newer') as string },
    ],
  ])('%s', async (_, answers, expected) => {
    const commands = fakeCommandRunner({ nft: (_command, call) => answers[call] });
    expect(await readProxyTables(commands)).toEqual(expected);
    expect(commands.lines).toEqual(['nft list flowtables', 'nft list chains'].slice(0, answers.length));
  });

  test('are deleted whether they are there or not', async () => {
    const commands = fakeCommandRunner({ nft: () => ({}) });
    await deleteProxyTable(commands, 'IPv6');
    expect(commands.lines).toEqual(['nft -f -']);
    expect(inputOf(commands.ran[0])).toBe('add table ip6 kube-proxy\ndelete table ip6 kube-proxy\n');
  });

  test.each<[Answer, string, string]>([
    [forbidden, 'WEIR_NOT_PRIVILEGED', 'root'],
    [
      { exitCode: 1, stderr: 'Error: busy' },
      'WEIR_NFT_FAILED',
      'table ip kube-proxy: exit code 1: Error: busy',
    ],
    [crash, 'WEIR_NFT_FAILED', 'kube-proxy: crashed, probably over sets'],
  ])('that cannot be deleted are an error: %j', async (answer, code, message) => {
    const deleted = deleteProxyTable(fakeCommandRunner({ nft: () => answer }), 'IPv4');
    await expect(deleted).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
  });
});
