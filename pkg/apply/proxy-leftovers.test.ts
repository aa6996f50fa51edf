import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeProgram, fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import {
  connectionsThrough,
  findProxyLeftovers,
  leftoverText,
  type ProxyLeftover,
  removeProxyLeftover,
} from './proxy-leftovers.ts';

let procRoot: string;

beforeEach(async () => {
  procRoot = await mkdtemp(join(tmpdir(), 'weir-proc-'));
  await mkdir(join(procRoot, 'net'));
});
afterEach(() => rm(procRoot, { recursive: true }));

const server = 'TCP  0A600001:01BB rr \n  -> C0A80001:192B      Masq    1      3          2         \n';
const nodePort = 'TCP  C0A8000B:7530 rr \n';
const addresses =
  '7: kube-ipvs0    inet 10.96.0.1/32 scope global kube-ipvs0\\       valid_lft forever\n' +
  '7: kube-ipvs0    inet6 fd00:10:96::1/128 scope global \\       valid_lft forever\n';

async function node(servers: string | undefined, hasInterface: boolean): Promise<void> {
  const dev = `Inter-|   Receive\n    lo: 0 0\n${hasInterface ? 'kube-ipvs0: 0 0\n' : ' kube-ipvs01: 0 0\n'}`;
  await writeFile(join(procRoot, 'net/dev'), dev);
  if (servers !== undefined) await writeFile(join(procRoot, 'net/ip_vs'), `Prot\n${servers}`);
}

async function found(programs: Readonly<Record<string, FakeProgram>>): Promise<readonly string[]> {
  const { leftovers, unknown } = await findProxyLeftovers(fakeCommandRunner(programs), { procRoot });
  return [
    ...leftovers.map((leftover) => {
      const { mode, what, command } = leftoverText(leftover);
      return `${mode}: ${what}: ${command} (${connectionsThrough(leftover)} connections)`;
    }),
    ...unknown,
  ];
}

const withTables = { nft: () => ({ stdout: 'table ip kube-proxy {\n}\ntable ip6 kube-proxy {\n}\n' }) };
const nftables = [
  'nftables: table ip kube-proxy: nft delete table ip kube-proxy (0 connections)',
  'nftables: table ip6 kube-proxy: nft delete table ip6 kube-proxy (0 connections)',
];
const ipvs = 'IPVS: interface kube-ipvs0: ip link delete kube-ipvs0 (0 connections)';

describe('leftovers of kube-proxy', () => {
  test('are the tables of nftables mode', async () => {
    await node(undefined, false);
    expect(await found(withTables)).toEqual(nftables);
  });

  test('are not known without nft, and how to remove them by hand is said', async () => {
    await node(undefined, false);
    expect(await found({})).toEqual([
      'whether a kube-proxy in nftables mode has left its tables in force is not known: nft is not installed. If one ran here: nft delete table ip kube-proxy; nft delete table ip6 kube-proxy',
    ]);
  });

  test('are the interface and the virtual servers of IPVS mode', async () => {
    await node(server, true);
    expect(await found({ nft: () => ({}), ip: () => ({ stdout: addresses }) })).toEqual([
      'IPVS: 1 virtual server: ipvsadm -C (3 connections)',
      ipvs,
    ]);
  });

  test('are only the virtual servers at its addresses, where there are others', async () => {
    await node(server + nodePort, true);
    expect(await found({ nft: () => ({}), ip: () => ({ stdout: addresses }) })).toEqual([
      'IPVS: 1 virtual server at addresses of kube-ipvs0; others stay (ipvsadm -Ln): ipvsadm -D (3 connections)',
      ipvs,
    ]);
  });

  test('are no virtual servers where there was no kube-proxy in IPVS mode', async () => {
    await node(server, false);
    expect(await found({ nft: () => ({}) })).toEqual([]);
  });

  test('are not told from others without ip', async () => {
    await node(server, true);
    expect(await found({ nft: () => ({}) })).toEqual([
      ipvs,
      'which of 1 virtual servers of IPVS kube-proxy has left is not known: ip is not installed',
    ]);
  });
});

describe('a leftover is removed', () => {
  const own = { option: '-t', socket: '10.96.0.1:443', address: '10.96.0.1', connections: 0 };
  const ipv6 = { option: '-u', socket: '[fd00::1]:53', address: 'fd00::1', connections: 0 };

  test.each<[ProxyLeftover, readonly string[]]>([
    [{ kind: 'table', family: 'IPv4' }, ['nft -f -']],
    [{ kind: 'interface' }, ['ip link delete kube-ipvs0']],
    [{ kind: 'servers', servers: [own, ipv6], isAll: true }, ['ipvsadm -C']],
    [
      { kind: 'servers', servers: [own, ipv6], isAll: false },
      ['ipvsadm -D -t 10.96.0.1:443', 'ipvsadm -D -u [fd00::1]:53'],
    ],
  ])('%j', async (leftover, lines) => {
    const commands = fakeCommandRunner({ nft: () => ({}), ip: () => ({}), ipvsadm: () => ({}) });
    await removeProxyLeftover(commands, leftover);
    expect(commands.lines.toSorted()).toEqual(lines);
  });

  test('also where it has gone meanwhile', async () => {
    const commands = fakeCommandRunner({
      ip: () => ({ exitCode: 1, stderr: 'Cannot find device "kube-ipvs0"' }),
      ipvsadm: () => ({ exitCode: 255, stderr: 'No such service' }),
    });
    await removeProxyLeftover(commands, { kind: 'interface' });
    await removeProxyLeftover(commands, { kind: 'servers', servers: [own], isAll: false });
    expect(commands.lines).toHaveLength(2);
  });

  test('or the error says what to install', async () => {
    await expect(removeProxyLeftover(fakeCommandRunner({}), { kind: 'interface' })).rejects.toMatchObject({
      code: 'WEIR_IPVS_FAILED',
      message: 'ip link delete kube-ipvs0: could not be started: ENOENT',
    });
  });
});
