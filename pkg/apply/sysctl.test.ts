import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { type CommandRunner, WeirError } from '../runtime/index.ts';
import { setUpBridges } from './set-up-bridges.ts';
import { createSysctl, type Sysctl, sysctlNames } from './sysctl.ts';

let root = '';

beforeEach(async () => {
  root = await mkdtemp(`${tmpdir()}/weir-sysctl-`);
});

afterEach(() => rm(root, { recursive: true }));

async function addSetting(name: string, value: string): Promise<void> {
  await mkdir(dirname(`${root}/${name}`), { recursive: true });
  await writeFile(`${root}/${name}`, `${value}\n`);
}

function valueOf(name: string): Promise<string> {
  return readFile(`${root}/${name}`, 'utf8').then((text) => text.trim());
}

test('reads a setting, and knows one that the kernel does not have', async () => {
  await addSetting('net/ipv4/conf/all/route_localnet', '1');
  expect(await createSysctl(root).read(sysctlNames.routeLocalnet)).toBe('1');
  expect(await createSysctl(root).read(sysctlNames.tcpBeLiberal)).toBeUndefined();
});

test('writes only what differs', async () => {
  await addSetting('net/ipv4/conf/all/route_localnet', '0');
  const sysctl = createSysctl(root);
  expect(await sysctl.ensure(sysctlNames.routeLocalnet, '1')).toBe(true);
  expect(await sysctl.ensure(sysctlNames.routeLocalnet, '1')).toBe(false);
  expect(await sysctl.read(sysctlNames.routeLocalnet)).toBe('1');
});

test('knows a setting that nobody may write', async () => {
  await addSetting(sysctlNames.conntrackMax, '65536');
  await addSetting(sysctlNames.tcpBeLiberal, '0');
  await chmod(`${root}/${sysctlNames.conntrackMax}`, 0o444);
  const sysctl = createSysctl(root);
  expect(await sysctl.isFixed(sysctlNames.conntrackMax)).toBe(true);
  expect(await sysctl.isFixed(sysctlNames.tcpBeLiberal)).toBe(false);
  expect(await sysctl.isFixed(sysctlNames.udpTimeout)).toBe(false);
});

test('fails with the name of a setting that can not be written or read', async () => {
  const sysctl = createSysctl(root);
  await expect(sysctl.ensure(sysctlNames.tcpBeLiberal, '1')).rejects.toMatchObject({
    code: 'WEIR_SYSCTL_FAILED',
    message: expect.stringContaining(
      'net.netfilter.nf_conntrack_tcp_be_liberal could not be set to 1',
    ) as string,
  });
  await mkdir(`${root}/${sysctlNames.routeLocalnet}`, { recursive: true });
  await expect(sysctl.read(sysctlNames.routeLocalnet)).rejects.toMatchObject({ code: 'WEIR_SYSCTL_FAILED' });
});

test('switches bridges on without a modprobe where the kernel has the settings', async () => {
  await addSetting(sysctlNames.bridgeIPv4, '0');
  await addSetting(sysctlNames.bridgeIPv6, '0');
  const commands = fakeCommandRunner({});
  const sysctl = createSysctl(root);
  expect(await setUpBridges(sysctl, commands, ['IPv4', 'IPv6'])).toEqual([]);
  expect([await valueOf(sysctlNames.bridgeIPv4), await valueOf(sysctlNames.bridgeIPv6)]).toEqual(['1', '1']);
  expect(commands.lines).toEqual([]);
});

test('touches only the families it is told', async () => {
  await addSetting(sysctlNames.bridgeIPv4, '0');
  await addSetting(sysctlNames.bridgeIPv6, '0');
  await setUpBridges(createSysctl(root), fakeCommandRunner({}), ['IPv4']);
  expect(await valueOf(sysctlNames.bridgeIPv6)).toBe('0');
});

test('loads the module where the settings are missing', async () => {
  const inner = fakeCommandRunner({ modprobe: () => ({}) });
  const commands: CommandRunner = {
    run: async (command, signal) => {
      await addSetting(sysctlNames.bridgeIPv4, '0');
      return inner.run(command, signal);
    },
  };
  expect(await setUpBridges(createSysctl(root), commands, ['IPv4'])).toEqual([]);
  expect(inner.lines).toEqual(['modprobe br_netfilter']);
  expect(await valueOf(sysctlNames.bridgeIPv4)).toBe('1');
});

test('says what is not filtered when the module can not be loaded either', async () => {
  const commands = fakeCommandRunner({
    modprobe: () => ({ exitCode: 1, stderr: 'modprobe: FATAL: Module not found' }),
  });
  const problems = await setUpBridges(createSysctl(root), commands, ['IPv4', 'IPv6']);
  expect(problems).toEqual([
    expect.stringMatching(/IPv4.*bridge-nf-call-iptables.*Module not found/),
    expect.stringMatching(/IPv6.*bridge-nf-call-ip6tables.*Module not found/),
  ]);
  expect(commands.lines).toHaveLength(1);
});

test('says what is not filtered when a setting is 0 and can not be written', async () => {
  const sysctl: Sysctl = {
    read: async () => '0',
    isFixed: async () => false,
    ensure: (name, value) =>
      Promise.reject(new WeirError('WEIR_SYSCTL_FAILED', `${name} could not be set to ${value}: EROFS`)),
  };
  expect(await setUpBridges(sysctl, fakeCommandRunner({}), ['IPv4'])).toEqual([
    expect.stringMatching(/IPv4.*bridge-nf-call-iptables could not be set to 1: EROFS/),
  ]);
});
