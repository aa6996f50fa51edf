import { beforeEach, describe, expect, test, vi } from 'vitest';
import { chainName, setName } from '../../pkg/kernel/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type FakeFamilies, fakeFamilies } from '../../test/support/fake-families.ts';
import { DriftAudit } from './drift-audit.ts';

const signal = new AbortController().signal;

describe('DriftAudit', () => {
  let clock: FakeClock;
  let fake: FakeFamilies;
  let suspicions: string[];
  let contests: number[];
  let errors: unknown[];
  let verified: string[];
  let audit: DriftAudit;

  beforeEach(async () => {
    clock = new FakeClock();
    fake = fakeFamilies(clock);
    suspicions = [];
    contests = [];
    errors = [];
    verified = [];
    for (const family of fake.families) await family.refresh(signal);
    audit = new DriftAudit({
      clock,
      families: fake.families,
      setSizes: fake.setSizes,
      syncPeriodMs: 30_000,
      onSuspicion: (reason) => suspicions.push(reason),
      onVerified: (family) => verified.push(family),
      onContest: (moves) => contests.push(moves),
      onError: (error) => errors.push(error),
    });
    fake.ran();
  });

  test('says nothing while all is as it was left', async () => {
    void audit.start();
    await clock.advance(20_000);
    expect(suspicions).toEqual([]);
    expect(fake.ran().length).toBeGreaterThan(10);
    expect(verified.slice(0, 2)).toEqual(['IPv4', 'IPv6']);
    audit.stop();
  });

  test('notices within two seconds that something is missing', async () => {
    void audit.start();
    const [family] = fake.families;
    family?.state.setChain('filter', chainName('KUBE-FORWARD'), '-j RETURN', 1);
    await clock.advance(2000);
    expect(suspicions).toEqual(['somebody else changed the rules']);
    expect(verified).toEqual(['IPv6']);
    audit.stop();
  });

  test('notices within two seconds that a set was emptied', async () => {
    fake.showSets('save', 'create WEIR-4-A hash:ip family inet\nadd WEIR-4-A 10.0.0.1\n');
    fake.showSets('list', 'Name: WEIR-4-A\nNumber of entries: 1\n');
    for (const family of fake.families) {
      family.invalidate();
      await family.refresh(signal);
    }
    // Otherwise nobody wants it.
    const name = setName('WEIR-4-A');
    fake.families[0]?.state.defineSet({ name, type: 'hash:ip', family: 'IPv4', maxElements: 16 });
    fake.families[0]?.state.addMember(name, '10.0.0.1');
    void audit.start();
    await clock.advance(5000);
    expect(suspicions).toEqual([]);
    fake.showSets('list', 'Name: WEIR-4-A\nNumber of entries: 0\n');
    await clock.advance(2000);
    expect(suspicions).toEqual(['somebody else changed the sets']);
    audit.stop();
  });

  test('takes its time with an agent that is in front again and again, and says so once', async () => {
    const jump = {
      table: 'filter',
      builtin: 'FORWARD',
      rule: '-j WEIR-FORWARD',
      target: 'WEIR-FORWARD',
    } as const;
    fake.families[0]?.state.setJumps('policy', [{ ...jump, position: 'first' }]);
    const stdout =
      '*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j OTHER\n-A FORWARD -j WEIR-FORWARD\nCOMMIT\n';
    fake.answer('IPv4', 'save', { stdout });
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
      family?.invalidate();
      programMs = 60_000;
      void family?.refresh(signal);
      void audit.start();
      await clock.advance(0);
      programMs = 0;
      await clock.advance(60_000);
      family?.state.setChain('filter', chainName('KUBE-FORWARD'), '-j RETURN', 1);
      await clock.advance(2000);
      expect(suspicions).toEqual(['somebody else changed the rules']);
      audit.stop();
    });

    test('looks again within a quarter of a minute, however long a glance took', async () => {
      programMs = 5000;
      void audit.start();
      await clock.advance(11_500);
      expect(verified).toEqual(['IPv4', 'IPv6']);
      programMs = 0;
      fake.families[0]?.state.setChain('filter', chainName('KUBE-FORWARD'), '-j RETURN', 1);
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
