import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { inputOf } from '../../test/support/fake-command-runner.ts';
import { type FakeFamilies, fakeFamilies } from '../../test/support/fake-families.ts';
import { type BootState, closeAtBoot, keepBootState, readBootState } from './boot-guard.ts';

const state: BootState = { policiesExist: true, ranges: ['10.1.2.0/24', 'fd00:1:2::/64'] };

describe('the state for the next boot', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-boot-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('comes back as it was kept, in a folder that is made for it', async () => {
    const stateDir = join(folder, 'lib', 'weir');
    await keepBootState(stateDir, { ...state, policiesExist: false });
    await keepBootState(stateDir, state);
    expect(await readBootState(stateDir)).toEqual(state);
    expect(await readdir(stateDir)).toEqual(['boot-guard.json']);
  });

  it('is the old one when the new one could not be written', async () => {
    await keepBootState(folder, state);
    // A folder is where the new file would be written.
    await mkdir(join(folder, 'boot-guard.json.new'));
    await expect(keepBootState(folder, { ...state, policiesExist: false })).rejects.toThrow('EISDIR');
    expect(await readBootState(folder)).toEqual(state);
  });

  it('is nothing before it was ever kept', async () => {
    expect(await readBootState(join(folder, 'missing'))).toBeUndefined();
  });

  it('is nothing where it was cut short', async () => {
    const text = JSON.stringify(state);
    for (let length = 0; length < text.length; length++) {
      await writeFile(join(folder, 'boot-guard.json'), text.slice(0, length));
      expect(await readBootState(folder)).toBeUndefined();
    }
  });

  it.each(['null', '[]', '{"policiesExist":"yes","ranges":[]}', '{"policiesExist":true,"ranges":[1]}'])(
    'is nothing where it says %s',
    async (text) => {
      await writeFile(join(folder, 'boot-guard.json'), text);
      expect(await readBootState(folder)).toBeUndefined();
    },
  );
});

describe('closeAtBoot', () => {
  let clock: FakeClock;
  let fake: FakeFamilies;

  beforeEach(() => {
    clock = new FakeClock();
    fake = fakeFamilies(clock);
  });

  function close(changes: Partial<BootState> = {}): Promise<readonly string[]> {
    return closeAtBoot(
      fake.families,
      { ...state, ...changes },
      { clock, signal: new AbortController().signal },
    );
  }

  /** What was written with one family's restore program. */
  function written(file: string): string {
    return fake.commands.ran
      .filter((command) => command.file === file)
      .map((command) => inputOf(command))
      .join('');
  }

  it("drops what is sent from and to each family's range", async () => {
    expect(await close()).toEqual(['IPv4', 'IPv6']);
    const [ipv4, ipv6] = [written('iptables-nft-restore'), written('ip6tables-nft-restore')];
    expect(ipv4).toMatch(/-s 10\.1\.2\.0\/24 .*-j DROP/);
    expect(ipv4).toMatch(/-d 10\.1\.2\.0\/24 .*-j DROP/);
    expect(ipv4).toMatch(/-I FORWARD .*-j WEIR/);
    expect(ipv4).not.toContain('fd00');
    expect(ipv6).toMatch(/-s fd00:1:2::\/64 .*-j DROP/);
    expect(ipv6).not.toContain('10.1.2');
  });

  it('beside a kube-proxy, closes what IPVS sends on, too', async () => {
    const { signal } = new AbortController();
    await closeAtBoot(fake.families, state, { clock, signal, besideProxy: true });
    expect(written('iptables-nft-restore')).toMatch(/-I OUTPUT .*! --src-type LOCAL -j WEIR-FORWARD/);
  });

  it('does nothing to a family without a range', async () => {
    expect(await close({ ranges: ['fd00:1:2::/64', 'nonsense'] })).toEqual(['IPv6']);
    expect(written('iptables-nft-restore')).toBe('');
  });

  it('does not even look when there were no policies', async () => {
    expect(await close({ policiesExist: false })).toEqual([]);
    expect(fake.ran()).toEqual([]);
  });

  it('leaves a family alone whose rules have survived', async () => {
    fake.answer('IPv4', 'save', {
      stdout: '*filter\n:FORWARD ACCEPT [0:0]\n:WEIR-FORWARD - [0:0]\nCOMMIT\n',
    });
    expect(await close()).toEqual(['IPv6']);
    expect(written('iptables-nft-restore')).toBe('');
  });

  it('closes one family where the other fails, and tells of the failure', async () => {
    fake.answer('IPv4', 'restore', { exitCode: 2, stderr: 'iptables-restore: line 2 failed' });
    const closing = close().catch(String);
    await clock.advance(60_000);
    expect(await closing).toContain('line 2 failed');
    expect(written('ip6tables-nft-restore')).toMatch(/-j DROP/);
  });

  it('tries again for some seconds what fails', async () => {
    fake.answer('IPv6', 'save', { exitCode: 1, stderr: 'Cannot allocate memory' });
    const closing = close();
    await clock.advance(2000);
    fake.answer('IPv6', 'save', undefined);
    await clock.advance(2000);
    expect(await closing).toEqual(['IPv4', 'IPv6']);
    expect(written('ip6tables-nft-restore')).toMatch(/-j DROP/);
  });
});
