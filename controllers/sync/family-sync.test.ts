import { beforeEach, describe, expect, test } from 'vitest';
import { chainName, type SetSizes, setName } from '../../pkg/kernel/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type FakeFamilies, fakeFamilies } from '../../test/support/fake-families.ts';
import type { FamilySync } from './family-sync.ts';

const signal = new AbortController().signal;
const refused = { exitCode: 2, stderr: 'iptables-restore: line 2 failed' };
const kubeProxyIsBack = { stdout: '*nat\n:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\nCOMMIT\n' };

describe('FamilySync', () => {
  let fake: FakeFamilies;
  let family: FamilySync;

  beforeEach(() => {
    fake = fakeFamilies(new FakeClock());
    const [first] = fake.families;
    if (first === undefined) throw new Error('no family');
    family = first;
    family.state.setChain('nat', chainName('KUBE-SERVICES'), '-j RETURN', 1);
  });

  test('reads the kernel once, not before every write', async () => {
    expect(await family.refresh(signal)).toBe(0);
    expect(fake.ran().toSorted()).toEqual([
      'ipset save',
      'iptables-nft-save -t filter',
      'iptables-nft-save -t nat',
    ]);
    expect(await family.refresh(signal)).toBeUndefined();
    expect(fake.ran()).toEqual([]);
  });

  test('writes the difference, and nothing when there is none', async () => {
    await family.refresh(signal);
    fake.ran();
    const write = await family.write(signal);
    expect(write?.plan.writeChains.map((chain) => chain.name)).toEqual(['KUBE-SERVICES']);
    expect(fake.ran()).toEqual(['iptables-nft-restore']);
    expect(await family.write(signal)).toBeUndefined();
    expect(fake.ran()).toEqual([]);
  });

  test('reads again after a write that failed, and writes the rest', async () => {
    await family.refresh(signal);
    fake.answer('IPv4', 'restore', refused);
    await expect(family.write(signal)).rejects.toMatchObject({ code: 'WEIR_RESTORE_FAILED' });
    fake.answer('IPv4', 'restore', undefined);
    fake.ran();
    expect(await family.refresh(signal)).toBe(0);
    expect(fake.ran()).toContain('iptables-nft-save -t nat');
    expect(await family.write(signal)).toBeDefined();
  });

  test('reads again when it is told that the kernel may have changed', async () => {
    await family.refresh(signal);
    family.invalidate();
    expect(await family.refresh(signal)).toBe(0);
  });

  test('takes over chains of kube-proxy at first, and stands back when they return later', async () => {
    fake.answer('IPv4', 'save', kubeProxyIsBack);
    await family.refresh(signal);
    expect((await family.write(signal))?.plan.deleteChains).toEqual([
      { table: 'nat', name: 'KUBE-SEP-AAAAAAAAAAAAAAAA' },
    ]);
    family.invalidate();
    await expect(family.refresh(signal)).rejects.toMatchObject({ code: 'WEIR_OTHER_PROXY' });
  });

  test('sees at a glance that a chain in the filter table is gone', async () => {
    family.state.setChain('filter', chainName('KUBE-FORWARD'), '-j RETURN', 1);
    await family.refresh(signal);
    await family.write(signal);
    fake.answer('IPv4', 'save', {
      stdout: '*filter\n:KUBE-FORWARD - [0:0]\n-A KUBE-FORWARD -j RETURN\nCOMMIT\n',
    });
    expect(await family.glance(fake.setSizes(signal), signal)).toBe('nothing');
    fake.answer('IPv4', 'save', undefined);
    expect(await family.glance(fake.setSizes(signal), signal)).toBe('rules');
  });

  test('does not judge at a glance what it does not know anyway', async () => {
    expect(await family.glance(fake.setSizes(signal), signal)).toBe('unknown');
  });

  describe('at a glance at the sets', () => {
    const listed = (size: number): string => `Name: WEIR-4-A\nType: hash:ip\nNumber of entries: ${size}\n`;

    beforeEach(async () => {
      const name = setName('WEIR-4-A');
      family.state.defineSet({ name, type: 'hash:ip', family: 'IPv4', maxElements: 16 });
      family.state.addMember(name, '10.0.0.1');
      await family.refresh(signal);
      await family.write(signal);
      fake.showSets('save', 'create WEIR-4-A hash:ip family inet maxelem 16\nadd WEIR-4-A 10.0.0.1\n');
      fake.answer('IPv4', 'save', {
        stdout: '*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -j RETURN\nCOMMIT\n',
      });
      fake.showSets('list', listed(1));
      expect(await family.glance(fake.setSizes(signal), signal)).toBe('nothing');
    });

    test('sees that one was emptied, also when that happens twice', async () => {
      for (let time = 0; time < 2; time += 1) {
        fake.showSets('list', listed(0));
        fake.showSets('save', 'create WEIR-4-A hash:ip family inet maxelem 16\n');
        expect(await family.glance(fake.setSizes(signal), signal)).toBe('sets');
        family.invalidate();
        expect(await family.glance(fake.setSizes(signal), signal)).toBe('unknown');
        await family.refresh(signal);
        expect((await family.write(signal))?.plan.addMembers).toEqual([
          { set: 'WEIR-4-A', members: ['10.0.0.1'] },
        ]);
      }
    });

    test('does not say again what turned out to be right', async () => {
      fake.showSets('list', listed(2));
      expect(await family.glance(fake.setSizes(signal), signal)).toBe('sets');
      family.invalidate();
      await family.refresh(signal);
      expect(await family.write(signal)).toBeUndefined();
      expect(await family.glance(fake.setSizes(signal), signal)).toBe('nothing');
      fake.showSets('list', listed(3));
      expect(await family.glance(fake.setSizes(signal), signal)).toBe('sets');
    });

    test('believes no sizes that were read while Weir wrote', async () => {
      const sizes = Promise.withResolvers<SetSizes>();
      const glance = family.glance(sizes.promise, signal);
      family.state.addMember(setName('WEIR-4-A'), '10.0.0.2');
      await family.write(signal);
      sizes.resolve(new Map([['WEIR-4-A', 1]]));
      expect(await glance).toBe('nothing');
    });
  });
});
