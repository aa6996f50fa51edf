import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import { capabilities } from '../support/capabilities.ts';
import {
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  families,
  liveServices,
} from '../support/fault-world.ts';
import { type ForeignRules, foreignRule, foreignRules, nftFamily } from '../support/foreign-nft.ts';
import { app, namespaceManifest, podManifest, policyManifest } from '../support/policy-manifests.ts';
import { rotating } from '../support/rotating.ts';
import { frontendsOf, type Manifest, servicePort, targetPort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 60_000, interval: 300 };
const { shop, alone } = liveServices;

describe.skipIf(!canRunFaults('nft') || !capabilities.nft)('beside rules that iptables cannot print', () => {
  let faults: FaultWorld;

  beforeAll(async () => {
    faults = await createFaultWorld('nft');
  });
  afterAll(() => faults.dispose());
  beforeEach(() => setCluster({ services: [shop], closed: ['b'] }));
  afterEach(async () => {
    await faults.killAll();
    await nft('flush ruleset\n');
    await faults.wipe();
  });

  const nft = async (script: string): Promise<unknown> =>
    faults.node.run('nft', ['-f', '-'], { input: script });

  /** The chain of these rules as nft shows it. */
  async function listed(
    family: Family,
    { table, chain }: ForeignRules,
    ...options: readonly string[]
  ): Promise<string> {
    const words = [...options, 'list', 'chain', nftFamily(family), table, chain];
    return (await faults.node.run('nft', words)).stdout;
  }

  interface Cluster {
    readonly services: readonly (typeof shop | typeof alone)[];
    /** Pods that a policy closes. */
    readonly closed: readonly string[];
  }

  function setCluster({ services, closed }: Cluster): Promise<void> {
    const pods = (['a', 'b', 'c'] as const).map((name) =>
      podManifest({ name, node: 'node-a', addresses: faults.pod(name).addresses }),
    );
    const policies = closed.map(
      (name): Manifest =>
        policyManifest(`close-${name}`, { podSelector: app(name), policyTypes: ['Ingress'] }),
    );
    // Its endpoints are pods a and b; those of `alone` only a.
    const open = services.map((service) => ({ ...service, pods: ['a'] as const }));
    return faults.setServices(open, [namespaceManifest(), ...pods, ...policies]);
  }

  /** What pod c gets from a Service and from the pods themselves, over both families. */
  async function reached(): Promise<Readonly<Record<string, string>>> {
    const ask = async (name: string, family: Family, address: string, port: number) => {
      const to = { protocol: 'tcp', address, port, timeoutMs: 1000 } as const;
      return [`${name} ${family}`, (await faults.pod('c').connect(to)).kind] as const;
    };
    const attempts = families.flatMap((family) => [
      ...[shop, alone].map((service) =>
        ask(service.name, family, frontendsOf(service.number, family).clusterIP, servicePort),
      ),
      ...(['a', 'b'] as const).map((pod) => ask(pod, family, faults.pod(pod).address(family), targetPort)),
    ]);
    return Object.fromEntries(await Promise.all(attempts));
  }

  /** The same over both families. */
  function both(kinds: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    return Object.fromEntries(
      Object.entries(kinds).flatMap(([name, kind]) => families.map((family) => [`${name} ${family}`, kind])),
    );
  }
  const first = both({ shop: 'reply', alone: 'timeout', a: 'reply', b: 'timeout' });
  const changed = both({ shop: 'reply', alone: 'reply', a: 'timeout', b: 'reply' });

  /** Weir's chains of a table that nft shows. */
  async function ownChains(family: Family, table: string): Promise<readonly string[]> {
    const { stdout } = await faults.node.run('nft', ['list', 'table', nftFamily(family), table]);
    const names = [...stdout.matchAll(/chain ((?:WEIR|KUBE)-\S+)/g)].map(([, name = '']) => name);
    // kubelet's, too.
    return names.filter((name) => name !== 'KUBE-FIREWALL');
  }

  /** Lines that say a table cannot be printed, or can be again. */
  const said = ({ lines }: WeirProcess, text: RegExp): readonly string[] =>
    lines.filter((line) => text.test(line));
  const complaints = ({ lines }: WeirProcess): readonly string[] =>
    lines.filter((line) => / ERROR |changed by somebody else/.test(line));

  describe.each(rotating('agent-unprintable', foreignRules, 4))('$title', (foreign) => {
    const warning = new RegExp(`WARN .*IPv[46] table ${foreign.table} has rules that iptables cannot print`);

    test('there before the start: routes and enforces, follows, plans, recovers and cleans up', async () => {
      for (const family of families) await nft(foreign.script(family));
      const weir = await faults.start();
      expect(await reached()).toEqual(first);
      await setCluster({ services: [shop, alone], closed: ['a'] });
      // The endpoint of both Services is closed now, but to itself.
      await expect
        .poll(reached, patience)
        .toEqual({ ...changed, ...both({ shop: 'timeout', alone: 'timeout' }) });
      await setCluster({ services: [shop, alone], closed: ['b'] });
      await expect
        .poll(reached, patience)
        .toEqual(both({ shop: 'reply', alone: 'reply', a: 'reply', b: 'timeout' }));

      const planned = await faults.plan();
      expect(planned).toMatchObject({ code: 0 });
      expect(planned.lines.join('\n')).toMatch(/warning: .*cannot print/);
      expect(said(weir, warning)).toHaveLength(families.length);

      expect(complaints(weir)).toEqual([]);

      for (const family of families) await nft(foreign.removal(family, await listed(family, foreign, '-a')));
      expect(await faults.plan()).toMatchObject({ code: 0 });
      // What is noticed at once leads to a look at the whole table.
      for (const family of families) await faults.iptables(family, '-F WEIR-FORWARD', '-t nat -F PREROUTING');
      await expect
        .poll(() => said(weir, / INFO .*recovered: iptables can print IPv[46] table/), patience)
        .toHaveLength(families.length);
      await expect
        .poll(reached, patience)
        .toEqual(both({ shop: 'reply', alone: 'reply', a: 'reply', b: 'timeout' }));

      for (const family of families) await nft(foreign.script(family));
      await weir.stop();
      expect(await faults.cleanup()).toMatchObject({ code: 0 });
      for (const family of families) {
        expect(await ownChains(family, 'filter')).toEqual([]);
        expect(await ownChains(family, 'nat')).toEqual([]);
        expect(await listed(family, foreign)).toMatch(foreignRule);
      }
      expect((await faults.node.run('ipset', ['list', '-n'])).stdout).toBe('');
    });
  });

  test('all of them, added while it runs, and there at the next start', async () => {
    const weir = await faults.start();
    for (const family of families) for (const { script } of foreignRules) await nft(script(family));
    await weir.waitForLine(/ WARN .*table filter has rules that iptables cannot print/);
    await setCluster({ services: [shop, alone], closed: ['b'] });
    await expect
      .poll(reached, patience)
      .toEqual(both({ shop: 'reply', alone: 'reply', a: 'reply', b: 'timeout' }));
    // A flush is noticed and repaired.
    for (const family of families) await faults.iptables(family, '-F WEIR-FORWARD', '-t nat -F PREROUTING');
    await expect
      .poll(reached, patience)
      .toEqual(both({ shop: 'reply', alone: 'reply', a: 'reply', b: 'timeout' }));
    await weir.stop();

    const again = await faults.start();
    expect(again.lines.filter((line) => /rules written/.test(line))).toEqual([]);
    expect(await reached()).toEqual(both({ shop: 'reply', alone: 'reply', a: 'reply', b: 'timeout' }));
  });
});
