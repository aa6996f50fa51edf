import { describe, expect, test } from 'vitest';
import type { ChainWrite, Plan } from '../kernel/index.ts';
import { chainName, setName } from '../kernel/index.ts';
import type { RestorePiece } from './restore-piece.ts';
import { restorePieces } from './restore-pieces.ts';

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

function chain(
  name: string,
  stage: number,
  rules = '-j ACCEPT',
  table: 'filter' | 'nat' = 'nat',
  isNew = true,
): ChainWrite {
  return { table, name: chainName(name), rules, stage, isNew };
}

function stale(...names: readonly string[]): Plan['deleteChains'] {
  return names.map((name) => ({ table: 'nat', name: chainName(name) }));
}

function texts(pieces: readonly RestorePiece[]): string[] {
  return pieces.map((piece) => `${piece.tool}\n${piece.input.join('')}`);
}

const everything: Plan = {
  family: 'IPv6',
  createSets: [{ name: setName('WEIR-6-NEW'), type: 'hash:ip,port', family: 'IPv6', maxElements: 65536 }],
  addMembers: [{ set: setName('WEIR-6-NEW'), members: ['fd00::1,tcp:80', 'fd00::2,udp:53'] }],
  earlyRules: [{ table: 'nat', chain: chainName('KUBE-SERVICES'), rule: '-j KUBE-SVC-A' }],
  writeChains: [
    chain('KUBE-SVC-A', 100, '-p tcp -j DNAT --to-destination [fd00::3]:80\n-j RETURN'),
    chain('KUBE-SVC-B', 100, ''),
    chain('WEIR-FORWARD', 200, '-m set --match-set WEIR-6-NEW dst,dst -j DROP', 'filter'),
    chain('KUBE-SERVICES', 200, '-j KUBE-SVC-A\n-j KUBE-SVC-B', 'nat', false),
  ],
  jumps: [
    { kind: 'delete', table: 'filter', builtin: 'FORWARD', rule: '-j WEIR-FORWARD', reason: 'behind' },
    { kind: 'insert', table: 'filter', builtin: 'FORWARD', rule: '-j WEIR-FORWARD', reason: 'behind' },
  ],
  removeMembers: [{ set: setName('WEIR-6-OLD'), members: ['fd00::9'] }],
  deleteChains: stale('KUBE-SEP-A'),
  destroySets: [setName('WEIR-6-GONE')],
};

const wholeRules = `iptables-restore
*filter
:WEIR-FORWARD - [0:0]
-A WEIR-FORWARD -m set --match-set WEIR-6-NEW dst,dst -j DROP
-D FORWARD -j WEIR-FORWARD
-I FORWARD 1 -j WEIR-FORWARD
COMMIT
*nat
:KUBE-SVC-B - [0:0]
:KUBE-SVC-A - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SEP-A - [0:0]
-A KUBE-SVC-A -p tcp -j DNAT --to-destination [fd00::3]:80
-A KUBE-SVC-A -j RETURN
-A KUBE-SERVICES -j KUBE-SVC-A
-A KUBE-SERVICES -j KUBE-SVC-B
-X KUBE-SEP-A
COMMIT
`;

describe('a plan that fits in one piece', () => {
  test.each(['legacy', 'nft'] as const)('is one restore of rules between two of sets (%s)', (backend) => {
    expect(texts(restorePieces(everything, backend))).toEqual([
      `ipset
create WEIR-6-NEW hash:ip,port family inet6 hashsize 1024 maxelem 65536
add WEIR-6-NEW fd00::1,tcp:80
add WEIR-6-NEW fd00::2,udp:53
`,
      wholeRules,
      'ipset\ndel WEIR-6-OLD fd00::9\ndestroy WEIR-6-GONE\n',
    ]);
  });

  test('that changes nothing runs nothing', () => {
    expect(restorePieces(nothing, 'nft')).toEqual([]);
    expect(restorePieces(nothing, 'legacy')).toEqual([]);
  });

  test('that only moves a jump deletes it before it inserts it, whatever the order in the plan', () => {
    const plan = { ...nothing, jumps: everything.jumps.toReversed() };
    expect(texts(restorePieces(plan, 'nft'))).toEqual([
      'iptables-restore\n*filter\n-D FORWARD -j WEIR-FORWARD\n-I FORWARD 1 -j WEIR-FORWARD\nCOMMIT\n',
    ]);
  });

  test('empties stale chains that refer to each other before it deletes them', () => {
    const plan = { ...nothing, deleteChains: stale('A', 'B') };
    expect(texts(restorePieces(plan, 'nft'))).toEqual([
      'iptables-restore\n*nat\n:B - [0:0]\n:A - [0:0]\n-X B\n-X A\nCOMMIT\n',
    ]);
  });
});

test('a set is made with room for the members it gets at once', () => {
  const members = Array.from({ length: 5000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
  const spec = { name: setName('WEIR-4-A'), type: 'hash:ip', family: 'IPv4', maxElements: 1048576 } as const;
  const plan: Plan = { ...nothing, createSets: [spec], addMembers: [{ set: spec.name, members }] };
  const [piece] = restorePieces(plan, 'nft');
  expect(piece?.input[0]).toBe('create WEIR-4-A hash:ip family inet hashsize 8192 maxelem 1048576\n');
});

describe('a set that will not do', () => {
  const spec = { name: setName('WEIR-4-A'), type: 'hash:ip', family: 'IPv4', maxElements: 1048576 } as const;
  const change: Plan = {
    ...nothing,
    createSets: [
      {
        ...spec,
        replaces: { how: 'swap', reason: 'had room for 2 members', members: ['10.0.0.1', '10.0.0.2'] },
      },
    ],
    addMembers: [{ set: spec.name, members: ['10.0.0.3'] }],
    writeChains: [chain('WEIR-INGRESS', 1, '', 'filter'), chain('WEIR-FORWARD', 2, '', 'filter')],
    removeMembers: [{ set: spec.name, members: ['10.0.0.1'] }],
  };

  test.each([
    ['in one piece', 'legacy'],
    ['in many', 'nft'],
  ] as const)(
    'is filled beside the old one and swapped, before anything else happens to it (%s)',
    (_, backend) => {
      const pieces = restorePieces(change, backend, { names: 0, rules: 0 });
      expect(texts(pieces.filter(({ tool }) => tool === 'ipset')).join('')).toBe(
        `ipset
create WEIR-4-TEMP-S3IXFK5KU5A722OP hash:ip family inet hashsize 1024 maxelem 1048576
flush WEIR-4-TEMP-S3IXFK5KU5A722OP
add WEIR-4-TEMP-S3IXFK5KU5A722OP 10.0.0.1
add WEIR-4-TEMP-S3IXFK5KU5A722OP 10.0.0.2
swap WEIR-4-TEMP-S3IXFK5KU5A722OP WEIR-4-A
ipset
add WEIR-4-A 10.0.0.3
ipset
del WEIR-4-A 10.0.0.1
${backend === 'nft' ? 'ipset\n' : ''}destroy WEIR-4-TEMP-S3IXFK5KU5A722OP
`,
      );
      expect(pieces[0]?.about).toBe(
        'set WEIR-4-A, which had room for 2 members, made anew as hash:ip with room for 1048576',
      );
    },
  );

  test('has its temporary set out of the way first, where somebody was killed over it', () => {
    const stale = setName('WEIR-4-TEMP-S3IXFK5KU5A722OP');
    const pieces = restorePieces({ ...change, destroySets: [stale, setName('WEIR-4-OLD')] }, 'nft');
    expect(pieces[0]?.input).toEqual([`destroy ${stale}\n`]);
    expect(pieces.at(-1)?.input.slice(-2)).toEqual(['destroy WEIR-4-OLD\n', `destroy ${stale}\n`]);
  });

  test('is destroyed first where it is of another type', () => {
    const plan: Plan = {
      ...nothing,
      createSets: [{ ...spec, replaces: { how: 'destroy', reason: 'was hash:net for IPv4', members: [] } }],
      addMembers: [{ set: spec.name, members: ['10.0.0.3'] }],
    };
    const pieces = restorePieces(plan, 'nft');
    expect(texts(pieces)).toEqual([
      'ipset\ndestroy WEIR-4-A\ncreate WEIR-4-A hash:ip family inet hashsize 1024 maxelem 1048576\n',
      'ipset\nadd WEIR-4-A 10.0.0.3\n',
    ]);
    expect(pieces[0]?.about).toContain('set WEIR-4-A, which was hash:net for IPv4');
  });
});

describe('a big plan', () => {
  const limits = { names: 4, rules: 100 };

  test('is one restore on legacy all the same, since each copies the whole table', () => {
    expect(texts(restorePieces(everything, 'legacy', limits))).toContain(wholeRules);
  });

  test('is cut on nf_tables: early rules, the whole filter table, nat chains by stage, entry chains with the jumps, then what goes', () => {
    expect(texts(restorePieces(everything, 'nft', limits)).slice(1)).toEqual([
      'iptables-restore\n*nat\n-I KUBE-SERVICES 1 -j KUBE-SVC-A\nCOMMIT\n',
      `iptables-restore
*filter
:WEIR-FORWARD - [0:0]
-A WEIR-FORWARD -m set --match-set WEIR-6-NEW dst,dst -j DROP
-D FORWARD -j WEIR-FORWARD
-I FORWARD 1 -j WEIR-FORWARD
COMMIT
`,
      `iptables-restore
*nat
:KUBE-SVC-B - [0:0]
:KUBE-SVC-A - [0:0]
-A KUBE-SVC-A -p tcp -j DNAT --to-destination [fd00::3]:80
-A KUBE-SVC-A -j RETURN
COMMIT
`,
      `iptables-restore
*nat
:KUBE-SERVICES - [0:0]
-A KUBE-SERVICES -j KUBE-SVC-A
-A KUBE-SERVICES -j KUBE-SVC-B
COMMIT
`,
      'ipset\ndel WEIR-6-OLD fd00::9\n',
      'iptables-restore\n*nat\n:KUBE-SEP-A - [0:0]\n-X KUBE-SEP-A\nCOMMIT\n',
      'ipset\ndestroy WEIR-6-GONE\n',
    ]);
  });

  test('puts an early rule only into a chain that the kernel has', () => {
    const writeChains = everything.writeChains.filter((write) => write.isNew);
    const plan = {
      ...everything,
      writeChains: [...writeChains, chain('KUBE-SERVICES', 200), chain('Z', 200)],
    };
    expect(texts(restorePieces(plan, 'nft', limits)).join('')).not.toContain('-I KUBE-SERVICES');
  });

  test('never declares a chain in a later piece than one that refers to it', () => {
    const leaves = Array.from({ length: 30 }, (_, index) => chain(`KUBE-SVC-${index}`, 100));
    const nodes = Array.from({ length: 10 }, (_, index) =>
      chain(`KUBE-SVC-t${index}`, 150, [0, 1, 2].map((leaf) => `-j KUBE-SVC-${3 * index + leaf}`).join('\n')),
    );
    const plan = { ...nothing, writeChains: [...leaves, ...nodes] };
    const declared = new Set<string>();
    for (const text of texts(restorePieces(plan, 'nft', { names: 5, rules: 100 }))) {
      for (const [, name] of text.matchAll(/^:(\S+)/gm)) declared.add(name ?? '');
      for (const [, name] of text.matchAll(/-j (KUBE-\S+)/g)) expect(declared).toContain(name);
    }
    expect(declared.size).toBe(40);
  });

  test('keeps a chain whole, however big, and counts rules and the chains they name', () => {
    const big = chain('WEIR-BIG', 100, Array.from({ length: 300 }, () => '-j DROP').join('\n'));
    const jumping = chain('WEIR-JUMPING', 101, '-j WEIR-BIG\n-g WEIR-BIG\n-p tcp -j WEIR-BIG');
    const plan = { ...nothing, writeChains: [big, jumping, chain('WEIR-LAST', 102)] };
    const declared = texts(restorePieces(plan, 'nft', limits)).map((text) => text.match(/^:\S+/gm));
    expect(declared).toEqual([[':WEIR-BIG'], [':WEIR-JUMPING'], [':WEIR-LAST']]);
  });

  test('empties all stale chains before it deletes the first', () => {
    const plan = { ...nothing, deleteChains: stale('A', 'B', 'C', 'D', 'E') };
    const commands = texts(restorePieces(plan, 'nft', limits)).flatMap(
      (text) => text.match(/^(:|-X ).+/gm) ?? [],
    );
    const firstDelete = commands.findIndex((line) => line.startsWith('-X'));
    const emptied = commands.slice(0, firstDelete).map((line) => line.slice(1, 2));
    expect(new Set(emptied)).toEqual(new Set(['A', 'B', 'C', 'D', 'E']));
    expect(commands.filter((line) => line.startsWith('-X'))).toHaveLength(5);
  });
});
