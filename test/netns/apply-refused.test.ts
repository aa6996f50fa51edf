import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend, FamilyTools, RefusedElement } from '../../pkg/apply/index.ts';
import { KernelWriter, readKernel } from '../../pkg/apply/index.ts';
import {
  chainName,
  isTrialChain,
  type KernelSnapshot,
  type Plan,
  type SetName,
  type SetType,
  setName,
} from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type CommandRunner, createCommandRunner, systemClock } from '../../pkg/runtime/index.ts';
import { capabilities } from '../support/capabilities.ts';
import { inNamespace } from '../support/in-namespace.ts';

const backends = ['legacy', 'nft'] as const satisfies readonly Backend[];
const families: readonly Family[] = ['IPv4', 'IPv6'];
const namespace = 'weir-refused';
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

const values = {
  IPv4: {
    nobody: '0.0.0.0',
    address: (index: number) => `10.0.${index >> 8}.${index & 255}`,
    endpoint: (index: number) => `10.1.${index >> 8}.${index & 255}:80`,
    notEverybody: '! -s 0.0.0.0/0 -j KUBE-MARK-MASQ',
  },
  IPv6: {
    nobody: '::',
    address: (index: number) => `fd00::${(index + 1).toString(16)}`,
    endpoint: (index: number) => `[fd01::${(index + 1).toString(16)}]:80`,
    notEverybody: '! -s ::/0 -j KUBE-MARK-MASQ',
  },
} as const;

/** Both are refused by the kernel alone: neither program sees anything wrong. */
const wrongTable = '-p tcp -j REJECT --reject-with tcp-reset';
/** The program itself refuses this one. */
const impossible = '-m statistic --mode random --probability 1.10000000000 -j KUBE-MARK-MASQ';

const pods = setName('WEIR-T-PODS');
const ports = setName('WEIR-T-PORTS');
const types: ReadonlyMap<SetName, SetType> = new Map([
  [pods, 'hash:ip'],
  [ports, 'hash:ip,port'],
]);
const typeOf = (set: SetName): SetType | undefined => types.get(set);

interface Extra {
  /** By chain: rules that stand among the good ones. */
  readonly rules?: Readonly<Record<string, readonly string[]>>;
  readonly members?: Readonly<Record<string, readonly string[]>>;
}

const count = 50;

/** Services with chains that look into sets and lead to each other, as Weir writes them, and what `extra` says among them. */
function planOf(family: Family, { rules = {}, members = {} }: Extra = {}): Plan {
  const { address, endpoint } = values[family];
  const width = family === 'IPv4' ? 32 : 128;
  const indexes = Array.from({ length: count }, (_, index) => index);
  const chain = (table: 'nat' | 'filter', name: string, stage: number, bodies: readonly string[]) => {
    const extra = rules[name] ?? [];
    const middle = bodies.length >> 1;
    const all = [...bodies.slice(0, middle), ...extra, ...bodies.slice(middle)];
    return { table, name: chainName(name), rules: all.join('\n'), stage, isNew: true };
  };
  return {
    family,
    createSets: [...types].map(([name, type]) => ({ name, type, family, maxElements: 100_000 })),
    addMembers: [
      { set: pods, members: [...indexes.map(address), ...(members[pods] ?? [])] },
      {
        set: ports,
        members: [...indexes.map((index) => `${address(index)},tcp:80`), ...(members[ports] ?? [])],
      },
    ],
    earlyRules: [],
    writeChains: [
      chain('nat', 'KUBE-MARK-MASQ', 0, ['-j MARK --set-xmark 0x4000/0x4000']),
      ...indexes.map((index) =>
        chain('nat', `KUBE-SVC-${index}`, 20, [
          `-p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination ${endpoint(index)}`,
          `-p tcp -j DNAT --to-destination ${endpoint(index + 1)}`,
        ]),
      ),
      chain('filter', 'WEIR-FORWARD', 30, [`-m set --match-set ${pods} src -j DROP`, '-j RETURN']),
      chain('nat', 'KUBE-SERVICES', 200, [
        `-m set ! --match-set ${ports} dst,dst -j RETURN`,
        ...indexes.map(
          (index) => `-d ${address(index)}/${width} -p tcp -m tcp --dport 80 -j KUBE-SVC-${index}`,
        ),
      ]),
    ],
    jumps: [
      { kind: 'insert', table: 'nat', builtin: 'PREROUTING', rule: '-j KUBE-SERVICES', reason: 'missing' },
    ],
    removeMembers: [],
    deleteChains: [],
    destroySets: [],
  };
}

const inWords = (refused: readonly RefusedElement[]): readonly string[] =>
  refused
    .map(({ element }) =>
      element.kind === 'member' ? `${element.set} ${element.member}` : `${element.chain} ${element.rule}`,
    )
    .toSorted();

const able =
  capabilities.netns && capabilities.ipset && capabilities['iptables-legacy'] && capabilities['iptables-nft'];

describe.skipIf(!able).each(backends)('%s', (backend) => {
  describe.each(families)('%s', (family) => {
    const tools = toolsOf(backend, family);
    const { nobody, notEverybody } = values[family];

    function writerOf(runner: CommandRunner): KernelWriter {
      return new KernelWriter({ tools, commands: runner, clock: systemClock, onContention: () => undefined });
    }

    function read(): Promise<KernelSnapshot> {
      return readKernel(commands, tools, ['filter', 'nat']);
    }

    /** Applies a plan that must fail, and looks for what was refused; the kernel is read after each program. */
    async function refusedIn(plan: Plan): Promise<{
      readonly refused: readonly RefusedElement[];
      readonly runs: number;
    }> {
      const error: unknown = await writerOf(commands)
        .apply(plan)
        .then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
      expect(error).toBeDefined();
      const before = withoutTrials(await read());
      let runs = 0;
      const watched: CommandRunner = {
        run: async (command, signal) => {
          const result = await commands.run(command, signal);
          runs += 1;
          expect(withoutTrials(await read())).toEqual(before);
          return result;
        },
      };
      const refused = await writerOf(watched).findRefused(plan, error, typeOf);
      expect(await read()).toEqual(before);
      return { refused, runs };
    }

    test('finds no fault with what the kernel takes', async () => {
      const plan = planOf(family);
      await writerOf(commands).apply(plan);
      const before = await read();
      for (const code of ['WEIR_IPSET_FAILED', 'WEIR_RESTORE_FAILED']) {
        const error = Object.assign(new Error('somebody else was to blame'), {
          code,
          [Symbol.for('weir.error')]: true,
        });
        expect(await writerOf(commands).findRefused(plan, error, typeOf)).toEqual([]);
      }
      expect(await read()).toEqual(before);
    });

    test('finds the members that no set takes', async () => {
      const { refused } = await refusedIn(
        planOf(family, {
          members: { [pods]: [nobody, 'nonsense'], [ports]: [`${nobody},tcp:80`, `${nobody},udp:53`] },
        }),
      );
      expect(inWords(refused)).toEqual(
        [
          `${pods} ${nobody}`,
          `${pods} nonsense`,
          `${ports} ${nobody},tcp:80`,
          `${ports} ${nobody},udp:53`,
        ].toSorted(),
      );
      for (const { why } of refused) expect(why).toMatch(/Null-valued|Invalid argument|cannot parse/);
    });

    test('finds a rule among many that only the kernel refuses', async () => {
      const { refused, runs } = await refusedIn(planOf(family, { rules: { 'KUBE-SVC-17': [wrongTable] } }));
      expect(inWords(refused)).toEqual([`KUBE-SVC-17 ${wrongTable}`]);
      // Legacy gives no reason.
      expect(refused[0]?.why).toBe(backend === 'nft' ? 'RULE_APPEND failed (Invalid argument)' : '');
      // Sets, two controls and what it takes to find one among 150.
      expect(runs).toBeLessThanOrEqual(backend === 'nft' ? 7 : 15);
    });

    test('finds several rules in two tables, whoever refuses them', async () => {
      const rules = {
        'KUBE-SVC-3': [impossible],
        'KUBE-SVC-17': [wrongTable],
        'KUBE-SVC-44': [impossible, wrongTable],
        'WEIR-FORWARD': ['-j DNAT --to-destination 1.2.3.4'],
        'KUBE-SERVICES': backend === 'nft' ? [notEverybody] : [],
      };
      const { refused } = await refusedIn(planOf(family, { rules }));
      const wanted = Object.entries(rules).flatMap(([chain, bodies]) =>
        bodies.map((body) => `${chain} ${body}`),
      );
      expect(inWords(refused)).toEqual(wanted.toSorted());
    });

    test('blames no rule for a set or a chain that somebody else took away', async () => {
      const plan = planOf(family);
      const withoutSets = { ...plan, createSets: [], addMembers: [] };
      expect((await refusedIn(withoutSets)).refused).toEqual([]);
      const leadsNowhere = planOf(family, { rules: { 'KUBE-SVC-3': ['-j KUBE-SVC-NONE'] } });
      expect((await refusedIn(leadsNowhere)).refused).toEqual([]);
    });

    test('takes over what a search left that was killed', async () => {
      const plan = planOf(family, { rules: { 'KUBE-SVC-17': [wrongTable] } });
      let runs = 0;
      const dying: CommandRunner = {
        run: (command, signal) => {
          runs += 1;
          if (runs < 3) return commands.run(command, signal);
          // The third run gets no further than its first transaction.
          if (command.file === 'ipset') throw new Error('killed');
          const half = ['*nat\n', ':WEIR-TRIAL - [0:0]\n', '-A WEIR-TRIAL -j ACCEPT\n', 'COMMIT\n'];
          return commands.run({ ...command, input: half }, signal).then(() => {
            throw new Error('killed');
          });
        },
      };
      const error = await writerOf(commands)
        .apply(plan)
        .catch((thrown: unknown) => thrown);
      await expect(writerOf(dying).findRefused(plan, error, typeOf)).rejects.toThrow('killed');
      expect([...((await read()).tables.get('nat')?.chains.keys() ?? [])]).toContain('WEIR-TRIAL');
      expect(inWords(await writerOf(commands).findRefused(plan, error, typeOf))).toEqual([
        `KUBE-SVC-17 ${wrongTable}`,
      ]);
      const { tables, sets } = await read();
      expect([...(tables.get('nat')?.chains.keys() ?? [])].filter(isTrialChain)).toEqual([]);
      expect([...sets.keys()].toSorted()).toEqual([pods, ports]);
    });
  });
});

/** Without the chains and sets in which things are tried; that is, what is in force. */
function withoutTrials({ tables, sets, ...others }: KernelSnapshot): KernelSnapshot {
  return {
    ...others,
    tables: new Map(
      [...tables].map(([name, table]) => [
        name,
        { ...table, chains: new Map([...table.chains].filter(([chain]) => !isTrialChain(chain))) },
      ]),
    ),
    sets: new Map([...sets].filter(([name]) => !name.includes('-TEMP-'))),
  };
}
