import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Table } from '../../pkg/change-signal/index.ts';
import { chainName, setName } from '../../pkg/kernel/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type FakeFamilies, fakeFamilies } from '../../test/support/fake-families.ts';
import type { ChangeNews } from './change-watch.ts';
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
  let news: (table: Table) => ChangeNews;
  let canary: string[];
  let setsDue: number;
  let signals: boolean[];
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
    // No signal: a quick check each time.
    news = () => 'unknown';
    canary = [];
    setsDue = 0;
    signals = [];
    for (const family of fake.families) await family.refresh(family.parts, signal);
    audit = new DriftAudit({
      clock,
      families: fake.families,
      changes: { ask: async () => news, stop: () => undefined },
      canaryKeeper: {
        sings: ({ family, table }) => canary.push(`${family} ${table} sings`),
        silent: async ({ family, table }) => void canary.push(`${family} ${table} is silent`),
      },
      setSizes: fake.setSizes,
      syncPeriodMs: 30_000,
      isWatched: (part) => part !== 'services' || !otherProxyWrites,
      onSuspicion: (reason, parts) => {
        suspicions.push(reason);
        suspects = [...suspects, parts === undefined ? ['all'] : parts.map(nameOf)];
      },
      onSetsDue: () => void (setsDue += 1),
      onSignalled: (isSignalled) => signals.push(isSignalled),
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
    audit.resynced('everything', 2000);
    void audit.start();
    await clock.advance(99_000);
    expect(suspicions).toEqual([]);
    await clock.advance(3000);
    expect(suspicions).toEqual(['it is time to compare everything']);
    audit.stop();
  });

  test('and yet once in ten minutes', async () => {
    audit.resynced('everything', 60_000);
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
      audit.resynced('everything', 20_000);
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

  describe('with a signal that works', () => {
    const sets = new Set(['ipset list -t']);

    /** What ran in the next two quick checks. */
    async function ranMeanwhile(): Promise<ReadonlySet<string>> {
      fake.ran();
      await clock.advance(3000);
      return new Set(fake.ran());
    }

    /** The signal tells it once. */
    async function tell(once: ChangeNews, table?: Table['table']): Promise<ReadonlySet<string>> {
      fake.ran();
      news = (asked) => (table === undefined || asked.table === table ? once : 'unchanged');
      await clock.advance(1500);
      news = () => 'unchanged';
      return new Set(fake.ran());
    }

    beforeEach(async () => {
      fake.answer('IPv4', 'save', { stdout: ours });
      await reread();
      // Only what a test asks for is compared.
      audit.resynced('everything', 20_000);
      news = () => 'unchanged';
      void audit.start();
      await clock.advance(1500);
      expect(new Set(fake.ran()).size).toBeGreaterThan(4);
    });
    afterEach(() => {
      audit.stop();
    });

    test('looks at nothing but the sets while nothing has changed, and says that all is well', async () => {
      verified = [];
      expect(await ranMeanwhile()).toEqual(sets);
      expect(verified).toEqual([...all, ...all]);
    });

    test('looks once at the tables that Weir itself has written', async () => {
      expect(await tell('written', 'filter')).toEqual(
        new Set(['ipset list -t', 'iptables-nft -t filter -S', 'ip6tables-nft -t filter -S']),
      );
      expect(await ranMeanwhile()).toEqual(sets);
      await clock.advance(60_000);
      expect(suspicions).toEqual([]);
    });

    test('finds what others have changed', async () => {
      fake.answer('IPv4', 'save', { stdout: ours.replace(':KUBE-FORWARD - [0:0]\n', '') });
      expect(await ranMeanwhile()).toEqual(sets);
      await tell('changed by others');
      expect(suspicions).toEqual(['somebody else changed the rules']);
      expect(suspects).toEqual([['IPv4 services']]);
      // Until it is repaired, whatever the signal says.
      expect((await ranMeanwhile()).size).toBeGreaterThan(1);
    });

    test('has everything compared at once when others have changed what a quick check does not see', async () => {
      audit.resynced('everything', 50);
      await clock.advance(7000);
      await tell('changed by others');
      expect(suspicions).toEqual([]);
      await clock.advance(3000);
      const reason = 'somebody else changed something that a quick check does not see';
      expect(suspicions).toEqual([reason]);
      audit.resynced('everything', 50);
      await clock.advance(12_000);
      await tell('changed by others', 'nat');
      expect(suspicions).toEqual([reason, reason]);
    });

    test('notices a flush no later when the sets are due', async () => {
      audit.resynced('everything', 50);
      await clock.advance(28_500);
      fake.answer('IPv4', 'save', { stdout: ours.replace(':KUBE-FORWARD - [0:0]\n', '') });
      await tell('changed by others');
      expect([suspicions, setsDue]).toEqual([['somebody else changed the rules'], 1]);
    });

    test('looks again where a quick check failed', async () => {
      fake.answer('IPv4', 'save', { exitCode: 1, stderr: 'broken' });
      await tell('written');
      expect(errors).toHaveLength(1);
      fake.answer('IPv4', 'save', { stdout: ours.replace(':WEIR-FORWARD - [0:0]\n', '') });
      await clock.advance(1500);
      expect(suspects).toEqual([['IPv4 policies']]);
    });

    test('looks again where Weir wrote while it looked', async () => {
      const [family] = fake.families;
      if (family === undefined) throw new Error('no family');
      const steps = vi.spyOn(family, 'quickCheck');
      steps.mockResolvedValueOnce(new Map(family.parts.map((part) => [part, 'unknown'])));
      await tell('written');
      fake.answer('IPv4', 'save', { stdout: ours.replace(':WEIR-FORWARD - [0:0]\n', '') });
      await clock.advance(1500);
      expect(suspects).toEqual([['IPv4 policies']]);
    });

    test('notices that a set was emptied', async () => {
      fake.showSets('save', 'create WEIR-4-KNOWN hash:ip family inet\nadd WEIR-4-KNOWN 10.0.0.1\n');
      fake.showSets('list', 'Name: WEIR-4-KNOWN\nNumber of entries: 1\n');
      const name = setName('WEIR-4-KNOWN');
      partOf(0, 'policies').state.defineSet({ name, type: 'hash:ip', family: 'IPv4', maxElements: 65_536 });
      await reread();
      expect(await ranMeanwhile()).toEqual(sets);
      fake.showSets('list', 'Name: WEIR-4-KNOWN\nNumber of entries: 0\n');
      await clock.advance(1500);
      expect(suspicions).toEqual(['somebody else changed the sets']);
    });

    test('looks at Services again when they are Weir´s again', async () => {
      otherProxyWrites = true;
      await clock.advance(1500);
      otherProxyWrites = false;
      expect(await ranMeanwhile()).toContain('iptables-nft');
      expect(await ranMeanwhile()).toEqual(sets);
    });

    test('compares the sets once in a sync period, and everything when Weir has written or the signal was lost', async () => {
      audit.resynced('everything', 50);
      await clock.advance(31_500);
      expect([suspicions, setsDue]).toEqual([[], 1]);
      expect(signals).toEqual([true]);
      for (const [once, reason] of [
        ['written', 'it is time to compare everything'],
        ['unknown', 'changes were not signalled for a while'],
      ] as const) {
        audit.resynced('everything', 50);
        suspicions = [];
        await tell(once);
        await clock.advance(30_000);
        expect(suspicions).toEqual([reason]);
      }
      expect(signals).toEqual([true, false, true]);
    });
  });

  describe('with a canary', () => {
    test('has it written where it is silent, once the rules beside it are known to be right', async () => {
      fake.answer('IPv4', 'save', { stdout: ours });
      news = ({ family }) => (family === 'IPv4' ? 'unknown' : 'unchanged');
      void audit.start();
      await clock.advance(1500);
      expect(canary.filter((line) => line.startsWith('IPv4'))).toEqual([]);
      await reread();
      canary = [];
      await clock.advance(1500);
      expect(canary.toSorted()).toEqual([
        'IPv4 filter is silent',
        'IPv4 nat is silent',
        'IPv6 filter sings',
        'IPv6 nat sings',
      ]);
      audit.stop();
    });

    test('does not touch nat while another proxy writes Services', async () => {
      otherProxyWrites = true;
      void audit.start();
      await clock.advance(3000);
      expect(new Set(canary)).toEqual(new Set(['IPv4 filter is silent', 'IPv6 filter is silent']));
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
