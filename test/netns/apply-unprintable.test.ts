import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FamilyTools, KernelWriter, type Landmarks } from '../../pkg/apply/index.ts';
import {
  chainName,
  isEmptyPlan,
  type Jump,
  type KernelSnapshot,
  type Plan,
  RuleState,
  unreadableRule,
} from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { createCommandRunner, systemClock } from '../../pkg/runtime/index.ts';
import { capabilities } from '../support/capabilities.ts';
import { type ForeignRules, foreignRule, foreignRules, nftFamily } from '../support/foreign-nft.ts';
import { inNamespace } from '../support/in-namespace.ts';

const namespace = 'weir-unprintable';
const outside = createCommandRunner();
const commands = inNamespace(outside, namespace);
const families: readonly Family[] = ['IPv4', 'IPv6'];

const jump = (table: Jump['table'], builtin: string, target: string, position: Jump['position']): Jump => ({
  table,
  builtin,
  rule: `-m comment --comment "for ${target}" -j ${target}`,
  target,
  position,
});
const jumps = [
  jump('filter', 'FORWARD', 'WEIR-FORWARD', 'first'),
  jump('filter', 'INPUT', 'KUBE-NODEPORTS', 'reachable'),
  jump('nat', 'PREROUTING', 'KUBE-SERVICES', 'reachable'),
  jump('nat', 'POSTROUTING', 'KUBE-POSTROUTING', 'reachable'),
];
const landmarks: Landmarks = { jumps, chains: { nat: ['KUBE-MARK-MASQ'] } };
const isOwn = (name: string): boolean => name.startsWith('KUBE-') || name.startsWith('WEIR-');

async function run(file: string, args: readonly string[], input?: string): Promise<string> {
  const command = {
    file,
    args,
    captureOutput: true,
    timeoutMs: 10_000,
    ...(input === undefined ? {} : { input }),
  };
  const result = await commands.run(command);
  if (result.exitCode !== 0) throw new Error(`${file} ${args.join(' ')}: ${result.stderr}${result.stdout}`);
  return result.stdout;
}

beforeEach(() => outside.run({ file: 'ip', args: ['netns', 'add', namespace], timeoutMs: 10_000 }));
afterEach(() => outside.run({ file: 'ip', args: ['netns', 'del', namespace], timeoutMs: 10_000 }));

const able = capabilities.netns && capabilities.ipset && capabilities['iptables-nft'] && capabilities.nft;

describe.skipIf(!able).each(families)('%s rules beside those that iptables cannot print', (family) => {
  const list = family === 'IPv4' ? 'iptables-nft' : 'ip6tables-nft';
  const tools: FamilyTools = {
    family,
    backend: 'nft',
    list,
    save: `${list}-save`,
    restore: `${list}-restore`,
  };
  const onContention = (): void => undefined;
  let writer: KernelWriter;
  let state: RuleState;

  beforeEach(() => {
    writer = new KernelWriter({ tools, commands, clock: systemClock, landmarks, onContention });
    state = newState();
  });

  function newState(): RuleState {
    const fresh = new RuleState(family, {
      chain: (_, name) => (isOwn(name) ? 'own' : 'foreign'),
      jump: (_, rule) => jumps.some((one) => one.rule === rule),
      set: () => true,
    });
    fresh.setChain('filter', chainName('WEIR-FORWARD'), '-p udp -j WEIR-INGRESS\n-p tcp -j DROP', 2);
    fresh.setChain('filter', chainName('WEIR-INGRESS'), '-j RETURN', 1);
    fresh.setChain('filter', chainName('KUBE-NODEPORTS'), '', 0);
    fresh.setChain('nat', chainName('KUBE-SERVICES'), '-p tcp -m tcp --dport 80 -j KUBE-SVC-A', 2);
    fresh.setChain('nat', chainName('KUBE-SVC-A'), '-p tcp -j REDIRECT --to-ports 81', 1);
    fresh.setChain('nat', chainName('KUBE-POSTROUTING'), '', 0);
    fresh.setChain('nat', chainName('KUBE-MARK-MASQ'), '-j MARK --set-xmark 0x4000/0x4000', 0);
    fresh.setJumps(jumps);
    return fresh;
  }

  function read(): Promise<KernelSnapshot> {
    return writer.read(['filter', 'nat'], { known: (table) => state.appliedChains(table) });
  }

  /** One sync; what it wrote. */
  async function sync(): Promise<Plan> {
    const snapshot = await read();
    await writer.moveToFront(snapshot);
    state.replaceApplied(snapshot);
    const plan = state.plan();
    if (!isEmptyPlan(plan)) await writer.apply(plan);
    state.applied(plan);
    return plan;
  }

  const nft = (script: string): Promise<string> => run('nft', ['-f', '-'], script);
  /** Chains of a table as nft shows them, without counters. */
  const shown = async (table: string, chain: string): Promise<string> =>
    (await run('nft', ['list', 'chain', nftFamily(family), table, chain])).replaceAll(
      / packets \d+ bytes \d+/g,
      '',
    );

  async function isInForce(): Promise<void> {
    expect(await shown('filter', 'WEIR-FORWARD')).toContain('drop');
    expect(
      (await shown('filter', 'FORWARD')).split('\n').find((line) => /jump|vmap|mark/.test(line)),
    ).toMatch(/jump WEIR-FORWARD/);
    expect(await shown('filter', 'INPUT')).toContain('jump KUBE-NODEPORTS');
    expect(await shown('nat', 'KUBE-SERVICES')).toContain('jump KUBE-SVC-A');
    expect(await shown('nat', 'KUBE-SVC-A')).toContain('redirect to :81');
    expect(await shown('nat', 'PREROUTING')).toContain('jump KUBE-SERVICES');
    expect(await shown('nat', 'POSTROUTING')).toContain('jump KUBE-POSTROUTING');
  }

  describe.each(foreignRules)('$title', (foreign: ForeignRules) => {
    test('there before: everything is written, and read back as it was written', async () => {
      await nft(foreign.script(family));
      await sync();
      await isInForce();
      const snapshot = await read();
      expect(snapshot.tables.get(foreign.table)?.gaps).toBeDefined();
      expect(isEmptyPlan(await sync())).toBe(true);
      // After a restart nothing is known, and nothing is written.
      state = newState();
      expect(isEmptyPlan(await sync())).toBe(true);
      await isInForce();
      expect(await shown(foreign.table, foreign.chain)).toMatch(foreignRule);
    });

    test('added later: nothing is written, and every change goes on', async () => {
      await sync();
      await nft(foreign.script(family));
      expect(isEmptyPlan(await sync())).toBe(true);
      state.setChain('nat', chainName('KUBE-SVC-A'), '-p tcp -j REDIRECT --to-ports 82', 1);
      state.setChain('nat', chainName('KUBE-SVC-B'), '-p tcp -j REDIRECT --to-ports 83', 1);
      state.setChain('nat', chainName('KUBE-SERVICES'), '-p tcp -m tcp --dport 80 -j KUBE-SVC-B', 2);
      state.setChain('filter', chainName('WEIR-FORWARD'), '-p udp -j DROP', 2);
      state.removeChain('filter', chainName('WEIR-INGRESS'));
      const plan = await sync();
      expect(plan.deleteChains.map(({ name }) => name)).toEqual(['WEIR-INGRESS']);
      expect(await shown('nat', 'KUBE-SVC-B')).toContain('redirect to :83');
      expect(await shown('filter', 'WEIR-FORWARD')).toContain('udp');
      expect(isEmptyPlan(await sync())).toBe(true);
    });

    test('removed: what could not be seen meanwhile is cleared', async () => {
      await sync();
      await nft(foreign.script(family));
      await sync();
      // Nothing jumps to it, so nobody sees it.
      const table = foreign.table;
      await run(list, ['-t', table, '-N', 'KUBE-SVC-LOST']);
      state = newState();
      expect(isEmptyPlan(await sync())).toBe(true);
      await nft(
        foreign.removal(
          family,
          await run('nft', ['-a', 'list', 'chain', nftFamily(family), table, foreign.chain]),
        ),
      );
      const plan = await sync();
      expect(plan.deleteChains).toEqual([{ table, name: 'KUBE-SVC-LOST' }]);
      expect((await read()).tables.get(table)?.gaps).toBeUndefined();
      expect(isEmptyPlan(await sync())).toBe(true);
    });

    test('and what others do to our rules is repaired', async () => {
      await nft(foreign.script(family));
      await sync();
      await run(list, ['-t', 'nat', '-F', 'KUBE-SVC-A']);
      await run(list, ['-F', 'WEIR-FORWARD']);
      for (const { table, builtin, rule } of jumps)
        await run(tools.restore, ['--noflush'], `*${table}\n-D ${builtin} ${rule}\nCOMMIT\n`);
      const plan = await sync();
      expect(plan.jumps.filter(({ kind }) => kind === 'insert')).toHaveLength(jumps.length);
      await isInForce();
      // A rule in front of ours, by iptables.
      await run(list, ['-I', 'FORWARD', '-j', 'ACCEPT']);
      await sync();
      await isInForce();
      expect(isEmptyPlan(await sync())).toBe(true);
    });
  });

  test('a rule that iptables cannot print inside a chain of ours is taken out again', async () => {
    await sync();
    const table = `${nftFamily(family)} filter`;
    for (const rule of ['ct state vmap { new : accept }', 'meta mark set meta mark | 0x1 accept']) {
      await nft(`insert rule ${table} WEIR-FORWARD ${rule}\n`);
      const chains = (await read()).tables.get('filter')?.chains;
      expect(chains?.get(chainName('WEIR-FORWARD'))).toBe(unreadableRule);
      const plan = await sync();
      expect(plan.writeChains.map(({ name }) => name)).toContain('WEIR-FORWARD');
      expect(await shown('filter', 'WEIR-FORWARD')).not.toContain('accept');
      expect(isEmptyPlan(await sync())).toBe(true);
    }
  });

  test('single chains and the filter table are read, too', async () => {
    for (const { script } of foreignRules) await nft(script(family));
    await sync();
    const filter = await writer.readFilter();
    expect(filter?.chains.get(chainName('WEIR-FORWARD'))).toBe(
      state.desiredChain('filter', chainName('WEIR-FORWARD')),
    );
    expect(filter?.gaps?.unreadable).toEqual(['FORWARD', 'INPUT']);
    expect(await writer.readChain('nat', 'PREROUTING')).toEqual([jumps[2]?.rule]);
  });

  test('a chain of others that holds one of ours keeps it', async () => {
    await sync();
    const table = `${nftFamily(family)} nat`;
    await nft(
      `add chain ${table} theirs\nadd rule ${table} theirs counter jump KUBE-SVC-A\nadd rule ${table} PREROUTING counter jump theirs\n`,
    );
    await nft(foreignRules[5]?.script(family) ?? '');
    state.setChain('nat', chainName('KUBE-SERVICES'), '', 2);
    state.removeChain('nat', chainName('KUBE-SVC-A'));
    expect((await sync()).deleteChains).toEqual([{ table: 'nat', name: 'KUBE-SVC-A', isHeld: true }]);
    expect(await shown('nat', 'KUBE-SVC-A')).toContain('chain KUBE-SVC-A');
  });

  test('nothing is changed by reading', async () => {
    for (const { script } of foreignRules) await nft(script(family));
    await sync();
    const before = await run('nft', ['list', 'ruleset']);
    await read();
    await writer.readFilter();
    expect(await run('nft', ['list', 'ruleset'])).toBe(before);
  });
});
