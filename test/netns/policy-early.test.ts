import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../pkg/runtime/index.ts';
import { CniResults, cniResultText } from '../support/cni-results.ts';
import { backends, canRunFaults, families } from '../support/fault-world.ts';
import { type Path, probePaths } from '../support/forbidden-probe.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { createPolicyLab, listen, type PolicyLab, triedAll } from '../support/policy-lab.ts';
import { app, podManifest, policyManifest } from '../support/policy-manifests.ts';
import { rotating } from '../support/rotating.ts';
import { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 30_000, interval: 50 };

/** Friends may talk with the API, and the API with friends; nobody else with it, nor it with anybody else. */
const friendsPolicy = policyManifest('friends', {
  podSelector: app('api'),
  policyTypes: ['Ingress', 'Egress'],
  ingress: [{ from: [{ podSelector: app('friend') }] }],
  egress: [{ to: [{ podSelector: app('friend') }] }],
});
/** Only friends reach a pod called `new`. */
const newPolicy = policyManifest('new', {
  podSelector: app('new'),
  policyTypes: ['Ingress'],
  ingress: [{ from: [{ podSelector: app('friend') }] }],
});

/** A process that holds what only one Weir of a node may, and does nothing. */
async function holdClaim(namespace: string): Promise<WeirProcess> {
  const script =
    "require('node:net').createServer().listen('\\0weir-node-agent', () => console.log('holds the claim'))";
  const holder = new WeirProcess(namespace, [], {}, [process.execPath, '--eval', script]);
  await holder.waitForLine(/holds the claim/);
  return holder;
}

for (const backend of rotating('policy-early', backends)) {
  describe.skipIf(!canRunFaults(backend))(`before the API tells, on the ${backend} backend,`, () => {
    let lab: PolicyLab;
    let cni: CniResults;
    let stateDir: string;
    let api: NetworkNamespace;
    let friend: NetworkNamespace;
    let stranger: NetworkNamespace;
    const extra: string[] = [];

    beforeAll(async () => {
      cni = await CniResults.create();
      stateDir = await mkdtemp(join(tmpdir(), 'weir-state-'));
      lab = await createPolicyLab(backend, {
        nodes: [{ name: 'node-a', pods: ['api', 'friend', 'stranger'] }],
        clients: ['outside'],
      });
      [api, friend, stranger] = [lab.pod('api'), lab.pod('friend'), lab.pod('stranger')];
    });
    afterAll(async () => {
      await lab.dispose();
      await cni.dispose();
      await rm(stateDir, { recursive: true, force: true });
    });
    beforeEach(() => lab.save('policies', friendsPolicy, newPolicy));
    afterEach(async () => {
      await lab.killAll();
      await Promise.all(extra.splice(0).map((name) => lab.world.removePod(name)));
    });

    async function addPod(name: string, addresses?: readonly string[]): Promise<NetworkNamespace> {
      const pod = await lab.world.addPod(addresses === undefined ? name : { name, addresses });
      extra.push(name);
      await listen(pod);
      return pod;
    }

    /** As the API shows a pod from its scheduling until the kubelet's first report. */
    async function savePending(name: string, label: string): Promise<void> {
      const manifest = podManifest({ name, node: 'node-a', labels: { app: label }, addresses: [] });
      await lab.save(`pod-${name}`, { ...manifest, status: { phase: 'Pending' } });
    }

    function outcomes(...paths: readonly Path[]): Promise<readonly string[]> {
      return Promise.all(paths.map(([from, to]) => triedAll(from, to)));
    }

    function holds(): Promise<readonly string[]> {
      return outcomes([stranger, api], [lab.outside, api], [api, stranger], [friend, api], [api, friend]);
    }
    const held = ['timeout', 'timeout', 'timeout', 'api', 'friend'];
    const closed = ['timeout', 'timeout', 'timeout', 'timeout', 'timeout'];
    const open = ['api', 'api', 'stranger', 'api', 'friend'];

    /** Every set with its members. */
    async function sets(): Promise<readonly string[]> {
      const { stdout } = await lab.node.run('ipset', ['save']);
      return stdout.split('\n').toSorted();
    }

    async function agrees(): Promise<void> {
      const differences = async () => (await lab.plan()).filter((line) => !line.startsWith('hint: '));
      await expect.poll(differences, patience).toEqual(['IPv4: no change', 'IPv6: no change']);
    }

    describe('a pod of which the runtime tells', () => {
      let weir: WeirProcess;

      beforeEach(async () => {
        weir = await lab.start('node-a', `--cni-cache-dir=${cni.folder}`);
        await expect.poll(holds, patience).toEqual(held);
      });

      test('has its policies at once: what is allowed passes, what is forbidden never does', async () => {
        await savePending('early', 'new');
        const early = await addPod('early');
        const forbidden: readonly Path[] = [
          [stranger, early],
          [lab.outside, early],
          [early, api],
          [api, early],
        ];
        const allowed: readonly Path[] = [
          [friend, early],
          [early, stranger],
          [early, friend],
        ];
        const always = await probePaths({ forbidden, allowed: [[friend, api]] });
        const untilTold = await probePaths({ forbidden: allowed, allowed: [] });
        await systemClock.sleep(300);
        expect((await untilTold.stop()).wrong).toEqual({});
        await cni.add({ pod: 'early', addresses: early.addresses });
        const toldOf = () => outcomes(...allowed);
        await expect.poll(toldOf, patience).toEqual(['early', 'stranger', 'friend']);
        // The API and the runtime say the same by and by, then only the API does.
        await lab.savePod({ name: 'early', node: 'node-a', labels: { app: 'new' } });
        await agrees();
        const before = await sets();
        await cni.remove('early');
        await systemClock.sleep(300);
        expect(await toldOf()).toEqual(['early', 'stranger', 'friend']);
        expect(await sets()).toEqual(before);
        const { wrong, fewestAttempts } = await always.stop();
        expect({ wrong, triedOften: fewestAttempts > 10 }).toEqual({ wrong: {}, triedOften: true });
        await lab.remove('pod-early');
      });

      test('stays closed while the file is half-written or is of something else', async () => {
        await savePending('early', 'new');
        const early = await addPod('early');
        const { addresses } = early;
        const before = await sets();
        const probe = await probePaths({
          forbidden: [
            [friend, early],
            [early, stranger],
            [stranger, early],
          ],
          allowed: [[friend, api]],
        });
        const text = cniResultText({ pod: 'early', addresses });
        const file = 'cbr0-container-early-eth0';
        for (const length of [0, 1, text.length / 2, text.length - 1]) {
          await cni.writeText(file, text.slice(0, length));
          await systemClock.sleep(50);
        }
        await cni.add({ pod: 'early', addresses: ['127.0.0.1', 'fe80::1'] });
        await cni.add({ pod: 'early', addresses, interfaceName: 'net1' });
        await cni.add({ pod: 'early', addresses, uid: 'uid-of-one-before-it' });
        await cni.writeText('cbr0-container-other-eth0', '{"kind":"another","result":{}}');
        await cni.writeText('early', text);
        await systemClock.sleep(200);
        expect((await probe.stop()).wrong).toEqual({});
        expect(await sets()).toEqual(before);
        expect(weir.lines.filter((line) => line.includes('CNI') || line.includes(cni.folder))).toEqual([]);
        await cni.writeText(file, text);
        await expect.poll(() => outcomes([friend, early]), patience).toEqual(['early']);
        expect(await outcomes([stranger, early])).toEqual(['timeout']);
        await cni.remove('early');
        await lab.remove('pod-early');
      });

      test('has nothing of the pod that the API still lists with its address', async () => {
        const addresses = ['10.244.1.77', 'fd00:10:244:1::77'];
        const old = await addPod('old', addresses);
        await cni.add({ pod: 'old', addresses });
        await lab.savePod({ name: 'old', node: 'node-a', labels: { app: 'friend' } });
        await expect.poll(() => outcomes([old, api], [api, old]), patience).toEqual(['api', 'old']);
        await cni.remove('old');
        await lab.world.removePod('old');
        extra.splice(extra.indexOf('old'), 1);

        const from = weir.lines.length;
        await cni.add({ pod: 'heir', addresses });
        await weir.waitForLine(/rules written/, { from });
        const heir = await addPod('heir', addresses);
        const probe = await probePaths({
          forbidden: [
            [heir, api],
            [api, heir],
          ],
          allowed: [[friend, api]],
        });
        // Nobody knows more of it than that the address is not the old one's.
        expect(await outcomes([heir, stranger], [stranger, heir])).toEqual(['timeout', 'timeout']);
        await savePending('heir', 'stranger');
        const known = () => outcomes([heir, stranger], [stranger, heir], [heir, api]);
        await expect.poll(known, patience).toEqual(['stranger', 'heir', 'timeout']);

        const before = await sets();
        await lab.remove('pod-old');
        await systemClock.sleep(300);
        expect(await sets()).toEqual(before);
        expect(await known()).toEqual(['stranger', 'heir', 'timeout']);
        await lab.savePod({ name: 'heir', node: 'node-a', labels: { app: 'stranger' } });
        await agrees();
        const { wrong, fewestAttempts } = await probe.stop();
        expect({ wrong, triedOften: fewestAttempts > 10 }).toEqual({ wrong: {}, triedOften: true });
        expect(await known()).toEqual(['stranger', 'heir', 'timeout']);
        await cni.remove('heir');
        await lab.remove('pod-heir');
      });
    });

    describe('a node that boots', () => {
      const stateFile = (): string => join(stateDir, 'boot-guard.json');
      const bootFlags = () => ['--policy-closed-start=boot', `--state-dir=${stateDir}`];
      const guarded = /pod ranges are closed until the policies are known/;

      let idle: WeirProcess | undefined;

      afterEach(endIdle);

      async function forgetConnections(): Promise<void> {
        await lab.node.run('conntrack', ['-F']);
      }

      /** What a reboot leaves of Weir: the state folder. */
      async function reboot(): Promise<void> {
        await lab.killAll();
        for (const tool of families.map((family) => lab.tool(family))) {
          for (const table of ['filter', 'nat']) {
            await lab.node.run(tool, ['-w', '30', '-t', table, '-F']);
            await lab.node.run(tool, ['-w', '30', '-t', table, '-X']);
          }
        }
        await lab.node.run('ipset', ['destroy']);
        await forgetConnections();
      }

      /** Starts Weir where it has to wait before its first sync, for another one that does nothing. */
      async function launchWaiting(): Promise<WeirProcess> {
        idle ??= await holdClaim(lab.node.namespace);
        const weir = lab.launch('node-a', ...bootFlags());
        await weir.waitForLine(/another Weir/);
        return weir;
      }

      async function letGo(weir: WeirProcess): Promise<void> {
        await endIdle();
        await weir.waitForLine(/\bready:/, { timeoutMs: 60_000 });
      }

      async function endIdle(): Promise<void> {
        await idle?.kill();
        idle = undefined;
      }

      async function runOnce(): Promise<void> {
        await lab.start('node-a', ...bootFlags());
        await expect.poll(holds, patience).toEqual(held);
      }

      test('is closed until the policies are known, when there were some', async () => {
        await runOnce();
        await reboot();
        expect(await holds()).toEqual(open);
        await forgetConnections();
        const weir = await launchWaiting();
        expect(weir.lines.filter((line) => guarded.test(line))).toEqual([
          expect.stringContaining('IPv4 and IPv6'),
        ]);
        const probe = await probePaths({
          forbidden: [
            [stranger, api],
            [lab.outside, api],
            [api, stranger],
          ],
          allowed: [],
        });
        expect(await holds()).toEqual(closed);
        expect(await outcomes([lab.node, api], [api, lab.node])).toEqual(['api', 'node-a']);
        await letGo(weir);
        await expect.poll(holds, patience).toEqual(held);
        const { wrong, fewestAttempts } = await probe.stop();
        expect({ wrong, triedOften: fewestAttempts > 10 }).toEqual({ wrong: {}, triedOften: true });
        await agrees();
      });

      test('is closed as well when it goes down again before the policies were known', async () => {
        await runOnce();
        for (let boots = 0; boots < 2; boots++) {
          await reboot();
          await launchWaiting();
          expect(await holds()).toEqual(closed);
          await endIdle();
        }
      });

      test('is open when there were no policies at last', async () => {
        await runOnce();
        await lab.save('policies');
        const kept = async (): Promise<unknown> => JSON.parse(await readFile(stateFile(), 'utf8'));
        await expect.poll(kept, patience).toMatchObject({ policiesExist: false });
        await reboot();
        const weir = await launchWaiting();
        expect(await holds()).toEqual(open);
        await letGo(weir);
        expect(await holds()).toEqual(open);
        expect(weir.lines.filter((line) => guarded.test(line))).toEqual([]);
      });

      test.each([
        '{"policiesExist":tr',
        '{"policiesExist":true,"ranges":"10.244.1.0/24"}',
        '{"policiesExist":true,"ranges":["nonsense"]}',
        '',
      ])('does without a state that says %j, and keeps a good one', async (text) => {
        await reboot();
        await writeFile(stateFile(), text);
        const weir = await launchWaiting();
        expect(await holds()).toEqual(open);
        await letGo(weir);
        await forgetConnections();
        await expect.poll(holds, patience).toEqual(held);
        expect(JSON.parse(await readFile(stateFile(), 'utf8'))).toEqual({
          policiesExist: true,
          ranges: lab.world.podCidrs('node-a'),
        });
      });

      test('is not closed further where the rules of the last run still hold', async () => {
        await runOnce();
        const probe = await probePaths({ forbidden: [[stranger, api]], allowed: [[friend, api]] });
        await lab.killAll();
        const weir = await launchWaiting();
        expect(await holds()).toEqual(held);
        await letGo(weir);
        expect(weir.lines.filter((line) => guarded.test(line))).toEqual([]);
        expect((await probe.stop()).wrong).toEqual({});
      });
    });
  });
}
