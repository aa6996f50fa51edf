import { describe, expect, test } from 'vitest';
import { namespacedName, type Origin } from '../../pkg/api/index.ts';
import {
  type ChainName,
  chainName,
  describeElement,
  type Plan,
  type SetName,
  setName,
} from '../../pkg/kernel/index.ts';
import { countChanges, type ExplainedPlan, ruleDifference } from './explained-plan.ts';
import { leftoversAsJson } from './leftover-report.ts';
import { painter } from './paint.ts';
import { planAsJson } from './plan-as-json.ts';
import { printPlans } from './print-plan.ts';

const plain = painter(false);
const web = chainName('KUBE-SVC-AAAAAAAAAAAAAAAA');
const endpoint = (letter: string): ChainName => chainName(`KUBE-SEP-${letter.repeat(16)}`);
const hairpin: SetName = setName('WEIR-4-HAIRPIN');

const nothing: Plan = {
  family: 'IPv4',
  createSets: [],
  addMembers: [],
  earlyRules: [],
  writeChains: [],
  jumps: [],
  removeMembers: [],
  deleteChains: [],
  destroySets: [],
};

/** `applied`: nat chains as they are now. `origins`: of elements as they are described. */
function explained(
  changes: Partial<Plan>,
  applied: Readonly<Record<string, string>> = {},
  owners: Readonly<Record<string, string>> = {},
  origins: Readonly<Record<string, Origin>> = {},
): ExplainedPlan {
  const plan = { ...nothing, ...changes };
  const services = new Set(Object.values(owners).map((owner) => owner.split(':')[0]));
  return {
    plan,
    parts: { policies: nothing, services: plan },
    state: { appliedChain: (_, name) => applied[name] },
    owners: new Map(Object.entries(owners)),
    originsOf: (element) => [origins[describeElement(element)] ?? []].flat(),
    objects: {
      hasService: (name) => services.has(name),
      elementsOf: () => [],
      serviceOf: ({ kind, namespace, name }) =>
        kind === 'Service' ? namespacedName(namespace, name) : undefined,
      serviceOfAddress: () => undefined,
      portOfChain: () => undefined,
      unownedPod: () => undefined,
    },
  };
}

function lines(...plans: readonly ExplainedPlan[]): readonly string[] {
  return printPlans(plans, [], plain).split('\n');
}

function written(name: ChainName, rules: string, isNew = false): Plan['writeChains'][number] {
  return { table: 'nat', name, rules, stage: 1, isNew };
}

const portOrigin: Origin = {
  kind: 'Service',
  namespace: 'shop',
  name: 'web',
  field: 'spec.ports',
  value: 'http',
};

test('says that there is no change', () => {
  expect(lines(explained({}), explained({ family: 'IPv6' }))).toEqual([
    'IPv4: no change',
    'IPv6: no change',
    '',
  ]);
});

test('shows a changed chain under the name of its Service, with the rules that differ', () => {
  const plan = explained(
    { writeChains: [written(web, 'a\nnew\nc')] },
    { [web]: 'a\nold\nc' },
    { [web]: 'shop/web:http' },
    {
      [`nat chain ${web}`]: portOrigin,
      [`rule of nat chain ${web}: new`]: {
        kind: 'EndpointSlice',
        namespace: 'shop',
        name: 'web-1',
        field: 'endpoints.addresses',
        value: '10.0.0.1',
      },
    },
  );
  expect(lines(plan)).toEqual([
    'IPv4: 1 chain to change',
    '  Services to change: 1 (shop/web)',
    '  Service rules: 1 chain to change, 1 rule to add, 1 rule to remove',
    '',
    'IPv4',
    '  Service shop/web:http',
    `    ~ chain nat ${web}  # Service shop/web spec.ports (http)`,
    '        - old  # no object needs it now',
    '        + new  # EndpointSlice shop/web-1 endpoints.addresses (10.0.0.1)',
    '',
  ]);
});

test('shows sets, members, jumps and chains that belong to nobody first', () => {
  const plan = explained({
    createSets: [{ name: hairpin, type: 'hash:ip,port,ip', family: 'IPv4', maxElements: 10 }],
    addMembers: [{ set: hairpin, members: ['10.0.0.1,tcp:80,10.0.0.1'] }],
    removeMembers: [{ set: hairpin, members: ['10.0.0.2,tcp:80,10.0.0.2'] }],
    jumps: [{ kind: 'insert', table: 'nat', builtin: 'OUTPUT', rule: '-j KUBE-SERVICES', reason: 'missing' }],
    writeChains: [written(chainName('KUBE-SERVICES'), '-j RETURN', true)],
    destroySets: [setName('WEIR-4-OLD')],
  });
  expect(lines(plan)).toEqual([
    'IPv4: 1 set to create, 1 set to destroy, 1 set member to add, 1 set member to remove, 1 chain to add, 1 jump to insert',
    '  Service rules: 1 set to create, 1 set to destroy, 1 set member to add, 1 set member to remove, 1 chain to add, 1 jump to insert, 1 rule to add',
    '  Jumps from built-in chains: 1 to insert (missing)',
    '',
    'IPv4',
    '  + set WEIR-4-HAIRPIN (hash:ip,port,ip)  # for all Services',
    '  ~ set WEIR-4-HAIRPIN',
    '      - 10.0.0.2,tcp:80,10.0.0.2  # no object needs it now',
    '      + 10.0.0.1,tcp:80,10.0.0.1',
    '  - set WEIR-4-OLD  # no object needs it now',
    '  + jump nat OUTPUT: -j KUBE-SERVICES (missing)',
    '  + chain nat KUBE-SERVICES  # for all Services',
    '      + -j RETURN',
    '',
  ]);
  expect(countChanges(plan)).toBe(6);
});

test('shows a set that has to be rebuilt, and why', () => {
  const plan = explained({
    createSets: [
      {
        name: hairpin,
        type: 'hash:ip,port,ip',
        family: 'IPv4',
        maxElements: 10,
        replaces: { how: 'swap', reason: 'had room for 1 member', members: ['10.0.0.2,tcp:80,10.0.0.2'] },
      },
    ],
  });
  expect(lines(plan)).toEqual([
    'IPv4: 1 set to rebuild',
    '  Service rules: 1 set to rebuild',
    '',
    'IPv4',
    '  ~ set WEIR-4-HAIRPIN (hash:ip,port,ip, room for 10): rebuilt (had room for 1 member)  # for all Services',
    '',
  ]);
  expect(planAsJson(plan)['createSets']).toEqual([
    {
      name: hairpin,
      type: 'hash:ip,port,ip',
      family: 'IPv4',
      maxElements: 10,
      replaces: { how: 'swap', reason: 'had room for 1 member' },
      origins: [],
    },
  ]);
});

test('folds long lists, and says where all of it is', () => {
  const members = Array.from({ length: 30 }, (_, index) => `10.0.0.${index},tcp:80`);
  const shown = lines(explained({ addMembers: [{ set: hairpin, members }] }));
  expect(shown.filter((line) => line.includes('tcp:80'))).toHaveLength(10);
  expect(shown).toContain('      + … and 20 more members (--output json shows all)');
});

test('does not fold away a single line', () => {
  const members = Array.from({ length: 11 }, (_, index) => `10.0.0.${index},tcp:80`);
  expect(lines(explained({ addMembers: [{ set: hairpin, members }] })).join('\n')).not.toContain('more');
});

describe('taking over from kube-proxy', () => {
  const applied = {
    [web]: '-m comment --comment "shop/web:http -> 10.0.0.1:80" -j KUBE-SEP-BBBBBBBBBBBBBBBB',
    [endpoint('B')]: '-s 10.0.0.1/32 -m comment --comment "shop/web:http" -j KUBE-MARK-MASQ',
  };
  const owners = { [web]: 'shop/web:http' };
  const deleteChains = [{ table: 'nat', name: endpoint('B') }] as const;

  test('shows the chains of endpoints under their Service, as their comments say', () => {
    const rules = '-p tcp -j DNAT --to-destination 10.0.0.1:80';
    const text = lines(explained({ writeChains: [written(web, rules)], deleteChains }, applied, owners));
    expect(text).toContain('  Service shop/web:http');
    expect(text).toContain(`    - chain nat ${endpoint('B')}  # Service shop/web:http does not need it now`);
    expect(text).toContain('  Takes over from kube-proxy: 1 of its 1 balancing chains keep their endpoints.');
    expect(text.join('\n')).not.toContain('Other endpoints');
  });

  test('counts many of them in one line', () => {
    const many = ['C', 'D', 'E', 'F'].map((letter) => ({ table: 'nat', name: endpoint(letter) }) as const);
    expect(lines(explained({ deleteChains: many }))).toContain('  - 4 chains nat KUBE-SEP-…');
    const held = { table: 'nat', name: endpoint('H'), isHeld: true } as const;
    expect(lines(explained({ deleteChains: [...many, held] }))).toEqual(
      expect.arrayContaining([
        `  ~ chain nat ${endpoint('H')}: emptied (rules of others lead there)  # no object needs it now`,
        '  - 4 chains nat KUBE-SEP-…',
        'IPv4: 4 chains to delete, 1 chain to empty',
      ]),
    );
  });

  test('names a Service whose endpoints will be others', () => {
    const rules = '-p tcp -j DNAT --to-destination 10.0.0.2:80';
    const text = lines(explained({ writeChains: [written(web, rules)], deleteChains }, applied, owners));
    expect(text).toContain('    shop/web:http: kube-proxy 10.0.0.1:80; Weir 10.0.0.2:80');
  });

  test('follows the groups of a Service with many endpoints', () => {
    const group = chainName('KUBE-SVC-gABCDEFGHIJKLMNO');
    const writeChains = [
      written(group, '-p tcp -j DNAT --to-destination 10.0.0.1:80', true),
      written(web, `-j ${group}`),
    ];
    expect(lines(explained({ writeChains, deleteChains }, applied, owners)).join('\n')).not.toContain(
      'Other endpoints',
    );
  });

  test('names Services that only one of the two routes', () => {
    const gone = chainName('KUBE-SVC-ZZZZZZZZZZZZZZZZ');
    const text = lines(
      explained(
        {
          writeChains: [written(web, '', true)],
          deleteChains: [...deleteChains, { table: 'nat', name: gone }],
        },
        { ...applied, [gone]: '-m comment --comment "shop/old -> 10.0.0.9:80" -j KUBE-SEP-X' },
        owners,
      ),
    );
    const start = text.indexOf('  Routed by kube-proxy only, and no longer with Weir:');
    expect(text.slice(start, start + 5)).toEqual([
      '  Routed by kube-proxy only, and no longer with Weir:',
      '    shop/old',
      '  Routed by Weir only:',
      '    shop/web:http',
      '',
    ]);
  });
});

test('colours for a terminal only', () => {
  const plan = explained({ writeChains: [written(web, 'a', true)] });
  expect(printPlans([plan], [], plain)).not.toContain('\u001b');
  expect(printPlans([plan], [], painter(true))).toContain('\u001b[32m+ chain nat');
});

test.each([
  [['a', 'b'], ['a', 'b'], [], []],
  [['a', 'b'], ['a', 'x', 'b'], [], ['x']],
  [['a', 'x', 'b'], ['a', 'b'], ['x'], []],
  [['a', 'a'], ['a'], ['a'], []],
  [[], ['a'], [], ['a']],
])('from %j to %j goes %j and comes %j', (before, after, removed, added) => {
  expect(ruleDifference(before, after)).toEqual({ removed, added });
});

test('tells programs what a chain held, what it will hold, and whose it is', () => {
  const plan = explained(
    { writeChains: [written(web, 'new')], deleteChains: [{ table: 'nat', name: endpoint('B') }] },
    { [web]: 'old\nolder', [endpoint('B')]: 'x' },
    { [web]: 'shop/web:http' },
  );
  expect(planAsJson(plan)).toMatchObject({
    family: 'IPv4',
    writeChains: [
      {
        table: 'nat',
        name: web,
        owner: 'shop/web:http',
        isNew: false,
        before: ['old', 'older'],
        after: ['new'],
      },
    ],
    deleteChains: [{ table: 'nat', name: endpoint('B'), before: ['x'] }],
  });
});

test('tells what kube-proxy in other modes has left, a line for each mode', () => {
  const leftovers = [
    { kind: 'table', family: 'IPv4' },
    { kind: 'table', family: 'IPv6' },
    { kind: 'interface' },
  ] as const;
  expect(printPlans([explained({})], leftovers, plain).split('\n')).toEqual([
    'IPv4: no change',
    'kube-proxy in nftables mode has in force, and Weir removes once its own rules are written: table ip kube-proxy, table ip6 kube-proxy',
    'kube-proxy in IPVS mode has in force, and Weir removes once its own rules are written: interface kube-ipvs0',
    '',
  ]);
  expect(leftoversAsJson(leftovers.slice(1))).toEqual([
    { mode: 'nftables', what: 'table ip6 kube-proxy' },
    { mode: 'IPVS', what: 'interface kube-ipvs0' },
  ]);
});
