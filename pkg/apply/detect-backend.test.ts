import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import type { FakeCommandRunner, FakeProgram } from '../../test/support/fake-command-runner.ts';
import { fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import type { Clock } from '../runtime/index.ts';
import type { DetectedTools } from './detect-backend.ts';
import { absentText, detectBackend } from './detect-backend.ts';

let procRoot = '';

beforeAll(async () => {
  procRoot = await mkdtemp(`${tmpdir()}/weir-proc-`);
  await mkdir(`${procRoot}/net`);
  await writeFile(`${procRoot}/net/if_inet6`, '00000000000000000000000000000001 01 80 10 80 lo\n');
});

afterAll(() => rm(procRoot, { recursive: true }));

const canary = '*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n';
const services = '*filter\n:INPUT ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\nCOMMIT\n';
const says =
  (stdout: string): FakeProgram =>
  () => ({ stdout });
const quiet = says('');
const ipset = quiet;
const noNfTables =
  'ip6tables v1.8.10 (nf_tables): Could not fetch rule set generation id: Invalid argument\n';
const outOfMemory: FakeProgram = () => ({ exitCode: 1, stderr: 'iptables: Cannot allocate memory\n' });
const ipv6Tools = {
  family: 'IPv6',
  backend: 'nft',
  save: 'ip6tables-nft-save',
  restore: 'ip6tables-nft-restore',
  list: 'ip6tables-nft',
};

/** Both backends installed, both empty. */
const both = {
  ipset,
  'iptables-nft-save': quiet,
  'ip6tables-nft-save': quiet,
  'iptables-legacy-save': quiet,
  'ip6tables-legacy-save': quiet,
};

/** Nobody waits on it. */
const hastyClock: Clock = { now: () => (time += 100), sleep: () => Promise.resolve() };
let time = 0;

function detect(
  programs: Readonly<Record<string, FakeProgram>>,
  choice: 'auto' | 'legacy' | 'nft' = 'auto',
): Promise<DetectedTools> {
  return detectBackend({ commands: fakeCommandRunner(programs), choice, procRoot, clock: hastyClock });
}

describe('the backend', () => {
  test('is the one where the kubelet left its sign, nf_tables first, either family', async () => {
    expect(await detect({ ...both, 'iptables-nft-save': says(canary) })).toMatchObject({ backend: 'nft' });
    expect(await detect({ ...both, 'ip6tables-nft-save': says(canary) })).toMatchObject({ backend: 'nft' });
    expect(await detect({ ...both, 'iptables-legacy-save': says(canary) })).toMatchObject({
      backend: 'legacy',
    });
    expect(await detect({ ...both, 'ip6tables-legacy-save': says(canary) })).toMatchObject({
      backend: 'legacy',
    });
    const twice = { ...both, 'iptables-nft-save': says(canary), 'iptables-legacy-save': says(canary) };
    expect(await detect(twice)).toMatchObject({ backend: 'nft' });
  });

  test('is without a sign the one that holds Kubernetes rules', async () => {
    expect(await detect({ ...both, 'iptables-legacy-save': says(services) })).toMatchObject({
      backend: 'legacy',
      warnings: [],
    });
    expect(await detect({ ...both, 'iptables-nft-save': says(services) })).toMatchObject({
      backend: 'nft',
      warnings: [],
    });
  });

  test('is nf_tables when nothing tells', async () => {
    expect(await detect(both)).toMatchObject({ backend: 'nft', warnings: [] });
  });

  test('is the only one installed', async () => {
    const { 'iptables-nft-save': _, 'ip6tables-nft-save': __, ...legacy } = both;
    expect(await detect(legacy)).toMatchObject({
      backend: 'legacy',
      because: 'it is the only one installed',
    });
  });

  test('is the one that was asked for, whatever the signs say', async () => {
    expect(await detect({ ...both, 'iptables-nft-save': says(canary) }, 'legacy')).toMatchObject({
      backend: 'legacy',
    });
    expect(await detect({ ...both, 'iptables-legacy-save': says(canary) }, 'nft')).toMatchObject({
      backend: 'nft',
    });
  });

  test('comes with a warning that names both when both hold Kubernetes rules', async () => {
    const { backend, warnings } = await detect({
      ...both,
      'iptables-nft-save': says(services),
      'iptables-legacy-save': says(canary + services),
    });
    expect(backend).toBe('legacy');
    expect(warnings).toEqual([
      expect.stringMatching(/both .*KUBE-SERVICES in nf_tables.*legacy.*writes with legacy because/),
    ]);
  });
});

test('reads only, and names no table of legacy, which would create it', async () => {
  const commands: FakeCommandRunner = fakeCommandRunner(both);
  await detectBackend({ commands, choice: 'legacy', procRoot });
  expect(
    commands.ran.filter((command) => !command.file.endsWith('-save')).map((command) => command.file),
  ).toEqual(['ipset']);
  const legacy = commands.ran.filter((command) => command.file.includes('legacy'));
  expect(legacy.length).toBeGreaterThan(0);
  expect(legacy.flatMap((command) => command.args)).toEqual([]);
  expect(commands.lines).not.toContain('iptables-nft-save -t nat');
});

describe('programs without a backend in their name', () => {
  const plain = (version: string): Readonly<Record<string, FakeProgram>> => ({
    ipset,
    iptables: says(version),
    'iptables-save': quiet,
    'ip6tables-save': quiet,
  });

  test.each([
    ['iptables v1.8.9 (nf_tables)\n', 'nft'],
    ['iptables v1.8.9 (legacy)\n', 'legacy'],
    ['iptables v1.6.1\n', 'legacy'],
  ] as const)('are used when they are all there is: %j', async (version, backend) => {
    const detected = await detect(plain(version));
    expect(detected.backend).toBe(backend);
    expect(detected.families).toEqual([
      { family: 'IPv4', backend, save: 'iptables-save', restore: 'iptables-restore', list: 'iptables' },
      { family: 'IPv6', backend, save: 'ip6tables-save', restore: 'ip6tables-restore', list: 'ip6tables' },
    ]);
  });

  test('are not used in place of the backend that was asked for', async () => {
    await expect(detect(plain('iptables v1.6.1\n'), 'nft')).rejects.toMatchObject({
      code: 'WEIR_NO_IPTABLES',
    });
  });
});

describe('families', () => {
  test('are both, with the programs of the backend', async () => {
    const { families } = await detect(both);
    expect(families.map((tools) => [tools.family, tools.save, tools.restore])).toEqual([
      ['IPv4', 'iptables-nft-save', 'iptables-nft-restore'],
      ['IPv6', 'ip6tables-nft-save', 'ip6tables-nft-restore'],
    ]);
  });

  test('leave out IPv6 where the kernel has none or it is switched off', async () => {
    const without = await detectBackend({
      commands: fakeCommandRunner(both),
      choice: 'auto',
      procRoot: '/nonexistent',
    });
    expect(without.families.map((tools) => tools.family)).toEqual(['IPv4']);
    expect(without.absent).toEqual([
      { tools: ipv6Tools, why: expect.stringContaining('if_inet6') as string, isOff: true },
    ]);
    expect(without.warnings).toEqual([]);
    await mkdir(`${procRoot}/sys/net/ipv6/conf/all`, { recursive: true });
    await writeFile(`${procRoot}/sys/net/ipv6/conf/all/disable_ipv6`, '1\n');
    const off = await detect(both);
    await rm(`${procRoot}/sys`, { recursive: true });
    expect(off.families.map((tools) => tools.family)).toEqual(['IPv4']);
    expect(off.absent.map(({ why }) => why)).toEqual([expect.stringContaining('disable_ipv6')]);
  });

  test.each<[string, FakeProgram]>([
    ['whose table the kernel lacks', () => ({ exitCode: 4, stderr: noNfTables })],
    ['whose programs are missing', () => undefined],
  ])('leave out the one %s, and say why', async (_, program) => {
    const { families, absent } = await detect({ ...both, 'ip6tables-nft-save': program });
    expect(families.map((tools) => tools.family)).toEqual(['IPv4']);
    expect(absent.map(absentText)).toEqual([
      expect.stringMatching(/^no IPv6 rules are written: ip6tables-nft-save: .*(Invalid argument|ENOENT)/),
    ]);
  });

  test('hold one that iptables cannot print, or that fails now: neither says that the kernel has none', async () => {
    for (const program of [says("# Table `filter' is incompatible, use 'nft' tool.\n"), outOfMemory]) {
      const detected = await detect({ ...both, 'ip6tables-nft-save': program });
      expect(detected.families.map((tools) => tools.family)).toEqual(['IPv4', 'IPv6']);
      expect(detected.absent).toEqual([]);
    }
  });
});

describe('what fails for no reason that lasts', () => {
  test('is tried again before the backend is chosen', async () => {
    let failures = 5;
    const kubelets: FakeProgram = (command, call) =>
      (failures -= 1) >= 0 ? outOfMemory(command, call) : { stdout: canary };
    const clock = new FakeClock();
    const detecting = detectBackend({
      commands: fakeCommandRunner({
        ...both,
        'iptables-nft-save': kubelets,
        'iptables-legacy-save': says(services),
      }),
      choice: 'auto',
      procRoot,
      clock,
    });
    await clock.advance(3000);
    expect(await detecting).toMatchObject({
      backend: 'nft',
      because: expect.stringContaining('KUBELET') as string,
    });
  });

  test('is said where it does not end, and does not keep the node without rules', async () => {
    const { backend, warnings } = await detect({ ...both, 'iptables-nft-save': outOfMemory });
    expect(backend).toBe('nft');
    expect(warnings).toEqual([
      expect.stringMatching(/^what the nft backend of iptables holds could not be read \(.*memory/),
    ]);
  });

  test('does not hold up a backend that is not wanted', async () => {
    const clock = new FakeClock();
    const commands = fakeCommandRunner({ ...both, 'iptables-nft-save': outOfMemory });
    expect(await detectBackend({ commands, choice: 'legacy', procRoot, clock })).toMatchObject({
      backend: 'legacy',
      warnings: [],
    });
  });
});

test('a table that iptables cannot print is asked for the chains that tell', async () => {
  const unprintable = says("# Table `filter' is incompatible, use 'nft' tool.\n");
  const detected = await detect({
    ...both,
    'iptables-nft-save': unprintable,
    'ip6tables-nft-save': unprintable,
    'iptables-nft': ({ args }) =>
      args.includes('WEIR-FORWARD') ? { stdout: '-N WEIR-FORWARD\n' } : { exitCode: 1 },
    'ip6tables-nft': () => ({ exitCode: 1 }),
    'iptables-legacy-save': says(services),
  });
  expect(detected).toMatchObject({ backend: 'nft', because: 'it holds WEIR-FORWARD' });
});

describe('fails clearly', () => {
  test('with the packages to install when iptables is missing', async () => {
    await expect(detect({ ipset })).rejects.toMatchObject({
      code: 'WEIR_NO_IPTABLES',
      message: expect.stringContaining('apt-get install iptables ipset') as string,
    });
  });

  test('when the backend that was asked for is missing', async () => {
    const { 'iptables-legacy-save': _, 'ip6tables-legacy-save': __, ...nft } = both;
    await expect(detect(nft, 'legacy')).rejects.toMatchObject({ code: 'WEIR_NO_IPTABLES' });
  });

  test('when ipset is missing', async () => {
    const { ipset: _, ...without } = both;
    await expect(detect(without)).rejects.toMatchObject({ code: 'WEIR_NO_IPSET' });
  });

  test('without root', async () => {
    const denied: FakeProgram = () => ({ exitCode: 4, stderr: 'Permission denied (you must be root)' });
    await expect(detect({ ...both, 'iptables-nft-save': denied })).rejects.toMatchObject({
      code: 'WEIR_NOT_PRIVILEGED',
    });
  });

  test('when the kernel has no family', async () => {
    const broken: FakeProgram = () => ({ exitCode: 4, stderr: noNfTables });
    const detecting = detect({ ...both, 'iptables-nft-save': broken, 'ip6tables-nft-save': broken });
    await expect(detecting).rejects.toMatchObject({ code: 'WEIR_NO_IPTABLES' });
  });
});
