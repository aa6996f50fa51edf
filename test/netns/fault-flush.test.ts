import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  backends,
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  families,
  liveServices,
} from '../support/fault-world.ts';
import { FaultyTools } from '../support/faulty-tools.ts';
import type { NodeRules } from '../support/node-rules.ts';
import { app, namespaceManifest, podManifest, policyManifest } from '../support/policy-manifests.ts';
import { childrenOf } from '../support/process-facts.ts';
import { rotating } from '../support/rotating.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 110_000, interval: 300 };
type Family = (typeof families)[number];

/** What the rules of a family are, by `table chain`. */
type RulesOf = (family: Family) => (chain: string) => readonly string[];

/** Arguments of iptables, in each family, for each way in which somebody may take rules away. */
const damages: readonly (readonly [string, (rulesOf: ReturnType<RulesOf>) => readonly string[]])[] = [
  ['nat is flushed', () => ['-t nat -F']],
  ['filter is flushed', () => ['-F']],
  ['both are flushed, and their chains deleted', () => ['-t nat -F', '-t nat -X', '-F', '-X']],
  ['the chain of all policies is flushed', () => ['-F WEIR-FORWARD']],
  ['the chain of a profile is flushed', () => ['-F WEIR-INGRESS']],
  ['a chain of Services in filter is flushed', () => ['-F KUBE-FORWARD']],
  [
    'the way into the policies is taken away',
    (rulesOf) => [deletion('filter FORWARD', 'WEIR-FORWARD', rulesOf)],
  ],
  ['a jump of PREROUTING is taken away', (rulesOf) => [deletion('nat PREROUTING', 'KUBE-SERVICES', rulesOf)]],
  // What follows leaves no trace where a quick check looks.
  ['a jump of OUTPUT is taken away', (rulesOf) => [deletion('nat OUTPUT', 'KUBE-SERVICES', rulesOf)]],
  ['the chain that dispatches is flushed', () => ['-t nat -F KUBE-SERVICES']],
  ['a rule is put in front of the others in nat', () => ['-t nat -I KUBE-POSTROUTING -j RETURN']],
  [
    'the chain of one Service is flushed',
    (rulesOf) => [`-t nat -F ${/-j (KUBE-SVC-\S+)/.exec(rulesOf('nat KUBE-SERVICES').join('\n'))?.[1]}`],
  ],
];

function deletion(chain: string, target: string, rulesOf: ReturnType<RulesOf>): string {
  const [table = ''] = chain.split(' ');
  const rule = rulesOf(chain).find((line) => line.endsWith(` -j ${target}`)) ?? '';
  return `-t ${table} ${rule.replace('-A', '-D')}`;
}

for (const backend of rotating('fault-flush', backends)) {
  describe.skipIf(!canRunFaults(backend))(`a flush on the ${backend} backend`, () => {
    let faults: FaultWorld;
    let weir: WeirProcess;
    let whole: NodeRules;
    let saved: Readonly<Record<Family, string>>;

    beforeAll(async () => {
      faults = await createFaultWorld(backend);
      saved = { IPv4: await faults.save('IPv4'), IPv6: await faults.save('IPv6') };
      const pod = faults.pod('c');
      await faults.setServices(Object.values(liveServices), [
        namespaceManifest(),
        podManifest({ name: 'c', node: 'node-a', addresses: pod.addresses, labels: { app: 'c' } }),
        policyManifest('closed', { podSelector: app('c'), policyTypes: ['Ingress', 'Egress'] }),
      ]);
      // Whatever is repaired is found by a quick check or by the signal: everything is compared long after the test.
      weir = await faults.start('--iptables-sync-period', '10m');
      await weir.waitForLine(/every change of the rules is signalled/);
      whole = await faults.rules();
    });
    afterAll(() => faults.dispose());

    const rulesOf: RulesOf = (family) => (chain) => whole.own[`${family} ${chain}`] ?? [];

    /** What made Weir read the kernel since that line of its log. */
    function reasonsSince(line: number): readonly string[] {
      return weir.lines.slice(line).flatMap((text) => /reading the kernel: (.*)/.exec(text)?.[1] ?? []);
    }

    async function expectRepair(from: number): Promise<void> {
      await expect.poll(() => faults.rules(), patience).toEqual(whole);
      expect(reasonsSince(from)).toContainEqual(
        expect.stringMatching(/^(somebody else changed|changes were not signalled) /),
      );
    }

    test.each(damages)('%s: noticed and repaired', async (_, lines) => {
      const from = weir.lines.length;
      for (const family of families) await faults.iptables(family, ...lines(rulesOf(family)));
      await expectRepair(from);
    });

    test('a whole table that somebody restores as it was before: noticed and repaired', async () => {
      const from = weir.lines.length;
      for (const family of families) {
        const input = ['filter', 'nat'].map((table) => sectionOf(saved[family], table)).join('');
        await faults.node.run(faults.tool(family, '-restore'), ['-w', '30'], { input });
      }
      await expectRepair(from);
    });

    test.each([
      ['is emptied', (set: string) => `ipset flush ${set}`],
      ['loses a member', (set: string, member: string) => `ipset del ${set} ${member}`],
    ])('a set that %s: noticed and repaired', async (_, command) => {
      const from = weir.lines.length;
      const used = Object.entries(whole.ownSets).filter(([, lines]) => lines.length > 1);
      const commands = used.map(([set, lines]) => command(set, lines[1]?.split(' ')[2] ?? ''));
      await faults.node.run('sh', ['-ec', commands.join('\n')]);
      await expectRepair(from);
    });

    test('none of it is taken for an error, and afterwards plan has nothing to do', async () => {
      expect(weir.lines.filter((line) => /TypeError|WEIR_BUG/.test(line))).toEqual([]);
      expect(await faults.plan()).toMatchObject({ code: 0 });
    });

    // On legacy the canary has to be written again after a flush.
    test.runIf(backend === 'nft')(
      'the signal works to the end, and is replaced by quick checks when it dies',
      async () => {
        expect(weir.lines.filter((line) => /are not signalled/.test(line))).toEqual([]);
        const from = weir.lines.length;
        process.kill(listeningProgram(weir.pid), 'SIGKILL');
        await weir.waitForLine(/the program that listens has ended/, { from });
        for (const family of families) await faults.iptables(family, '-t nat -F', '-F');
        await expectRepair(from);
      },
    );

    test('cleanup takes everything away again, what signals changes included', async () => {
      await weir.stop();
      expect(await faults.cleanup()).toMatchObject({ code: 0 });
      const saved = await Promise.all(families.map((family) => faults.save(family)));
      expect(saved.join('\n').match(/^.*WEIR-.*$/gm)).toBeNull();
    });
  });

  describe.skipIf(!canRunFaults(backend))(`on the ${backend} backend without a signal`, () => {
    let faults: FaultWorld;

    beforeAll(async () => {
      faults = await createFaultWorld(backend);
    });
    afterAll(() => faults.dispose());

    test('says so, and notices a flush by quick checks', async () => {
      const release = await preventSignal(faults);
      try {
        await faults.setServices(Object.values(liveServices));
        const weir = await faults.start('--iptables-sync-period', '10m');
        await weir.waitForLine(/Changes by others are looked for by a quick check every 1.5 s instead/);
        const whole = await faults.rules();
        for (const lines of [['-t nat -F'], ['-F']]) {
          for (const family of families) await faults.iptables(family, ...lines);
          await expect.poll(() => faults.rules(), patience).toEqual(whole);
        }
        expect(weir.lines.filter((line) => /are signalled|is signalled|ERROR/.test(line))).toEqual([]);
      } finally {
        await release();
      }
    });
  });
}

/** The program that listens fails; packets of the canary are dropped. */
async function preventSignal(faults: FaultWorld): Promise<() => Promise<void>> {
  if (faults.backend === 'legacy') {
    for (const family of families) await faults.iptables(family, '-t raw -A OUTPUT -o lo -p udp -j DROP');
    return async () => undefined;
  }
  const program = 'xtables-nft-multi';
  const tools = await FaultyTools.mount([program]);
  await tools.refuse(program, { exitCode: 1, words: `${program}: no such applet` });
  return () => tools.unmount();
}

/** Behind its shell. */
function listeningProgram(weir: number): number {
  const shell = childrenOf(weir).find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('xtables-monitor'),
  );
  const [program] = shell === undefined ? [] : childrenOf(shell);
  if (program === undefined) throw new Error('no program listens');
  return program;
}

/** One table of what iptables-save prints, or an empty one. */
function sectionOf(saved: string, table: string): string {
  return new RegExp(`^\\*${table}\\n.*?^COMMIT\\n`, 'msu').exec(saved)?.[0] ?? `*${table}\nCOMMIT\n`;
}
