import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend, FamilyTools } from '../../pkg/apply/index.ts';
import { KernelWriter, readKernel } from '../../pkg/apply/index.ts';
import {
  type ChainWrite,
  chainName,
  type KernelSnapshot,
  type Plan,
  setName,
} from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import {
  type Command,
  type CommandRunner,
  createCommandRunner,
  systemClock,
} from '../../pkg/runtime/index.ts';
import { capabilities } from '../support/capabilities.ts';
import { inNamespace } from '../support/in-namespace.ts';

const backends = ['legacy', 'nft'] as const satisfies readonly Backend[];
const families: readonly Family[] = ['IPv4', 'IPv6'];
const namespace = 'weir-apply';
const outside = createCommandRunner();
const commands = inNamespace(outside, namespace);

async function run(file: string, args: readonly string[]): Promise<void> {
  const result = await outside.run({ file, args, timeoutMs: 10_000 });
  if (result.exitCode !== 0) throw new Error(`${file} ${args.join(' ')}: ${result.stderr}`);
}

beforeEach(() => run('ip', ['netns', 'add', namespace]));
afterEach(() => run('ip', ['netns', 'del', namespace]));

function toolsOf(backend: Backend, family: Family): FamilyTools {
  const list = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${backend}`;
  return { family, backend, list, save: `${list}-save`, restore: `${list}-restore` };
}

function emptyPlan(family: Family): Plan {
  return {
    family,
    createSets: [],
    addMembers: [],
    earlyRules: [],
    writeChains: [],
    jumps: [],
    removeMembers: [],
    deleteChains: [],
    destroySets: [],
  };
}

function chain(table: 'filter' | 'nat', name: string, stage: number, rules: string): ChainWrite {
  return { table, name: chainName(name), rules, stage, isNew: true };
}

interface Values {
  readonly address: (index: number) => string;
  readonly host: (index: number) => string;
  readonly destination: (index: number) => string;
}

const values: Readonly<Record<Family, Values>> = {
  IPv4: {
    address: (index) => `10.0.${index >> 8}.${index & 255}`,
    host: (index) => `10.0.${index >> 8}.${index & 255}/32`,
    destination: (index) => `10.1.${index >> 8}.${index & 255}:80`,
  },
  IPv6: {
    address: (index) => `fd00::${(index + 1).toString(16)}`,
    host: (index) => `fd00::${(index + 1).toString(16)}/128`,
    destination: (index) => `[fd01::${(index + 1).toString(16)}]:80`,
  },
};

const usedSet = setName('WEIR-TEST-A');

/** Two Services and a policy, small enough for one piece. */
function smallPlan(family: Family): Plan {
  const { address, host, destination } = values[family];
  return {
    ...emptyPlan(family),
    createSets: [{ name: usedSet, type: 'hash:ip,port', family, maxElements: 3 }],
    addMembers: [{ set: usedSet, members: [`${address(1)},tcp:80`, `${address(2)},udp:53`] }],
    writeChains: [
      chain(
        'nat',
        'KUBE-SVC-A',
        100,
        `-p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination ${destination(1)}\n` +
          `-p tcp -j DNAT --to-destination ${destination(2)}`,
      ),
      chain('nat', 'KUBE-SVC-B', 100, ''),
      chain('filter', 'WEIR-FORWARD', 200, `-m set --match-set ${usedSet} dst,dst -j DROP`),
      chain('nat', 'KUBE-SERVICES', 200, `-d ${host(9)} -p tcp -m tcp --dport 80 -j KUBE-SVC-A`),
    ],
    jumps: [
      { kind: 'insert', table: 'filter', builtin: 'FORWARD', rule: '-j WEIR-FORWARD', reason: 'missing' },
      { kind: 'insert', table: 'nat', builtin: 'PREROUTING', rule: '-j KUBE-SERVICES', reason: 'missing' },
    ],
  };
}

/** As many Services as make several pieces on nf_tables, with the chains that lead to them. */
function bigPlan(family: Family, services: number): Plan {
  const { host, destination } = values[family];
  const indexes = Array.from({ length: services }, (_, index) => index);
  const leafSize = 50;
  const leaves = Array.from({ length: Math.ceil(services / leafSize) }, (_, leaf) =>
    indexes.slice(leaf * leafSize, (leaf + 1) * leafSize),
  );
  return {
    ...emptyPlan(family),
    writeChains: [
      ...indexes.map((index) =>
        chain('nat', `KUBE-SVC-${index}`, 100, `-p tcp -j DNAT --to-destination ${destination(index)}`),
      ),
      ...leaves.map((members, leaf) => {
        const rules = members.map(
          (index) => `-d ${host(index)} -p tcp -m tcp --dport 80 -j KUBE-SVC-${index}`,
        );
        return chain('nat', `KUBE-SVC-t${leaf}`, 150, rules.join('\n'));
      }),
      chain('nat', 'KUBE-SERVICES', 200, leaves.map((_, leaf) => `-j KUBE-SVC-t${leaf}`).join('\n')),
    ],
    jumps: [
      { kind: 'insert', table: 'nat', builtin: 'PREROUTING', rule: '-j KUBE-SERVICES', reason: 'missing' },
    ],
  };
}

function chainsIn(snapshot: KernelSnapshot, table: 'filter' | 'nat'): Readonly<Record<string, string>> {
  return Object.fromEntries(snapshot.tables.get(table)?.chains ?? []);
}

function chainsOf(plan: Plan, table: 'filter' | 'nat'): Readonly<Record<string, string>> {
  const chains = plan.writeChains.filter((write) => write.table === table);
  return Object.fromEntries(chains.map((write) => [write.name, write.rules]));
}

function membersIn(snapshot: KernelSnapshot): readonly string[] {
  return [...(snapshot.sets.get(usedSet)?.members ?? [])].toSorted();
}

const able =
  capabilities.netns && capabilities.ipset && capabilities['iptables-legacy'] && capabilities['iptables-nft'];

describe.skipIf(!able).each(backends)('%s', (backend) => {
  describe.each(families)('%s', (family) => {
    const tools = toolsOf(backend, family);
    const { address } = values[family];
    const contention: string[] = [];

    function writer(runner: CommandRunner = commands): KernelWriter {
      const onContention = (message: string): void => void contention.push(message);
      return new KernelWriter({ tools, commands: runner, clock: systemClock, onContention });
    }

    function read(): Promise<KernelSnapshot> {
      return readKernel(commands, tools, ['filter', 'nat']);
    }

    test('holds afterwards what the plan says', async () => {
      const plan = smallPlan(family);
      const report = await writer().apply(plan);
      const snapshot = await read();
      expect(chainsIn(snapshot, 'filter')).toEqual(chainsOf(plan, 'filter'));
      expect(chainsIn(snapshot, 'nat')).toEqual(chainsOf(plan, 'nat'));
      expect(snapshot.tables.get('filter')?.builtins.get('FORWARD')).toEqual(['-j WEIR-FORWARD']);
      expect(snapshot.tables.get('nat')?.builtins.get('PREROUTING')).toEqual(['-j KUBE-SERVICES']);
      expect(snapshot.sets.get(usedSet)?.spec).toEqual(plan.createSets[0]);
      expect(membersIn(snapshot)).toEqual(plan.addMembers[0]?.members);
      expect(report).toMatchObject({ pieces: 2, spawns: 2 });
    });

    test('reads single tables and chains, also where nothing was ever written', async () => {
      expect(await writer().readChain('nat', 'PREROUTING')).toEqual([]);
      await writer().apply(smallPlan(family));
      expect(await writer().readChain('nat', 'PREROUTING')).toEqual(['-j KUBE-SERVICES']);
      const filter = await writer().readFilter();
      expect([...(filter?.chains.keys() ?? [])]).toEqual(['WEIR-FORWARD']);
      expect(filter).toEqual((await read()).tables.get('filter'));
    });

    test('ends the same when the same plan runs twice', async () => {
      const plan = { ...smallPlan(family), jumps: [] };
      await writer().apply(plan);
      const before = await read();
      await writer().apply(plan);
      expect(await read()).toEqual(before);
    });

    test('moves a jump to the front', async () => {
      await writer().apply(smallPlan(family));
      await run('nsenter', [
        `--net=/run/netns/${namespace}`,
        '--',
        tools.list,
        '-I',
        'FORWARD',
        '-j',
        'ACCEPT',
      ]);
      const jump = {
        table: 'filter',
        builtin: 'FORWARD',
        rule: '-j WEIR-FORWARD',
        reason: 'behind',
      } as const;
      const plan: Plan = {
        ...emptyPlan(family),
        jumps: [
          { kind: 'delete', ...jump },
          { kind: 'insert', ...jump },
        ],
      };
      await writer().apply(plan);
      expect(await writer().readChain('filter', 'FORWARD')).toEqual(['-j WEIR-FORWARD', '-j ACCEPT']);
    });

    test('loads a big plan, takes it over early, and removes it again', async () => {
      const services = 1500;
      const plan = bigPlan(family, services);
      const report = await writer().apply(plan);
      expect(report.pieces > 1).toBe(backend === 'nft');
      expect(chainsIn(await read(), 'nat')).toEqual(chainsOf(plan, 'nat'));

      const rule = '-j KUBE-SVC-0';
      const again: Plan = {
        ...plan,
        earlyRules: [{ table: 'nat', chain: chainName('KUBE-SERVICES'), rule }],
        writeChains: plan.writeChains.map(({ table, name, rules, stage }) => ({
          table,
          name,
          rules,
          stage,
          isNew: false,
        })),
        jumps: [],
      };
      await writer().apply(again);
      expect(chainsIn(await read(), 'nat')).toEqual(chainsOf(plan, 'nat'));

      await writer().apply({
        ...emptyPlan(family),
        jumps: [
          {
            kind: 'delete',
            table: 'nat',
            builtin: 'PREROUTING',
            rule: '-j KUBE-SERVICES',
            reason: 'not wanted',
          },
        ],
        deleteChains: plan.writeChains.map(({ table, name }) => ({ table, name })),
      });
      expect(chainsIn(await read(), 'nat')).toEqual({});
    });

    test('removes rules together with the sets they looked into', async () => {
      await writer().apply(smallPlan(family));
      await writer().apply({
        ...emptyPlan(family),
        jumps: [
          {
            kind: 'delete',
            table: 'filter',
            builtin: 'FORWARD',
            rule: '-j WEIR-FORWARD',
            reason: 'not wanted',
          },
        ],
        deleteChains: [{ table: 'filter', name: chainName('WEIR-FORWARD') }],
        removeMembers: [{ set: usedSet, members: [`${address(1)},tcp:80`] }],
        destroySets: [usedSet],
      });
      const snapshot = await read();
      expect(chainsIn(snapshot, 'filter')).toEqual({});
      expect(snapshot.sets.size).toBe(0);
    });

    test('leaves the old rules in force when the restore is killed half-way', async () => {
      await writer().apply(smallPlan(family));
      const before = await read();
      const halfWay: CommandRunner = {
        run: (command) => commands.run(command.file === tools.restore ? killedHalfWay(command) : command),
      };
      const plan: Plan = {
        ...emptyPlan(family),
        writeChains: [chain('nat', 'KUBE-SVC-A', 100, '-j RETURN\n'.repeat(99) + '-j RETURN')],
      };
      await expect(writer(halfWay).apply(plan)).rejects.toMatchObject({ code: 'WEIR_RESTORE_FAILED' });
      expect(await read()).toEqual(before);
      await writer().apply(plan);
      expect(await read()).not.toEqual(before);
    });

    test('leaves the old rules in force when one is refused, and shows which', async () => {
      await writer().apply(smallPlan(family));
      const before = await read();
      const plan: Plan = {
        ...emptyPlan(family),
        writeChains: [chain('nat', 'KUBE-SVC-A', 100, '-j RETURN\n-p tcp -m tcp --dport 99999 -j RETURN')],
      };
      await expect(writer().apply(plan)).rejects.toMatchObject({
        code: 'WEIR_RESTORE_FAILED',
        message: expect.stringContaining('>4: -A KUBE-SVC-A -p tcp -m tcp --dport 99999 -j RETURN') as string,
      });
      expect(await read()).toEqual(before);
    });

    test('says which set can not go because a rule looks into it, and removes the others', async () => {
      const others = ['WEIR-TEST-0', 'WEIR-TEST-B'].map(setName);
      const createSets = others.map((name) => ({ name, type: 'hash:ip', family, maxElements: 3 }) as const);
      await writer().apply(smallPlan(family));
      await writer().apply({ ...emptyPlan(family), createSets });
      const destroySets = [...others, usedSet].toSorted();
      const report = await writer().apply({ ...emptyPlan(family), destroySets });
      expect(report.heldSets).toEqual([usedSet]);
      const snapshot = await read();
      expect([...snapshot.sets.keys()]).toEqual([usedSet]);
      expect(membersIn(snapshot)).toHaveLength(2);
    });

    test('says which member a full set refused', async () => {
      await writer().apply(smallPlan(family));
      const members = [3, 4, 5, 6].map((index) => `${address(index)},tcp:80`);
      const plan = { ...emptyPlan(family), addMembers: [{ set: usedSet, members }] };
      await expect(writer().apply(plan)).rejects.toMatchObject({
        code: 'WEIR_IPSET_FAILED',
        message: expect.stringMatching(/full[^]*>\d: add WEIR-TEST-A/) as string,
      });
    });

    test('waits for the lock that somebody else holds for eight seconds', async () => {
      contention.length = 0;
      const released = new AbortController();
      const lock = { file: 'flock', args: ['/run/xtables.lock', 'sleep', '8'], timeoutMs: 20_000 };
      const held = outside.run(lock, released.signal).catch(() => undefined);
      await systemClock.sleep(300);
      const plan = smallPlan(family);
      const report = await writer().apply(plan);
      // nf_tables knows no lock: it went straight through, and the holder need not be waited for.
      released.abort();
      await held;
      expect(report.spawns > report.pieces).toBe(backend === 'legacy');
      expect(contention).toHaveLength(backend === 'legacy' ? 1 : 0);
      expect(chainsIn(await read(), 'nat')).toEqual(chainsOf(plan, 'nat'));
    });
  });
});

/** The same command, but killed before it has seen the end of its input. */
function killedHalfWay(command: Command): Command {
  const script = '(head -c 300; sleep 2) | timeout -s KILL 1 "$0" "$@"';
  return { ...command, file: 'sh', args: ['-c', script, command.file, ...command.args] };
}
