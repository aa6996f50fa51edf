import { beforeEach, describe, expect, test } from 'vitest';
import { chainName, type SetSizes, setName, type TableName } from '../../pkg/kernel/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { inputOf } from '../../test/support/fake-command-runner.ts';
import { type FakeFamilies, fakeFamilies } from '../../test/support/fake-families.ts';
import type { FamilySync, PartWrite } from './family-sync.ts';
import type { PartSync, QuickCheck } from './part-sync.ts';

const signal = new AbortController().signal;
const refused = { exitCode: 2, stderr: 'iptables-restore: line 2 failed' };
const otherProxy = { stdout: '*nat\n:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\nCOMMIT\n' };

describe('FamilySync', () => {
  let fake: FakeFamilies;
  let family: FamilySync;
  let services: PartSync;
  let policies: PartSync;
  let seen = 0;

  beforeEach(() => {
    fake = fakeFamilies(new FakeClock());
    seen = 0;
    const [first] = fake.families;
    const found = [first?.part('services'), first?.part('policies')] as const;
    if (first === undefined || found[0] === undefined || found[1] === undefined) throw new Error('no family');
    family = first;
    [services, policies] = [found[0], found[1]];
    services.state.setChain('nat', chainName('KUBE-SERVICES'), '-j RETURN', 1);
  });

  const refresh = (...parts: readonly PartSync[]): Promise<readonly unknown[]> =>
    family.refresh(parts.length === 0 ? family.parts : parts, signal);
  const write = (...parts: readonly PartSync[]): Promise<readonly PartWrite[]> =>
    family.write(parts.length === 0 ? family.parts : parts, signal);
  const isolate = (): void => policies.state.setChain('filter', chainName('WEIR-FORWARD'), '-j RETURN', 1);
  /** Writes since this was last asked, without trials of what was refused. */
  const restores = (): number => {
    const ran = fake.commands.ran.slice(seen);
    seen = fake.commands.ran.length;
    return ran.filter(
      (command) => command.file.endsWith('-restore') && !inputOf(command).includes('WEIR-TRIAL'),
    ).length;
  };
  /** What became of each part. */
  const inShort = (writes: readonly PartWrite[]): readonly string[] =>
    writes.map(({ part: { part }, plan, error }) => {
      const what = plan === undefined ? 'nothing' : plan.writeChains.map(({ name }) => name).join();
      return `${part}: ${error === undefined ? what : 'failed'}`;
    });

  test('reads the kernel once for all parts, not before every write', async () => {
    expect(await refresh()).toMatchObject([{ readMs: 0 }, { readMs: 0 }]);
    expect(fake.ran().toSorted()).toEqual([
      'ipset save',
      'iptables-nft-save -t filter',
      'iptables-nft-save -t nat',
    ]);
    expect(await refresh()).toEqual([]);
    expect(fake.ran()).toEqual([]);
  });

  test('reads for the policies no more than they are written into', async () => {
    await refresh(policies);
    expect(fake.ran().toSorted()).toEqual(['ipset save', 'iptables-nft -t filter -S']);
    expect([policies.isUnknown, services.isUnknown]).toEqual([false, true]);
  });

  test('reads the sets alone where no more is in doubt, and repairs them', async () => {
    const name = setName('WEIR-4-A');
    services.state.defineSet({ name, type: 'hash:ip', family: 'IPv4', maxElements: 16 });
    services.state.addMember(name, '10.0.0.1');
    await refresh();
    await write();
    fake.ran();
    services.invalidateSets();
    fake.showSets('save', 'create WEIR-4-A hash:ip family inet maxelem 16\nadd WEIR-4-A 10.0.0.9\n');
    expect(await refresh()).toMatchObject([{ part: { part: 'services' }, what: 'sets' }]);
    expect(fake.ran()).toEqual(['ipset save']);
    expect(await write()).toMatchObject([
      { part: { part: 'policies' }, plan: undefined },
      {
        part: { part: 'services' },
        plan: {
          writeChains: [],
          addMembers: [{ set: name, members: ['10.0.0.1'] }],
          removeMembers: [{ set: name, members: ['10.0.0.9'] }],
        },
      },
    ]);
    expect(await refresh()).toEqual([]);
  });

  test('reads everything where more than the sets is in doubt, or they could not be read', async () => {
    await refresh();
    for (const part of family.parts) part.invalidateSets();
    policies.invalidate();
    policies.invalidateSets();
    fake.ran();
    expect(await refresh()).toMatchObject([
      { part: { part: 'services' }, what: 'sets' },
      { part: { part: 'policies' }, what: 'everything' },
    ]);
    services.invalidateSets();
    const run = fake.commands.run.bind(fake.commands);
    fake.commands.run = async () => ({
      exitCode: 1,
      stdout: '',
      stderr: 'broken',
      timedOut: false,
      durationMs: 0,
    });
    expect(await refresh()).toMatchObject([
      { part: { part: 'services' }, what: 'sets', error: { code: 'WEIR_SAVE_FAILED' } },
    ]);
    fake.commands.run = run;
    expect(await refresh()).toMatchObject([{ part: { part: 'services' }, what: 'sets' }]);
  });

  test('lets the policies go on where the table of Services cannot be read', async () => {
    fake.answerFor('IPv4', ['-t', 'nat'], { exitCode: 1, stderr: 'broken' });
    expect(await refresh()).toMatchObject([
      { part: { part: 'policies' } },
      { part: { part: 'services' }, error: { code: 'WEIR_SAVE_FAILED' } },
    ]);
    expect([policies.isUnknown, services.isUnknown]).toEqual([false, true]);
  });

  test('writes what it can where the kernel has no table nat, which counts as right, and the rest when it comes', async () => {
    isolate();
    services.state.setChain('filter', chainName('KUBE-FORWARD'), '-j RETURN', 1);
    const noNat = { exitCode: 1, stderr: 'Cannot initialize: Table does not exist (do you need to insmod?)' };
    fake.answerFor('IPv4', ['-t', 'nat'], noNat);
    await refresh();
    expect(inShort(await write())).toEqual(['policies: WEIR-FORWARD', 'services: KUBE-FORWARD']);
    expect(inputOf(fake.commands.ran.at(-1))).not.toContain('*nat');
    expect([family.isAbsent, family.unenforceable]).toEqual([false, undefined]);
    expect(inShort(await write())).toEqual(['policies: nothing', 'services: nothing']);
    fake.answer('IPv4', 'save', undefined);
    services.invalidate();
    await refresh();
    expect(inShort(await write())[1]).toContain('KUBE-SERVICES');
  });

  test('says where policies cannot be enforced, and has nothing to write and to check where there is no table at all', async () => {
    isolate();
    const noTable = { exitCode: 4, stderr: 'Could not fetch rule set generation id: Invalid argument' };
    fake.answer('IPv4', 'save', noTable);
    await refresh();
    expect(family.isAbsent).toBe(true);
    expect(family.unenforceable).toContain('Invalid argument');
    expect(inShort(await write())).toEqual(['policies: nothing', 'services: nothing']);
    fake.ran();
    const look = { tables: new Set(['filter', 'nat'] as const), setSizes: Promise.resolve(new Map()) };
    const found = await family.quickCheck(family.parts, look, signal);
    expect(family.tables()).toEqual([]);
    expect([...found.values()]).toEqual(['unknown', 'unknown']);
    expect(fake.ran()).toEqual([]);
    fake.answer('IPv4', 'save', undefined);
    for (const part of family.parts) part.invalidate();
    await refresh();
    expect([family.isAbsent, family.unenforceable]).toEqual([false, undefined]);
    expect(inShort(await write())).toEqual(['policies: WEIR-FORWARD', 'services: KUBE-SERVICES']);
  });

  test('writes the difference of all parts in one restore, and nothing when there is none', async () => {
    isolate();
    await refresh();
    fake.ran();
    expect(inShort(await write())).toEqual(['policies: WEIR-FORWARD', 'services: KUBE-SERVICES']);
    expect(fake.ran()).toEqual(['iptables-nft-restore']);
    expect(inShort(await write())).toEqual(['policies: nothing', 'services: nothing']);
    expect(fake.ran()).toEqual([]);
  });

  test.each(['services', 'policies'] as const)(
    'writes the %s alone when nothing else may be',
    async (name) => {
      isolate();
      await refresh();
      const [one, other] = name === 'services' ? [services, policies] : [policies, services];
      await write(one);
      const { input } = fake.commands.ran.at(-1) ?? {};
      expect(inputOf({ file: '', args: [], timeoutMs: 0, ...(input === undefined ? {} : { input }) })).toBe(
        name === 'services'
          ? '*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -j RETURN\nCOMMIT\n'
          : '*filter\n:WEIR-FORWARD - [0:0]\n-A WEIR-FORWARD -j RETURN\nCOMMIT\n',
      );
      expect(inShort(await write())).toContain(`${name}: nothing`);
      expect(inShort(await write(other))).toEqual([`${other.part}: nothing`]);
    },
  );

  test('reads again after a write that failed, and writes the rest', async () => {
    await refresh();
    fake.answer('IPv4', 'restore', refused);
    expect(await write()).toMatchObject([
      { part: { part: 'policies' }, plan: undefined },
      { part: { part: 'services' }, error: { code: 'WEIR_RESTORE_FAILED' } },
    ]);
    expect([policies.isUnknown, services.isUnknown]).toEqual([false, true]);
    fake.answer('IPv4', 'restore', undefined);
    fake.ran();
    await refresh();
    expect(fake.ran()).toContain('iptables-nft-save -t nat');
    expect(inShort(await write())).toEqual(['policies: nothing', 'services: KUBE-SERVICES']);
  });

  test('after a common write that failed each part is written alone, until both have got through', async () => {
    isolate();
    await refresh();
    fake.answer('IPv4', 'restore', refused);
    expect(inShort(await write())).toEqual(['policies: failed', 'services: failed']);
    fake.answer('IPv4', 'restore', undefined);
    fake.answerFor('IPv4', ['*nat'], refused);
    await refresh();
    restores();
    expect(inShort(await write())).toEqual(['policies: WEIR-FORWARD', 'services: failed']);
    expect(restores()).toBe(2);
    fake.answer('IPv4', 'restore', undefined);
    await refresh();
    await write();
    isolate();
    policies.state.setChain('filter', chainName('WEIR-INGRESS'), '-j RETURN', 1);
    services.state.setChain('nat', chainName('KUBE-NODEPORTS'), '-j RETURN', 1);
    restores();
    expect(inShort(await write())).toEqual(['policies: WEIR-INGRESS', 'services: KUBE-NODEPORTS']);
    expect(restores()).toBe(1);
  });

  test('says what the kernel refuses, and of which part', async () => {
    isolate();
    const set = setName('WEIR-4-KNOWN');
    policies.state.defineSet({ name: set, type: 'hash:ip', family: 'IPv4', maxElements: 16 });
    services.state.setChain('nat', chainName('KUBE-SVC-A'), '-j RETURN\n-p tcp -j REJECT', 1);
    await refresh();
    fake.answerFor('IPv4', ['-p tcp -j REJECT'], refused);
    expect(await write()).toMatchObject([
      { part: { part: 'policies' }, refused: [] },
      {
        part: { part: 'services' },
        refused: [{ element: { table: 'nat', chain: 'KUBE-SVC-A', rule: '-p tcp -j REJECT' } }],
      },
    ]);
  });

  test('tells chains of another proxy that return from those that are found at first', async () => {
    fake.answer('IPv4', 'save', otherProxy);
    expect(await refresh()).toMatchObject([{ otherProxyIsBack: false }, { otherProxyIsBack: false }]);
    const [, written] = await write();
    expect(written?.plan?.deleteChains).toEqual([{ table: 'nat', name: 'KUBE-SEP-AAAAAAAAAAAAAAAA' }]);
    services.invalidate();
    expect(await refresh()).toMatchObject([{ part: { part: 'services' }, otherProxyIsBack: true }]);
    // Also where nothing had to be written since the start.
    const unchanged = fakeFamilies(new FakeClock());
    const [other] = unchanged.families;
    for (const stdout of ['', otherProxy.stdout]) {
      unchanged.answer('IPv4', 'save', { stdout });
      for (const part of other?.parts ?? []) part.invalidate();
      const reads = await other?.refresh(other.parts, signal);
      expect(reads?.some(({ otherProxyIsBack }) => otherProxyIsBack)).toBe(stdout !== '');
      await other?.write(other.parts, signal);
    }
  });

  test('takes its canary from a proxy whose rules it takes over, once', async () => {
    await refresh();
    services.takeOver();
    await write();
    expect(inputOf(fake.commands.ran.at(-1))).toBe(
      '*mangle\n:KUBE-PROXY-CANARY - [0:0]\n-X KUBE-PROXY-CANARY\nCOMMIT\n',
    );
    fake.ran();
    await write();
    expect(fake.ran()).toEqual([]);
    // A kernel without that table has no canary.
    fake.answerFor('IPv4', ['*mangle'], refused);
    services.takeOver();
    expect(inShort(await write())).toEqual(['policies: nothing', 'services: nothing']);
    expect(services.isUnknown).toBe(false);
  });

  async function check(
    setSizes = fake.setSizes(signal),
    tables: readonly TableName[] = ['filter', 'nat'],
  ): Promise<QuickCheck | undefined> {
    const look = { tables: new Set(tables), setSizes };
    return (await family.quickCheck(family.parts, look, signal)).get(services);
  }

  test('sees in a quick check that a chain in the filter table is gone', async () => {
    services.state.setChain('filter', chainName('KUBE-FORWARD'), '-j RETURN', 1);
    await refresh();
    await write();
    fake.answer('IPv4', 'save', {
      stdout: '*filter\n:KUBE-FORWARD - [0:0]\n-A KUBE-FORWARD -j RETURN\nCOMMIT\n',
    });
    expect(await check()).toBe('nothing');
    fake.answer('IPv4', 'save', undefined);
    expect(await check()).toBe('changed');
  });

  test('reads in a quick check no more than it is asked to', async () => {
    services.state.setChain('filter', chainName('KUBE-FORWARD'), '-j RETURN', 1);
    await refresh();
    await write();
    fake.ran();
    expect(await check(fake.setSizes(signal), [])).toBe('nothing');
    expect(fake.ran()).toEqual(['ipset list -t']);
    expect(await check(fake.setSizes(signal), ['nat'])).toBe('nothing');
    expect(fake.ran()).toEqual(['ipset list -t', 'iptables-nft']);
    expect(await check(fake.setSizes(signal), ['filter'])).toBe('changed');
    expect(fake.ran()).toEqual(['ipset list -t', 'iptables-nft -t filter -S']);
  });

  test('does not judge in a quick check what it does not know anyway', async () => {
    expect(await check()).toBe('unknown');
  });

  test('does not take a change between the store and its write for the work of somebody else', async () => {
    services.state.setChain('filter', chainName('KUBE-FORWARD'), '-j RETURN', 1);
    await refresh();
    await write();
    const stdout = '*filter\n:KUBE-FORWARD - [0:0]\n-A KUBE-FORWARD -j RETURN\nCOMMIT\n';
    fake.answer('IPv4', 'save', { stdout });
    services.state.setChain('filter', chainName('KUBE-FORWARD'), '-j DROP', 1);
    services.state.setChain('filter', chainName('KUBE-SERVICES'), '', 1);
    isolate();
    expect(await check()).toBe('nothing');
  });

  test('says nothing of a quick check that a write overlaps', async () => {
    await refresh();
    const sizes = Promise.withResolvers<SetSizes>();
    const checking = check(sizes.promise);
    await write();
    sizes.resolve(new Map());
    expect(await checking).toBe('unknown');
  });

  describe('in a quick check of the sets', () => {
    const listed = (size: number): string => `Name: WEIR-4-A\nType: hash:ip\nNumber of entries: ${size}\n`;

    beforeEach(async () => {
      const name = setName('WEIR-4-A');
      services.state.defineSet({ name, type: 'hash:ip', family: 'IPv4', maxElements: 16 });
      services.state.addMember(name, '10.0.0.1');
      await refresh();
      await write();
      fake.showSets('save', 'create WEIR-4-A hash:ip family inet maxelem 16\nadd WEIR-4-A 10.0.0.1\n');
      fake.answer('IPv4', 'save', {
        stdout: '*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -j RETURN\nCOMMIT\n',
      });
      fake.showSets('list', listed(1));
      expect(await check()).toBe('nothing');
    });

    test('sees that one was emptied, also when that happens twice', async () => {
      for (let time = 0; time < 2; time += 1) {
        fake.showSets('list', listed(0));
        fake.showSets('save', 'create WEIR-4-A hash:ip family inet maxelem 16\n');
        expect(await check()).toBe('sets');
        services.invalidate();
        expect(await check()).toBe('unknown');
        await refresh();
        const [, written] = await write();
        expect(written?.plan?.addMembers).toEqual([{ set: 'WEIR-4-A', members: ['10.0.0.1'] }]);
      }
    });

    test('does not say again what turned out to be right', async () => {
      fake.showSets('list', listed(2));
      expect(await check()).toBe('sets');
      services.invalidate();
      await refresh();
      expect(inShort(await write())).toContain('services: nothing');
      expect(await check()).toBe('nothing');
      fake.showSets('list', listed(3));
      expect(await check()).toBe('sets');
    });

    test('does not expect a member that is not written yet', async () => {
      services.state.addMember(setName('WEIR-4-A'), '10.0.0.2');
      expect(await check()).toBe('nothing');
    });

    test('believes no sizes that were read while Weir wrote', async () => {
      const sizes = Promise.withResolvers<SetSizes>();
      const checking = check(sizes.promise);
      services.state.addMember(setName('WEIR-4-A'), '10.0.0.2');
      await write();
      sizes.resolve(new Map([['WEIR-4-A', 1]]));
      expect(await checking).toBe('unknown');
      fake.showSets('list', listed(2));
      expect(await check()).toBe('nothing');
    });
  });
});
