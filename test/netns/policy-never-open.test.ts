import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type SetName, setName, temporarySet } from '../../pkg/kernel/index.ts';
import { systemClock } from '../../pkg/runtime/index.ts';
import { backends, canRunFaults } from '../support/fault-world.ts';
import { FaultyTools } from '../support/faulty-tools.ts';
import { type ProbedPaths, probePaths } from '../support/forbidden-probe.ts';
import { nodeRules } from '../support/node-rules.ts';
import { createPolicyLab, listen, type PolicyLab, triedAll } from '../support/policy-lab.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import { rotating } from '../support/rotating.ts';
import type { Manifest } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 30_000, interval: 100 };
/** Stranger, outside and the other way round; then the two ways between friends. */
const held = ['timeout', 'timeout', 'timeout', 'api', 'friend'];
/** Not one forbidden connection, and not one allowed one that failed. */
const nothingOpened = { wrong: {}, triedOften: true, holds: held };

/** Friends may talk with the API, and the API with friends; nobody else with it, nor it with anybody else. */
const friendsOnly = {
  podSelector: app('api'),
  policyTypes: ['Ingress', 'Egress'],
  ingress: [{ from: [{ podSelector: app('friend') }] }],
  egress: [{ to: [{ podSelector: app('friend') }] }],
};
const friendsPolicy = policyManifest('friends', friendsOnly);

/** The same, said in other words: other chains and sets. */
const friendsInOtherWords = {
  ...friendsOnly,
  ingress: [
    {
      from: [
        { podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['friend', 'x'] }] } },
      ],
    },
  ],
  egress: [
    { to: [{ podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['friend'] }] } }] },
  ],
};

/** Policies that isolate the stranger and the friend's neighbour in many ways, for something to write. */
function many(count: number): readonly Manifest[] {
  return Array.from({ length: count }, (_, index) =>
    policyManifest(`many-${index}`, {
      podSelector: index % 2 === 0 ? app('stranger') : app('api'),
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ ipBlock: { cidr: `192.0.2.${index}/32` } }], ports: [{ port: 1000 + index }] }],
    }),
  );
}

for (const backend of rotating('policy-never-open', backends)) {
  describe.skipIf(!canRunFaults(backend))(`what a policy forbids, on the ${backend} backend,`, () => {
    let lab: PolicyLab;
    let tools: FaultyTools;
    const restore = { IPv4: `iptables-${backend}-restore`, IPv6: `ip6tables-${backend}-restore` } as const;

    beforeAll(async () => {
      tools = await FaultyTools.mount([restore.IPv4, restore.IPv6, 'ipset']);
      lab = await createPolicyLab(backend, {
        nodes: [{ name: 'node-a', pods: ['api', 'friend', 'stranger'] }],
        clients: ['outside'],
      });
      await lab.save('policies', friendsPolicy);
    });
    afterAll(async () => {
      await lab.dispose();
      await tools.unmount();
    });
    beforeEach(async () => {
      await lab.save('policies', friendsPolicy);
      await lab.start();
      await expect.poll(holds, patience).toEqual(held);
    });
    afterEach(() => lab.killAll());

    function paths(): ProbedPaths {
      const [api, friend, stranger] = [lab.pod('api'), lab.pod('friend'), lab.pod('stranger')];
      return {
        forbidden: [
          [stranger, api],
          [lab.outside, api],
          [api, stranger],
        ],
        allowed: [
          [friend, api],
          [api, friend],
        ],
      };
    }

    async function holds(): Promise<readonly string[]> {
      const { forbidden, allowed } = paths();
      return Promise.all([...forbidden, ...allowed].map(([from, to]) => triedAll(from, to)));
    }

    /** What went wrong, in either direction, while the work was done. */
    async function during(work: () => Promise<void>, probed = paths()): Promise<unknown> {
      const probe = await probePaths(probed);
      await work();
      await systemClock.sleep(300);
      const { wrong, fewestAttempts } = await probe.stop();
      return { wrong, triedOften: fewestAttempts > 10, holds: await holds() };
    }

    async function agrees(): Promise<void> {
      await expect.poll(() => lab.plan(), patience).toEqual(['IPv4: no change', 'IPv6: no change']);
    }

    const isSpent = async (): Promise<boolean> => {
      const spent = await Promise.all(
        [restore.IPv4, restore.IPv6, 'ipset'].map((tool) => tools.isSpent(tool)),
      );
      return spent.every(Boolean);
    };

    async function complaint(weir: WeirProcess): Promise<void> {
      await weir.waitForLine(/rules not written/);
    }

    test('stays forbidden while the agent is not there and when it comes back', async () => {
      const seen = await during(async () => {
        await lab.killAll();
        const second = await lab.start();
        await second.stop();
        await lab.start();
      });
      expect(seen).toEqual(nothingOpened);
    });

    test('stays forbidden when the agent is killed while it writes', async () => {
      await lab.killAll();
      const seen = await during(async () => {
        for (const [index, waitMs] of [0, 30, 60, 120, 250].entries()) {
          await lab.save('policies', friendsPolicy, ...many(index % 2 === 0 ? 150 : 20));
          const before = (await tools.calls()).length;
          const weir = lab.launch();
          const writes = async () =>
            (await tools.calls()).slice(before).filter((call) => call.includes('restore')).length;
          await expect.poll(writes, { timeout: 30_000, interval: 5 }).toBeGreaterThan(0);
          await systemClock.sleep(waitMs);
          await weir.kill();
        }
        await lab.save('policies', friendsPolicy);
        await lab.start();
        await agrees();
      });
      expect(seen).toEqual(nothingOpened);
    });

    test('stays forbidden when restores fail, or are killed', async () => {
      const weir = await restarted();
      // After a failure what is allowed may be closed for a moment: closed, never open.
      const forbiddenOnly = { ...paths(), allowed: [] };
      const seen = await during(async () => {
        await Promise.all([tools.fail(restore.IPv4, 2), tools.fail(restore.IPv6, 2), tools.fail('ipset', 1)]);
        await lab.save('policies', policyManifest('friends', friendsInOtherWords), ...many(20));
        await complaint(weir);
        await expect.poll(isSpent, patience).toBe(true);
        await agrees();
        await Promise.all([restore.IPv4, restore.IPv6].map((tool) => tools.killAfterCommit(tool, 0)));
        await lab.save('policies', friendsPolicy, ...many(5));
        await expect.poll(isSpent, patience).toBe(true);
        await agrees();
        await Promise.all([restore.IPv4, restore.IPv6].map((tool) => tools.killAfterCommit(tool, 1)));
        await lab.save('policies', policyManifest('friends', friendsInOtherWords));
        await expect.poll(isSpent, patience).toBe(true);
        await agrees();
      }, forbiddenOnly);
      expect(seen).toEqual(nothingOpened);
    });

    /** Somebody swaps every set of ours for one that has no room left; rules look into them. Returns their names. */
    async function leaveNoRoom(): Promise<readonly SetName[]> {
      const { ownSets } = nodeRules({ IPv4: '', IPv6: '' }, (await lab.node.run('ipset', ['save'])).stdout);
      const lines = Object.entries(ownSets).flatMap(([set, [create = '', ...adds]]) => [
        create.replace(set, 'SMALL').replace(/maxelem \d+/, `maxelem ${Math.max(1, adds.length)}`),
        ...adds.map((line) => line.replace(set, 'SMALL')),
        `swap SMALL ${set}`,
        'destroy SMALL',
      ]);
      await lab.node.run('ipset', ['restore'], { input: `${lines.join('\n')}\n` });
      return Object.keys(ownSets).map((set) => setName(set));
    }

    /** Sets of ours that are too small or temporary. */
    async function oddSets(): Promise<readonly string[]> {
      const lines = (await lab.node.run('ipset', ['save'])).stdout.split('\n');
      return lines.filter(
        (line) =>
          /^create WEIR-[46]-/.test(line) && (line.includes('-TEMP-') || !line.includes(' maxelem 1048576')),
      );
    }

    test('stays forbidden while sets that are too small are made anew, also when that is cut short', async () => {
      const seen = await during(async () => {
        await lab.killAll();
        const names = await leaveNoRoom();
        expect(names.length).toBeGreaterThan(10);
        const weir = await lab.start();
        for (const name of names)
          expect(weir.lines.filter((line) => line.includes(`set ${name} had room for`))).toHaveLength(1);
        expect(await oddSets()).toEqual([]);
        for (const linesRead of [1, 3, 4]) {
          await lab.killAll();
          await leaveNoRoom();
          await tools.killAfterLines('ipset', linesRead);
          const cut = lab.launch();
          await complaint(cut);
          await agrees();
          expect(await oddSets()).toEqual([]);
        }
        // What somebody leaves who is killed over it, and more.
        await lab.killAll();
        const left = (await leaveNoRoom()).flatMap((name) => {
          const family = name.startsWith('WEIR-6-') ? 'IPv6' : 'IPv4';
          const temporary = temporarySet({ name, family });
          const inet = family === 'IPv6' ? 'inet6' : 'inet';
          return [
            `create ${temporary} hash:ip family ${inet} maxelem 7`,
            `add ${temporary} ${lab.pod('stranger').address(family)}`,
          ];
        });
        await lab.node.run('ipset', ['restore'], { input: `${left.join('\n')}\n` });
        await lab.start();
        expect(await oddSets()).toEqual([]);
        await agrees();
      });
      expect(seen).toEqual(nothingOpened);
    });

    async function restarted(): Promise<WeirProcess> {
      await lab.killAll();
      return lab.start();
    }

    test('stays forbidden while policies are replaced by others that forbid it too', async () => {
      const seen = await during(async () => {
        for (const [name, spec] of [
          ['friends', friendsInOtherWords],
          ['others', friendsOnly],
          ['friends', friendsOnly],
        ] as const) {
          await lab.save('policies', policyManifest(name, spec));
          await agrees();
        }
        // One that says nothing new comes and goes; so does one for each direction.
        const oneEach = [
          policyManifest('in', { ...friendsOnly, policyTypes: ['Ingress'] }),
          policyManifest('out', { ...friendsOnly, policyTypes: ['Egress'] }),
        ];
        await lab.save('policies', friendsPolicy, ...oneEach, ...many(10));
        await agrees();
        await lab.save('policies', ...oneEach);
        await agrees();
        await lab.save('policies', friendsPolicy);
        await agrees();
      });
      expect(seen).toEqual(nothingOpened);
    });

    test('stays forbidden while the file of the policy is half-saved', async () => {
      const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [friendsPolicy] });
      const weir = await restarted();
      const seen = await during(async () => {
        for (const length of [text.length - 1, text.length / 2, 0]) {
          const from = weir.lines.length;
          await lab.saveText('policies', text.slice(0, length));
          if (length > 0) await weir.waitForLine(/policies\.json/, { from });
          // Other changes go on meanwhile.
          await lab.savePod({
            name: 'late',
            node: 'node-a',
            addresses: [`10.244.1.${100 + (Math.floor(length) % 100)}`],
          });
          await weir.waitForLine(/rules written/, { from });
        }
        await lab.saveText('policies', text);
        await lab.remove('pod-late');
        await agrees();
      });
      expect(seen).toEqual(nothingOpened);
    });

    test('is forbidden to a pod that comes with the address of one that was allowed', async () => {
      const addresses = ['10.244.1.77', 'fd00:10:244:1::77'];
      await lab.world.addPod({ name: 'first', addresses });
      await lab.savePod({ name: 'first', node: 'node-a', labels: { app: 'friend' } });
      await expect.poll(() => triedAll(lab.pod('first'), lab.pod('api')), patience).toBe('api');
      await lab.world.removePod('first');
      await lab.remove('pod-first');
      await agrees();
      const second = await lab.world.addPod({ name: 'second', addresses });
      await listen(second);
      const probe = await probePaths({
        forbidden: [
          [second, lab.pod('api')],
          [lab.pod('api'), second],
        ],
        allowed: paths().allowed,
      });
      await systemClock.sleep(300);
      await lab.savePod({ name: 'second', node: 'node-a', labels: { app: 'stranger' } });
      await expect.poll(() => triedAll(second, lab.pod('stranger')), patience).toBe('stranger');
      await lab.savePod({ name: 'second', node: 'node-a', labels: { app: 'enemy' } });
      await agrees();
      expect((await probe.stop()).wrong).toEqual({});
      await lab.savePod({ name: 'second', node: 'node-a', labels: { app: 'friend' } });
      await expect.poll(() => triedAll(second, lab.pod('api')), patience).toBe('api');
      await lab.remove('pod-second');
      await lab.world.removePod('second');
    });

    test('is everything to a pod that nobody knows yet, and what is allowed passes once it is known', async () => {
      const late = await lab.world.addPod('late');
      await listen(late);
      const probe = await probePaths({
        forbidden: [
          [late, lab.pod('stranger')],
          [lab.pod('stranger'), late],
          [late, lab.outside],
          [lab.outside, late],
          [late, lab.pod('api')],
        ],
        allowed: paths().allowed,
      });
      await systemClock.sleep(500);
      // Its node is its own.
      expect(await triedAll(lab.node, late)).toBe('late');
      expect(await triedAll(late, lab.node)).toBe('node-a');
      expect((await probe.stop()).wrong).toEqual({});
      await lab.savePod({ name: 'late', node: 'node-a' });
      const known = () =>
        Promise.all([
          triedAll(late, lab.pod('stranger')),
          triedAll(lab.pod('stranger'), late),
          triedAll(lab.outside, late),
          triedAll(late, lab.pod('api')),
        ]);
      await expect.poll(known, patience).toEqual(['stranger', 'late', 'late', 'timeout']);
      await lab.remove('pod-late');
      await lab.world.removePod('late');
    });

    test('is nothing to an unknown pod where there is no policy, or the guard is off', async () => {
      await lab.killAll();
      await lab.start('node-a', '--policy-closed-start=off');
      const late = await lab.world.addPod('unguarded');
      await listen(late);
      await expect.poll(() => triedAll(late, lab.pod('stranger')), patience).toBe('stranger');
      expect(await triedAll(lab.pod('stranger'), late)).toBe('unguarded');
      expect(await triedAll(late, lab.pod('api'))).toBe('timeout');
      await lab.killAll();
      await lab.save('policies');
      await lab.start();
      await expect.poll(() => triedAll(late, lab.pod('api')), patience).toBe('api');
      await lab.world.removePod('unguarded');
    });
  });
}
