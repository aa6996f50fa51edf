import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import { systemClock } from '../../pkg/runtime/index.ts';
import { backends, canRunFaults } from '../support/fault-world.ts';
import { nodeRules } from '../support/node-rules.ts';
import { createPolicyLab, type PolicyLab, triedAll } from '../support/policy-lab.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import { rotating } from '../support/rotating.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 40_000, interval: 200 };
const families = ['IPv4', 'IPv6'] as const satisfies readonly Family[];
const weirsJump = '-m comment --comment "weir network policy" -j WEIR-FORWARD';

/** Sets that others have, with names that read like ours. */
const foreignSets = [
  'create WEIRD-4-INGRESS hash:ip family inet',
  'add WEIRD-4-INGRESS 192.0.2.7',
  'create WEIR-5-KNOWN hash:ip family inet',
  'add WEIR-5-KNOWN 192.0.2.8',
  'create WEIR hash:ip family inet6',
];

/** What somebody does to each family, in one restore. */
const damages: readonly (readonly [string, readonly string[]])[] = [
  ['the way into the policies is removed', [`-D FORWARD ${weirsJump}`]],
  ['somebody who accepts everything puts himself in front', ['-I FORWARD 1 -j OTHERS']],
  [
    'the way into the policies is put behind all others',
    [`-D FORWARD ${weirsJump}`, `-A FORWARD ${weirsJump}`],
  ],
  ['FORWARD is flushed', ['-F FORWARD', '-A FORWARD -j OTHERS']],
  ['the chain of a direction is emptied', ['-F WEIR-INGRESS']],
  ['somebody accepts everything inside', ['-I WEIR-FORWARD 1 -j ACCEPT']],
  ['the whole table is flushed', ['-F', '-A OTHERS -j ACCEPT']],
];

for (const backend of rotating('policy-foreign-edits', backends)) {
  describe.skipIf(!canRunFaults(backend))(`policies that others undo on the ${backend} backend`, () => {
    let lab: PolicyLab;
    let weir: WeirProcess;

    beforeAll(async () => {
      lab = await createPolicyLab(backend, {
        nodes: [{ name: 'node-a', pods: ['api', 'friend', 'stranger'] }],
        clients: ['outside'],
      });
      await lab.node.run('ipset', ['restore'], { input: `${foreignSets.join('\n')}\n` });
      for (const family of families)
        await lab.iptables(family, '-N OTHERS', '-A OTHERS -j ACCEPT', '-A FORWARD -j OTHERS');
      await lab.save(
        'policies',
        policyManifest('friends', {
          podSelector: app('api'),
          policyTypes: ['Ingress', 'Egress'],
          ingress: [{ from: [{ podSelector: app('friend') }] }],
          egress: [{ to: [{ podSelector: app('friend') }] }],
        }),
      );
      weir = await lab.start();
      await vi.waitFor(async () => expect(await enforced()).toEqual(right), patience);
    });
    afterAll(() => lab.dispose());

    async function enforced(): Promise<readonly unknown[]> {
      const [api, friend, stranger] = [lab.pod('api'), lab.pod('friend'), lab.pod('stranger')];
      const firsts = families.map(async (family) => (await lab.chain(family, 'FORWARD'))[0]);
      const attempts = [
        triedAll(friend, api),
        triedAll(stranger, api),
        triedAll(lab.outside, api),
        triedAll(api, stranger),
      ];
      return [...(await Promise.all(attempts)), ...(await Promise.all(firsts)), ...(await lab.plan())];
    }

    const right = [
      'api',
      'timeout',
      'timeout',
      'timeout',
      ...families.map(() => `-A FORWARD ${weirsJump}`),
      ...families.map((family) => `${family}: no change`),
    ];

    async function sets(): Promise<string> {
      return (await lab.node.run('ipset', ['save'])).stdout;
    }

    async function othersHave(): Promise<unknown> {
      const { foreignSets } = nodeRules({ IPv4: '', IPv6: '' }, await sets());
      const rules = await Promise.all(
        families.flatMap((family) => [lab.chain(family, 'FORWARD'), lab.chain(family, 'OTHERS')]),
      );
      const isOurs = / -j (KUBE|WEIR)-/;
      return { foreignSets, rules: rules.map((lines) => lines.filter((line) => !isOurs.test(line))) };
    }

    /** The names with their members, sorted; WEIR-5- is nobody's family. */
    async function ourSets(): Promise<readonly string[]> {
      return (await sets())
        .split('\n')
        .filter((line) => / WEIR-[46]-/.test(line))
        .map((line) => line.replace(/ (hashsize|bucketsize|initval) \S+/g, ''))
        .toSorted();
    }

    test('sets of others with names like ours are as they were', async () => {
      const others = (await sets()).split('\n').filter((line) => /WEIRD|WEIR-5-| WEIR /.test(line));
      expect(others.filter((line) => line.startsWith('add ')).toSorted()).toEqual([
        'add WEIR-5-KNOWN 192.0.2.8',
        'add WEIRD-4-INGRESS 192.0.2.7',
      ]);
      expect(others.filter((line) => line.startsWith('create '))).toHaveLength(3);
    });

    test('a jump that is not first any more is told as such', async () => {
      const from = weir.lines.length;
      await lab.iptables('IPv4', '-I FORWARD 1 -p tcp -j OTHERS');
      expect(await weir.waitForLine(/jump repaired in filter FORWARD/, { from })).toMatch(/not first/);
      await expect.poll(enforced, patience).toEqual(right);
      await lab.iptables('IPv4', '-D FORWARD -p tcp -j OTHERS');
    });

    test.each(damages)('%s: put right, and what others have stays', async (_, lines) => {
      const from = weir.lines.length;
      for (const family of families) await lab.iptables(family, ...lines);
      const others = await othersHave();
      await weir.waitForLine(/rules written/, { from });
      await expect.poll(enforced, patience).toEqual(right);
      expect(await othersHave()).toEqual(others);
    });

    test('sets that are emptied, filled with others and destroyed are as before', async () => {
      const before = await ourSets();
      const names = [
        ...new Set(before.filter((line) => line.startsWith('create')).map((line) => line.split(' ')[1])),
      ];
      const stranger = lab.pod('stranger').address('IPv4');
      const flushes = names.map((name) => `ipset flush ${name}`);
      const adds = names
        .filter((name) => name?.startsWith('WEIR-4-PODS'))
        .map((name) => `ipset add ${name} ${stranger}`);
      await lab.node.run('sh', ['-ec', [...flushes, ...adds].join('\n')]);
      await expect.poll(ourSets, patience).toEqual(before);
      await expect.poll(enforced, patience).toEqual(right);
      for (const family of families)
        await lab.iptables(family, '-F', '-X', '-N OTHERS', '-A OTHERS -j ACCEPT');
      for (const family of families) await lab.iptables(family, '-A FORWARD -j OTHERS');
      const others = await othersHave();
      await lab.node.run('sh', ['-c', names.map((name) => `ipset destroy ${name}`).join('\n') + '\ntrue']);
      await expect.poll(ourSets, patience).toEqual(before);
      await expect.poll(enforced, patience).toEqual(right);
      expect(await othersHave()).toEqual(others);
    });

    test('a set that is emptied is filled again long before everything is looked at', async () => {
      await lab.killAll();
      weir = await lab.start('node-a', '--iptables-sync-period', '10m');
      const before = await ourSets();
      const filled = [
        ...new Set(before.filter((line) => line.startsWith('add')).map((line) => line.split(' ')[1])),
      ];
      const edits = [
        ['flush', 'WEIR-4-INGRESS'],
        ['flush', filled.at(-1) ?? ''],
        ['add', 'WEIR-4-KNOWN', '192.0.2.9'],
      ];
      const from = weir.lines.length;
      for (const edit of edits) {
        await lab.node.run('ipset', edit);
        expect(await ourSets()).not.toEqual(before);
        await expect.poll(ourSets, patience).toEqual(before);
      }
      await weir.waitForLine(/rules were changed by somebody else: repaired/, { from });
      await expect.poll(enforced, patience).toEqual(right);
    });

    test('an agent that puts itself in front again and again is told once, and answered less and less often', async () => {
      await lab.killAll();
      const seldom = await lab.start('node-a', '--iptables-sync-period', '10m');
      const end = new AbortController();
      const opponent = (async () => {
        while (!end.signal.aborted) {
          const [first] = await lab.chain('IPv4', 'FORWARD');
          if (first?.endsWith('-j WEIR-FORWARD') === true)
            await lab.iptables('IPv4', '-I FORWARD 1 -p sctp -j OTHERS');
          await systemClock.sleep(200);
        }
      })();
      const moves = (): number =>
        seldom.lines.filter((line) => /jump repaired/.test(line) && /IPv4/.test(line)).length;
      try {
        expect(await seldom.waitForLine(/keeps putting rules in front/)).toMatch(/no policy sees/);
        const movesUntilTold = moves();
        await systemClock.sleep(15_000);
        // Without backing off there would be seven or more.
        expect(moves() - movesUntilTold).toBeLessThan(5 * 3);
        expect(seldom.lines.filter((line) => /keeps putting rules/.test(line))).toHaveLength(1);
      } finally {
        end.abort();
        await opponent;
      }
      await expect.poll(enforced, patience).toEqual(right);
    });
  });
}
