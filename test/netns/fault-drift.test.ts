import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  backends,
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  families,
  liveServices,
} from '../support/fault-world.ts';
import type { NodeRules } from '../support/node-rules.ts';
import { frontendsOf, servicePort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 60_000, interval: 300 };
const services = Object.values(liveServices);
const allReply = ['reply', 'reply', 'reply', 'reply'];

/** What a CNI plugin and an administrator have on a node. Reads like ours here and there, and is not. */
const foreignLines = [
  '-t filter -N CNI-FORWARD',
  '-t filter -A CNI-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  '-t filter -A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD',
  '-t filter -A INPUT -p tcp -m tcp --dport 22 -m comment --comment "ssh, not -j KUBE-SERVICES" -j ACCEPT',
  '-t filter -A FORWARD -p tcp -m tcp --dport 25 -j REJECT',
  '-t nat -N CNI-HOSTPORT-DNAT',
  '-t nat -N KUBE-HOSTPORTS',
  '-t nat -A KUBE-HOSTPORTS -p tcp -m tcp --dport 4242 -j RETURN',
  '-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
  '-t nat -A PREROUTING -m set --match-set admin-list src -j RETURN',
  '-t nat -A POSTROUTING -o eth9 -m comment --comment "the office" -j MASQUERADE',
  '-t mangle -A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu',
];
const foreignSets = [
  'create admin-list hash:ip family inet',
  'add admin-list 192.0.2.7',
  'create admin-list6 hash:ip family inet6',
  'create KUBE-ADMIN hash:ip,port family inet',
  'add KUBE-ADMIN 192.0.2.8,tcp:80',
];

/** The body of our first jump in a built-in chain. */
type JumpOf = (table: string, builtin: string) => string;

/** Arguments of iptables for each thing that somebody may do in either family. */
const damages: readonly (readonly [string, (jump: JumpOf) => readonly string[]])[] = [
  [
    'jumps are removed',
    (jump) => ['PREROUTING', 'OUTPUT'].map((builtin) => `-t nat -D ${builtin} ${jump('nat', builtin)}`),
  ],
  [
    'jumps are moved behind a bare DROP or ACCEPT',
    (jump) => [
      `-t filter -D FORWARD ${jump('filter', 'FORWARD')}`,
      '-t filter -A FORWARD -j DROP',
      `-t filter -A FORWARD ${jump('filter', 'FORWARD')}`,
      `-t nat -D PREROUTING ${jump('nat', 'PREROUTING')}`,
      '-t nat -A PREROUTING -m comment --comment "that is all" -j ACCEPT',
      `-t nat -A PREROUTING ${jump('nat', 'PREROUTING')}`,
    ],
  ],
  [
    'jumps are there twice',
    (jump) => [
      `-t nat -A PREROUTING ${jump('nat', 'PREROUTING')}`,
      `-t filter -I FORWARD ${jump('filter', 'FORWARD')}`,
    ],
  ],
  ['iptables -F', () => ['-F']],
  ['iptables -t nat -F', () => ['-t nat -F']],
  [
    'all tables are flushed and their chains deleted',
    () => ['filter', 'nat', 'mangle'].flatMap((table) => [`-t ${table} -F`, `-t ${table} -X`]),
  ],
  [
    'chains of ours are flushed, or get a rule of somebody else',
    () => ['-F KUBE-FORWARD', '-t nat -F KUBE-POSTROUTING', '-t nat -I KUBE-SERVICES -j RETURN'],
  ],
];

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend))(`when others change the rules on the ${backend} backend`, () => {
    let faults: FaultWorld;
    let weir: WeirProcess;
    let before: NodeRules;
    let whole: NodeRules;

    beforeAll(async () => {
      faults = await createFaultWorld(backend);
      await faults.node.run('ipset', ['restore'], { input: `${foreignSets.join('\n')}\n` });
      for (const family of families) {
        const ofFamily =
          family === 'IPv4'
            ? foreignLines
            : foreignLines.map((line) => line.replace('admin-list', 'admin-list6'));
        await faults.iptables(family, ...ofFamily);
      }
      before = await faults.rules();
      await faults.setServices(services);
      weir = await faults.start();
      whole = await faults.rules();
    });
    afterAll(() => faults.dispose());

    const jumpOf =
      (family: string): JumpOf =>
      (table, builtin) =>
        (whole.own[`${family} ${table} ${builtin}`]?.[0] ?? '').replace(`-A ${builtin} `, '');

    async function damage(lines: (family: 'IPv4' | 'IPv6') => readonly string[]): Promise<void> {
      for (const family of families) await faults.iptables(family, ...lines(family));
    }

    /** Ours as it was; what others had just after the damage as it was then. */
    async function repaired(): Promise<NodeRules> {
      const { foreign, foreignSets } = await faults.rules();
      return { own: whole.own, ownSets: whole.ownSets, foreign, foreignSets };
    }

    /** Connections that KUBE-FORWARD accepts itself, whatever else is in FORWARD: from outside, and of a pod to itself. */
    async function answers(): Promise<readonly string[]> {
      const attempts = families.flatMap((family) => {
        const { clusterIP } = frontendsOf(liveServices.alone.number, family);
        const to = { protocol: 'tcp', address: clusterIP, port: servicePort } as const;
        return [faults.outside, faults.pod('a')].map((client) => client.connect(to));
      });
      return (await Promise.all(attempts)).map(({ kind }) => kind);
    }

    test('what others had is there as before', () => {
      expect({ ...whole, own: {}, ownSets: {} }).toEqual({ ...before, own: {}, ownSets: {} });
    });

    test.each(damages)('%s: repaired, and nothing else is touched', async (_, lines) => {
      await damage((family) => lines(jumpOf(family)));
      await expect.poll(() => faults.rules(), patience).toEqual(await repaired());
      expect(await answers()).toEqual(allReply);
    });

    test('the chain of a Service that is deleted, and all that leads to it, come back', async () => {
      await damage((family) => {
        const [, , chain = ''] = ownChains(whole, `${family} nat KUBE-SVC-`).at(-1)?.split(' ') ?? [];
        const leading = ownChains(whole, `${family} nat KUBE-`)
          .filter((key) => whole.own[key]?.some((line) => line.endsWith(` -j ${chain}`)) === true)
          .map((key) => key.split(' ')[2]);
        return [...leading, chain].map((name) => `-t nat -F ${name}`).concat(`-t nat -X ${chain}`);
      });
      await expect.poll(() => faults.rules(), patience).toEqual(await repaired());
      expect(await answers()).toEqual(allReply);
    });

    test('sets that are emptied, and a member that is put in, are put right', async () => {
      const used = Object.entries(whole.ownSets).filter(([, lines]) => lines.length > 1);
      const flushes = used.map(([set]) => `ipset flush ${set}`);
      const adds = used.map(
        ([set, lines]) => `ipset add ${set} ${(lines[1] ?? '').split(' ')[2]?.replace(/:\d+/, ':9')}`,
      );
      await faults.node.run('sh', ['-ec', [...flushes, ...adds].join('\n')]);
      await expect.poll(() => faults.rules(), patience).toEqual(await repaired());
      expect(await answers()).toEqual(allReply);
    });

    test('everything gone, sets as well, comes back', async () => {
      await damage(() => ['filter', 'nat'].flatMap((table) => [`-t ${table} -F`, `-t ${table} -X`]));
      const sets = Object.keys(whole.ownSets).map((set) => `ipset destroy ${set} || true`);
      await faults.node.run('sh', ['-c', sets.join('\n')]);
      await expect.poll(() => faults.rules(), patience).toEqual(await repaired());
      expect(await answers()).toEqual(allReply);
    });

    test('a chain of somebody else that leads to a Service keeps that chain, and no sync fails for it', async () => {
      const { clusterIP } = frontendsOf(liveServices.shop.number, 'IPv4');
      const toShop = { protocol: 'tcp', address: clusterIP, port: servicePort, timeoutMs: 500 } as const;
      for (const family of families) {
        const chains = ownChains(whole, `${family} nat KUBE-EXT-`).map(
          (key) => `-t nat -A ADMIN -j ${key.split(' ')[2]}`,
        );
        await faults.iptables(family, '-t nat -N ADMIN', ...chains);
      }
      const { foreign } = await faults.rules();
      await faults.setServices(services.filter(({ name }) => name !== 'shop'));
      await expect.poll(() => faults.pod('c').connect(toShop), patience).toMatchObject({ kind: 'timeout' });
      const unchanged = ['IPv4: no change', 'IPv6: no change'];
      await expect.poll(async () => (await faults.plan()).lines, patience).toEqual(unchanged);
      expect((await faults.rules()).foreign).toEqual(foreign);
      // That somebody refers to a chain is learnt from the refusal, once in each family.
      expect(weir.lines.filter((line) => /rules not written/.test(line)).length).toBeLessThanOrEqual(2);

      await damage(() => ['-t nat -F ADMIN', '-t nat -X ADMIN']);
      await faults.setServices(services);
      await expect.poll(() => faults.rules(), patience).toEqual(await repaired());
      expect(await answers()).toEqual(allReply);
    });

    test('it ends in order, and leaves the rules', async () => {
      expect(weir.lines.filter((line) => /crash|TypeError|WEIR_BUG/i.test(line))).toEqual([]);
      expect(await weir.stop()).toEqual({ code: 0, signal: null });
      expect((await faults.rules()).own).toEqual(whole.own);
    });
  });
}

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend))(`a FORWARD policy of DROP on the ${backend} backend`, () => {
    let faults: FaultWorld;

    beforeAll(async () => {
      faults = await createFaultWorld(backend);
      for (const family of families) await faults.iptables(family, '-P FORWARD DROP');
      await faults.setServices(services);
      await faults.start();
    });
    afterAll(() => faults.dispose());

    test.each(families)(
      'lets masqueraded and hairpin Service traffic over %s through, and nothing else',
      async (family) => {
        const { nodePort } = frontendsOf(liveServices.shop.number, family);
        const { clusterIP } = frontendsOf(liveServices.alone.number, family);
        const throughNode = {
          protocol: 'tcp',
          address: faults.node.address(family),
          port: nodePort,
        } as const;
        expect(await faults.outside.connect(throughNode)).toMatchObject({ kind: 'reply' });
        const itself = { protocol: 'tcp', address: clusterIP, port: servicePort } as const;
        expect(await faults.pod('a').connect(itself)).toMatchObject({ kind: 'reply', name: 'a' });
        expect(await faults.outside.connect(itself)).toMatchObject({ kind: 'reply', name: 'a' });
        const direct = {
          protocol: 'tcp',
          address: faults.pod('a').address(family),
          port: 8080,
          timeoutMs: 400,
        } as const;
        expect(await faults.outside.connect(direct)).toMatchObject({ kind: 'timeout' });
      },
    );

    test('stays what the administrator made it', async () => {
      for (const family of families)
        expect(await faults.save(family, '-t', 'filter')).toMatch(/^:FORWARD DROP/m);
    });
  });
}

function ownChains(rules: NodeRules, prefix: string): readonly string[] {
  return Object.keys(rules.own)
    .filter((key) => key.startsWith(prefix))
    .toSorted();
}
