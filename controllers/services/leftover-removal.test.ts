import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import {
  type FakeCommandRunner,
  fakeCommandRunner,
  inputOf,
} from '../../test/support/fake-command-runner.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { LeftoverRemoval } from './leftover-removal.ts';

const server = (connections: number): string =>
  `TCP  0A600001:01BB rr \n  -> C0A80001:192B      Masq    1      ${connections}          2\n`;

/** A node whose kernel holds what kube-proxy left; all programs work. */
class LeftNode {
  readonly tables = new Set<Family>();
  readonly clock = new FakeClock();
  readonly log: RecordedLog = recordedLog();
  readonly events: string[] = [];
  hasNft = true;
  nftFails = false;
  ports: readonly number[] = [];
  readonly commands: FakeCommandRunner = fakeCommandRunner({
    nft: (command) => {
      if (!this.hasNft) return undefined;
      if (command.args[0] === 'list')
        return { stdout: [...this.tables].map((family) => `${tableOf(family)} {\n}\n`).join('') };
      if (this.nftFails) return { exitCode: 1, stderr: 'Error: Device busy' };
      for (const family of ['IPv4', 'IPv6'] as const)
        if (inputOf(command).includes(`delete ${tableOf(family)}`)) this.tables.delete(family);
      return {};
    },
    ip: (command) => ({
      stdout: command.args[0] === '-o' ? '7: kube-ipvs0    inet 10.96.0.1/32 scope\n' : '',
    }),
    ipvsadm: () => ({}),
  });
  readonly removal: LeftoverRemoval;

  constructor(procRoot: string) {
    this.removal = new LeftoverRemoval({
      families: ['IPv4', 'IPv6'],
      nodeName: 'node-1',
      commands: this.commands,
      clock: this.clock,
      log: this.log,
      events: { event: ({ reason, note }) => void this.events.push(`${reason}: ${note}`) },
      otherProxy: async () => this.ports,
      procRoot,
    });
  }

  /** Families were read and written; what follows has been done. */
  async synced(...families: readonly Family[]): Promise<void> {
    for (const family of families) await this.removal.synced(family);
  }

  get removed(): readonly string[] {
    return this.commands.ran
      .filter(({ args }) => args[0] !== 'list' && args[0] !== '-o')
      .map((command) =>
        `${command.file} ${command.args.join(' ')} ${inputOf(command).split('\n')[1] ?? ''}`.trim(),
      );
  }
}

function tableOf(family: Family): string {
  return `table ${family === 'IPv4' ? 'ip' : 'ip6'} kube-proxy`;
}

let procRoot: string;
let node: LeftNode;

beforeEach(async () => {
  procRoot = await mkdtemp(join(tmpdir(), 'weir-proc-'));
  await mkdir(join(procRoot, 'net'));
  node = new LeftNode(procRoot);
});
afterEach(() => rm(procRoot, { recursive: true }));

async function ipvs(connections: number): Promise<void> {
  await writeFile(join(procRoot, 'net/dev'), 'kube-ipvs0: 0 0\n');
  await writeFile(join(procRoot, 'net/ip_vs'), server(connections));
}

test('the table of a family goes when that family has been written, with one line and an Event', async () => {
  node.tables.add('IPv4').add('IPv6');
  await node.synced('IPv4');
  expect([...node.tables]).toEqual(['IPv6']);
  await node.synced('IPv6');
  expect([...node.tables]).toEqual([]);
  expect(node.log.lines).toEqual([
    'INFO removed what kube-proxy in nftables mode had left in force: table ip kube-proxy',
    'INFO removed what kube-proxy in nftables mode had left in force: table ip6 kube-proxy',
  ]);
  expect(node.events).toEqual(node.log.lines.map((line) => line.replace('INFO', 'LeftoversRemoved:')));
});

test('nothing is removed while another proxy answers', async () => {
  node.tables.add('IPv4');
  node.ports = [10256];
  await node.synced('IPv4', 'IPv6');
  expect(node.commands.ran).toEqual([]);
  expect(node.log.lines).toEqual([
    'WARN another proxy answers on port 10256: its rules in other modes stay in force',
  ]);
});

test('what cannot be seen is said once', async () => {
  node.hasNft = false;
  await node.synced('IPv4', 'IPv6', 'IPv4');
  expect(node.log.lines).toEqual([
    expect.stringMatching(/^INFO whether a kube-proxy in nftables mode has left .* nft is not installed/),
  ]);
});

test('what cannot be removed is said once, with what to do, and tried again', async () => {
  node.tables.add('IPv4');
  node.nftFails = true;
  await node.synced('IPv4', 'IPv4');
  expect(node.log.lines).toEqual([
    'WARN table ip kube-proxy, left by kube-proxy in nftables mode, stays in force: WEIR_NFT_FAILED: nft delete table ip kube-proxy: exit code 1: Error: Device busy. By hand: nft delete table ip kube-proxy',
  ]);
  node.nftFails = false;
  await node.synced('IPv4');
  expect([...node.tables]).toEqual([]);
});

test('whoever writes the table again is answered, and less often each time', async () => {
  const removedAt: number[] = [];
  for (let seconds = 0; seconds < 1800; seconds += 30) {
    node.tables.add('IPv4');
    await node.synced('IPv4');
    if (!node.tables.has('IPv4')) removedAt.push(seconds);
    await node.clock.advance(30_000);
  }
  expect(removedAt).toEqual([0, 30, 90, 210, 450, 930, 1530]);
  expect(node.log.lines.map((line) => line.slice(0, 4))).toEqual([
    'INFO',
    ...removedAt.slice(1).map(() => 'WARN'),
  ]);
  expect(node.log.lines[1]).toContain('another kube-proxy runs on this node');
});

test('what IPVS mode left goes when all families have been written and no connection goes through it', async () => {
  await ipvs(3);
  await node.synced('IPv4', 'IPv6', 'IPv4');
  expect(node.removed).toEqual([]);
  expect(node.log.lines).toEqual([
    expect.stringContaining('open connections still go through the virtual servers'),
  ]);
  await ipvs(0);
  await node.synced('IPv4');
  expect(node.removed).toEqual(['ipvsadm -C', 'ip link delete kube-ipvs0']);
  expect(node.log.lines.at(-1)).toBe(
    'INFO removed what kube-proxy in IPVS mode had left in force: 1 virtual server, interface kube-ipvs0',
  );
});

test('what IPVS mode left waits for the other family', async () => {
  await ipvs(0);
  await node.synced('IPv4');
  expect(node.removed).toEqual([]);
  await node.synced('IPv6');
  expect(node.removed).toHaveLength(2);
});

test('nothing is begun after the end', async () => {
  node.tables.add('IPv4');
  node.removal.stop();
  await node.synced('IPv4');
  expect(node.removed).toEqual([]);
  expect(node.log.lines).toEqual([]);
});
