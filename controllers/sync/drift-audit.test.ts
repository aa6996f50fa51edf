import { beforeEach, describe, expect, test, vi } from 'vitest';
import { chainName, setName } from '../../pkg/kernel/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type FakeFamilies, fakeFamilies } from '../../test/support/fake-families.ts';
import { DriftAudit } from './drift-audit.ts';
import type { Part } from './part-ownership.ts';
import type { PartSync } from './part-sync.ts';

const signal = new AbortController().signal;
const ours = '*filter\n:KUBE-FORWARD - [0:0]\n:WEIR-FORWARD - [0:0]\nCOMMIT\n';
const all = ['IPv4 policies', 'IPv4 services', 'IPv6 policies', 'IPv6 services'];

describe('DriftAudit', () => {
  let clock: FakeClock;
  let fake: FakeFamilies;
  let suspicions: string[];
  let contests: number[];
  let errors: unknown[];
  let verified: string[];
  let suspects: readonly (readonly string[])[];
  let otherProxyWrites: boolean;
  let audit: DriftAudit;

  beforeEach(async () => {
    clock = new FakeClock();
    fake = fakeFamilies(clock);
    suspicions = [];
    contests = [];
    errors = [];
    verified = [];
    suspects = [];
    otherProxyWrites = false;
    for (const family of fake.families) await family.refresh(family.parts, signal);
    audit = new DriftAudit({
      clock,
      families: fake.families,
      setSizes: fake.setSizes,
      syncPeriodMs: 30_000,
      isWatched: (part) => part !== 'services' || !otherProxyWrites,
      onSuspicion: (reason, parts) => {
        suspicions.push(reason);
        suspects = [...suspects, parts === undefined ? ['all'] : parts.map(nameOf)];
      },
      onVerified: (family, part) => verified.push(`${family} ${part}`),
      onContest: (moves) => contests.push(moves),
      onError: (error) => errors.push(error),
    });
    fake.ran();
  });

  function nameOf({ part, state }: PartSync): string {
    return `${state.family} ${part}`;
  }

  /** All that was read until now is how it was left. */
  async function reread(): Promise<void> {
    for (const family of fake.families) {
      for (const part of family.parts) part.invalidate();
      await family.refresh(family.parts, signal);
    }
  }

  function partOf(family: number, part: Part): PartSync {
    const found = fake.families[family]?.part(part);
    if (found === undefined) throw new Error('no such part');
    return found;
  }

  test('says nothing while all is as it was left', async () => {
    void audit.start();
    await clock.advance(20_000);
    expect(suspicions).toEqual([]);
    expect(fake.ran().length).toBeGreaterThan(10);
    expect(verified.slice(0, 4)).toEqual(all);
    audit.stop();
  });

  test.each<[string, string, readonly string[]]>([
    ['a chain of Services', ':KUBE-FORWARD - [0:0]\n', ['IPv4 services']],
    ['a chain of policies', ':WEIR-FORWARD - [0:0]\n', ['IPv4 policies']],
    ['chains of both', ':KUBE-FORWARD - [0:0]\n:WEIR-FORWARD - [0:0]\n', ['IPv4 policies', 'IPv4 services']],
  ])('notices within two seconds that %s is missing, and whose it is', async (_, missing, parts) => {
    fake.answer('IPv4', 'save', { stdout: ours });
    await reread();
    void audit.start();
    await clock.advance(500);
    fake.answer('IPv4', 'save', { stdout: ours.replace(missing, '') });
    await clock.advance(1500);
    expect(suspicions).toEqual(['somebody else changed the rules']);
    expect(suspects).toEqual([parts]);
    expect(verified).toEqual(all.filter((name) => !parts.includes(name)));
    audit.stop();
  });

  test('does not take a change that is not written yet for that of somebody else', async () => {
    fake.answer('IPv4', 'save', { stdout: ours });
    await reread();
    void audit.start();
    for (const part of ['services', 'policies'] as const) {
      const { state } = partOf(0, part);
      const name = setName(`WEIR-4-${part === 'services' ? 'HAIRPIN' : 'KNOWN'}`);
      state.defineSet({ name, type: 'hash:ip', family: 'IPv4', maxElements: 16 });
      state.setChain(
        'filter',
        part === 'services' ? chainName('KUBE-FORWARD') : chainName('WEIR-NEW'),
        '-j RETURN',
        1,
      );
      state.setJumps([
        { table: 'filter', builtin: 'FORWARD', rule: '-j WEIR-NEW', target: 'WEIR-NEW', position: 'first' },
      ]);
    }
    await clock.advance(20_000);
    expect(suspicions).toEqual([]);
    expect(verified.slice(0, 4)).toEqual(all);
    audit.stop();
  });

  test('does not look at Services while another proxy writes theirs', async () => {
    fake.answer('IPv4', 'save', { stdout: ours });
    await reread();
    otherProxyWrites = true;
    fake.ran();
    void audit.start();
    fake.answer('IPv4', 'save', { stdout: ours.replace(':KUBE-FORWARD - [0:0]\n', '') });
    await clock.advance(10_000);
    expect(suspicions).toEqual([]);
    expect(new Set(fake.ran())).toEqual(
      new Set(['ipset list -t', 'iptables-nft -t filter -S', 'ip6tables-nft -t filter -S']),
    );
    expect(new Set(verified)).toEqual(new Set(['IPv4 policies', 'IPv6 policies']));
    audit.stop();
  });

  test('notices within two seconds that a set was emptied', async () => {
    fake.showSets('save', 'create WEIR-4-KNOWN hash:ip family inet\nadd WEIR-4-KNOWN 10.0.0.1\n');
    fake.showSets('list', 'Name: WEIR-4-KNOWN\nNumber of entries: 1\n');
    const wanted = fake.families[0]?.part('policies')?.state;
    const name = setName('WEIR-4-KNOWN');
    wanted?.defineSet({ name, type: 'hash:ip', family: 'IPv4', maxElements: 65_536 });
    await reread();
    void audit.start();
    await clock.advance(5000);
    expect(suspicions).toEqual([]);
    fake.showSets('list', 'Name: WEIR-4-KNOWN\nNumber of entries: 0\n');
    await clock.advance(2000);
    expect(suspicions).toEqual(['somebody else changed the sets']);
    expect(suspects).toEqual([['IPv4 policies']]);
    audit.stop();
  });

  test('takes its time with an agent that is in front again and again, and says so once', async () => {
    const jump = {
      table: 'filter',
      builtin: 'FORWARD',
      rule: '-j WEIR-FORWARD',
      target: 'WEIR-FORWARD',
    } as const;
    partOf(0, 'policies').state.setJumps([{ ...jump, position: 'first' }]);
    const stdout = '*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j WEIR-FORWARD\nCOMMIT\n';
    fake.answer('IPv4', 'save', { stdout });
    await reread();
    fake.answer('IPv4', 'save', { stdout: stdout.replace('-A', '-A FORWARD -j OTHER\n-A') });
    void audit.start();
    await clock.advance(29_000);
    expect(suspicions.length).toBeGreaterThan(3);
    expect(suspicions.length).toBeLessThan(8);
    expect(new Set(suspicions)).toEqual(new Set(["somebody else put a rule in front of Weir's"]));
    expect(contests).toEqual([4]);
    audit.stop();
  });

  test('wants everything compared once in a sync period', async () => {
    void audit.start();
    await clock.advance(29_000);
    expect(suspicions).toEqual([]);
    await clock.advance(32_000);
    expect(suspicions).toEqual(['it is time to compare everything', 'it is time to compare everything']);
    audit.stop();
  });

  test('waits longer where reading everything is slow', async () => {
    audit.looked(2000);
    void audit.start();
    await clock.advance(99_000);
    expect(suspicions).toEqual([]);
    await clock.advance(3000);
    expect(suspicions).toEqual(['it is time to compare everything']);
    audit.stop();
  });

  test('and yet once in ten minutes', async () => {
    audit.looked(60_000);
    void audit.start();
    await clock.advance(599_000);
    expect(suspicions).toEqual([]);
    await clock.advance(3000);
    expect(suspicions).toEqual(['it is time to compare everything']);
    audit.stop();
  });

  describe('with programs that take long', () => {
    let programMs: number;

    beforeEach(() => {
      const run = fake.commands.run.bind(fake.commands);
      vi.spyOn(fake.commands, 'run').mockImplementation(async (command, stop) => {
        await clock.sleep(programMs, stop);
        return run(command, stop);
      });
      // Nothing but glances for as long as a test lasts.
      audit.looked(20_000);
    });

    test('notices within two seconds after a long write that somebody has flushed', async () => {
      const [family] = fake.families;
      for (const part of family?.parts ?? []) part.invalidate();
      programMs = 60_000;
      void family?.refresh(family.parts, signal);
      void audit.start();
      await clock.advance(0);
      programMs = 0;
      await clock.advance(60_000);
      fake.answer('IPv4', 'save', { stdout: ours });
      await clock.advance(2000);
      expect(suspicions).toEqual(['somebody else changed the rules']);
      audit.stop();
    });

    test('looks again within a quarter of a minute, however long a glance took', async () => {
      programMs = 5000;
      void audit.start();
      await clock.advance(11_500);
      expect(verified).toEqual(all);
      programMs = 0;
      fake.answer('IPv4', 'save', { stdout: ours });
      await clock.advance(15_000);
      expect(suspicions).toEqual(['somebody else changed the rules']);
      audit.stop();
    });
  });

  test('goes on after a look that failed', async () => {
    fake.answer('IPv6', 'save', { exitCode: 1, stderr: 'broken' });
    void audit.start();
    await clock.advance(1500);
    expect(errors).toEqual([expect.objectContaining({ code: 'WEIR_SAVE_FAILED' })]);
    fake.answer('IPv6', 'save', undefined);
    fake.ran();
    await clock.advance(3000);
    expect(errors).toHaveLength(1);
    expect(fake.ran()).toContain('ip6tables-nft -t filter -S');
    audit.stop();
  });

  test('ends when it is told to', async () => {
    const running = audit.start();
    await clock.advance(0);
    audit.stop();
    await expect(running).resolves.toBeUndefined();
  });
});
