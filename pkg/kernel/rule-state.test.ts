import { describe, expect, test } from 'vitest';
import type { Jump } from './jumps.ts';
import { chainName, setName, type TableName } from './names.ts';
import { parseIpsetSave } from './parse-ipset-save.ts';
import { parseIptablesSave } from './parse-iptables-save.ts';
import { isEmptyPlan, type Plan } from './plan.ts';
import { type Ownership, RuleState } from './rule-state.ts';
import type { SetSpec } from './set.ts';
import type { KernelSnapshot } from './snapshot.ts';

const ownership: Ownership = {
  chain: (_, name) => (name === 'SHARED' ? 'shared' : name.startsWith('OWN-') ? 'own' : 'foreign'),
  jump: (_, rule) => rule === jump.rule,
  set: (name) => name.startsWith('OWN-'),
};
const a = chainName('OWN-A');
const b = chainName('OWN-B');
const shared = chainName('SHARED');
const set: SetSpec = { name: setName('OWN-SET'), type: 'hash:ip', family: 'IPv4', maxElements: 1024 };
const jump: Jump = {
  table: 'nat',
  builtin: 'PREROUTING',
  rule: '-j OWN-A',
  target: 'OWN-A',
  position: 'reachable',
};

/** A kernel with these lines in its nat table and these sets. */
function kernel(nat: readonly string[], sets = ''): KernelSnapshot {
  const builtins = ['PREROUTING', 'OUTPUT', 'POSTROUTING'];
  const chains = new Set(
    nat.map((line) => line.split(' ')[1] ?? '').filter((name) => !builtins.includes(name)),
  );
  const text = [
    '*nat',
    ...builtins.map((name) => `:${name} ACCEPT [0:0]`),
    ...Array.from(chains, (name) => `:${name} - [0:0]`),
    ...nat.filter((line) => line.startsWith('-A')),
    'COMMIT',
  ];
  return { tables: parseIptablesSave(text.join('\n')), sets: parseIpsetSave(sets) };
}

function stateOver(snapshot?: KernelSnapshot): RuleState {
  const state = new RuleState('IPv4', ownership);
  if (snapshot !== undefined) state.replaceApplied(snapshot);
  return state;
}

/** A plan in short, in the order in which it is executed. */
function inShort(plan: Plan): readonly string[] {
  return [
    ...plan.createSets.map((spec) => `create ${spec.name}`),
    ...plan.addMembers.map((change) => `add ${change.set} ${change.members.join(' ')}`),
    ...plan.earlyRules.map((early) => `early ${early.table} ${early.chain} ${early.rule}`),
    ...plan.writeChains.map((write) => `${write.isNew ? 'new' : 'write'} ${write.table} ${write.name}`),
    ...plan.jumps.map((change) => `${change.kind} ${change.table} ${change.builtin} ${change.rule}`),
    ...plan.removeMembers.map((change) => `remove ${change.set} ${change.members.join(' ')}`),
    ...plan.deleteChains.map(
      ({ table, name, isHeld }) => `${isHeld === true ? 'empty' : 'delete'} ${table} ${name}`,
    ),
    ...plan.destroySets.map((name) => `destroy ${name}`),
  ];
}

describe('a plan', () => {
  test('names everything in the order in which it has to happen', () => {
    const state = stateOver(
      kernel(
        ['-A OWN-OLD -j DROP', '-A OWN-B -j ACCEPT'],
        'create OWN-GONE hash:ip family inet\nadd OWN-GONE 10.0.0.9',
      ),
    );
    state.defineSet(set);
    state.addMember(set.name, '10.0.0.2');
    state.addMember(set.name, '10.0.0.1');
    state.setChain('nat', a, '-j OWN-B', 20);
    state.setChain('nat', b, '-j RETURN', 10);
    state.setJumps([jump]);
    const plan = state.plan();
    expect(inShort(plan)).toEqual([
      'create OWN-SET',
      'add OWN-SET 10.0.0.1 10.0.0.2',
      'write nat OWN-B',
      'new nat OWN-A',
      'insert nat PREROUTING -j OWN-A',
      'delete nat OWN-OLD',
      'destroy OWN-GONE',
    ]);
    expect(plan.writeChains.map((write) => write.rules)).toEqual(['-j RETURN', '-j OWN-B']);
    state.applied(plan);
    expect(isEmptyPlan(state.plan())).toBe(true);
  });

  test('sorts by stage, then table, then name, whatever the order of saying', () => {
    const names = ['OWN-C', 'OWN-A', 'OWN-B'].map((name) => chainName(name));
    for (const order of [names, names.toReversed()]) {
      const state = stateOver();
      for (const name of order) {
        state.setChain('nat', name, '', 1);
        state.setChain('filter', name, '', name === 'OWN-C' ? 0 : 1);
      }
      expect(inShort(state.plan())).toEqual([
        'new filter OWN-C',
        'new filter OWN-A',
        'new filter OWN-B',
        'new nat OWN-A',
        'new nat OWN-B',
        'new nat OWN-C',
      ]);
    }
  });

  test('sorts the changes of jumps by table and chain', () => {
    const state = stateOver(kernel(['-A POSTROUTING -j OWN-A', '-A OUTPUT -j OWN-A']));
    state.setJumps([jump]);
    expect(inShort(state.plan())).toEqual([
      'delete nat OUTPUT -j OWN-A',
      'delete nat POSTROUTING -j OWN-A',
      'insert nat PREROUTING -j OWN-A',
    ]);
  });

  test('is empty when something is changed and changed back', () => {
    const state = stateOver(kernel(['-A OWN-A -j DROP']));
    state.setChain('nat', a, '-j DROP', 0);
    state.setChain('nat', a, '-j ACCEPT', 0);
    expect(inShort(state.plan())).toEqual(['write nat OWN-A']);
    state.setChain('nat', a, '-j DROP', 0);
    expect(isEmptyPlan(state.plan())).toBe(true);
  });

  test('leaves a chain alone that means the same in another spelling', () => {
    const state = stateOver(
      kernel(['-A OWN-A -m tcp -p tcp -d 10.0.0.1 --dport 80 -j MARK --or-mark 0x4000']),
    );
    state.setChain('nat', a, '-d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x4000/0x4000', 0);
    expect(isEmptyPlan(state.plan())).toBe(true);
  });

  test('writes a chain that has a rule too many, too few, or in another order', () => {
    for (const rules of ['-j A\n-j B\n-j C', '-j A', '-j B\n-j A', '']) {
      const state = stateOver(kernel([':OWN-A', ...rules.split('\n').map((rule) => `-A OWN-A ${rule}`)]));
      state.setChain('nat', a, '-j A\n-j B', 0);
      expect(inShort(state.plan())).toEqual(['write nat OWN-A']);
    }
  });

  test('that is older than what is wanted now leaves the rest to the next one', () => {
    const state = stateOver();
    state.defineSet(set);
    state.addMember(set.name, '10.0.0.1');
    state.setChain('nat', a, '-j DROP', 0);
    const plan = state.plan();
    state.removeMember(set.name, '10.0.0.1');
    state.addMember(set.name, '10.0.0.2');
    state.setChain('nat', a, '-j ACCEPT', 0);
    state.setChain('nat', b, '', 0);
    state.applied(plan);
    expect(inShort(state.plan())).toEqual([
      'add OWN-SET 10.0.0.2',
      'write nat OWN-A',
      'new nat OWN-B',
      'remove OWN-SET 10.0.0.1',
    ]);
  });
});

describe('whose a chain is', () => {
  test('own chains that nobody wants are deleted, foreign ones never touched', () => {
    const state = stateOver(kernel(['-A OWN-A -j DROP', '-A CNI-X -j DROP', '-A PREROUTING -j CNI-X']));
    expect(inShort(state.plan())).toEqual(['delete nat OWN-A']);
  });

  test('a shared chain is written when it is wanted, and never deleted', () => {
    const state = stateOver(kernel(['-A SHARED -j DROP']));
    expect(isEmptyPlan(state.plan())).toBe(true);
    state.setChain('nat', shared, '-j ACCEPT', 0);
    expect(inShort(state.plan())).toEqual(['write nat SHARED']);
    state.applied(state.plan());
    state.removeChain('nat', shared);
    expect(isEmptyPlan(state.plan())).toBe(true);
  });

  test('a jump of somebody else to a shared chain stays', () => {
    const state = stateOver(kernel(['-A SHARED -j DROP', '-A PREROUTING -j SHARED']));
    state.setJumps([]);
    expect(isEmptyPlan(state.plan())).toBe(true);
  });

  test('known jumps to own chains that nobody asked for go, those of others stay and hold the chain', () => {
    const state = stateOver(
      kernel(['-A OWN-A -j DROP', '-A OUTPUT -j OWN-A', '-A PREROUTING -p tcp -j OWN-A']),
    );
    expect(inShort(state.plan())).toEqual(['delete nat OUTPUT -j OWN-A', 'empty nat OWN-A']);
    expect(state.heldByOthers()).toEqual([
      { kind: 'chain', name: 'OWN-A', table: 'nat', chain: 'PREROUTING', rule: '-p tcp -j OWN-A' },
    ]);
  });

  test('an own chain that a foreign one refers to is emptied once, since the kernel would refuse to delete it', () => {
    const state = stateOver(
      kernel(['-A CNI-X -s 10.0.0.1/32 -g OWN-A', '-A OWN-A -j DROP', '-A OWN-B -j DROP']),
    );
    expect(inShort(state.plan())).toEqual(['empty nat OWN-A', 'delete nat OWN-B']);
    state.applied(state.plan());
    expect(isEmptyPlan(state.plan())).toBe(true);
    expect(state.heldByOthers().map(({ name, chain, rule }) => [name, chain, rule])).toEqual([
      ['OWN-A', 'CNI-X', '-s 10.0.0.1/32 -g OWN-A'],
    ]);
  });

  test('what that one referred to goes, since it is emptied first', () => {
    const nat = ['-A CNI-X -j OWN-A', '-A OWN-A -j OWN-B', '-A OWN-B -j DROP'];
    const state = stateOver(kernel(nat));
    expect(inShort(state.plan())).toEqual(['empty nat OWN-A', 'delete nat OWN-B']);
    state.setChain('nat', a, '-j DROP', 0);
    expect(inShort(state.plan())).toEqual(['write nat OWN-A', 'delete nat OWN-B']);
    expect(state.heldByOthers()).toEqual([]);
  });

  test('a chain that is wanted again is filled, whoever refers to it', () => {
    const state = stateOver(kernel(['-A CNI-X -j OWN-A', '-A OWN-A -j DROP']));
    state.applied(state.plan());
    state.setChain('nat', a, '-j DROP', 0);
    expect(inShort(state.plan())).toEqual(['write nat OWN-A']);
  });

  test('a comment of a foreign rule holds nothing', () => {
    const state = stateOver(
      kernel(['-A CNI-X -m comment --comment "not -j OWN-A or so" -j DROP', '-A OWN-A -j DROP']),
    );
    expect(inShort(state.plan())).toEqual(['delete nat OWN-A']);
  });
});

describe('sets', () => {
  test('one that rules of others look into stays as it is, and who looks is named', () => {
    const sets = 'create OWN-X hash:ip family inet\nadd OWN-X 10.0.0.1\ncreate OWN-Y hash:ip family inet';
    const looks = '-m set ! --match-set OWN-X src -j DROP';
    const adds = '-j SET --add-set OWN-X dst';
    const state = stateOver(kernel([`-A CNI-X ${looks}`, `-A OUTPUT ${adds}`], sets));
    expect(inShort(state.plan())).toEqual(['destroy OWN-Y']);
    expect(state.heldByOthers().map(({ kind, name, chain, rule }) => [kind, name, chain, rule])).toEqual([
      ['set', 'OWN-X', 'CNI-X', looks],
      ['set', 'OWN-X', 'OUTPUT', adds],
    ]);
    state.replaceApplied(kernel([], sets));
    expect(inShort(state.plan())).toEqual(['destroy OWN-X', 'destroy OWN-Y']);
  });

  test('foreign ones are never touched, own ones that nobody wants go without being emptied', () => {
    const sets =
      'create CNI hash:ip family inet\nadd CNI 10.0.0.1\ncreate OWN-X hash:ip family inet\nadd OWN-X 10.0.0.1';
    const state = stateOver(kernel([], sets));
    expect(inShort(state.plan())).toEqual(['destroy OWN-X']);
    state.applied(state.plan());
    expect(isEmptyPlan(state.plan())).toBe(true);
  });

  test('only the members that differ are written', () => {
    const state = stateOver(
      kernel([], 'create OWN-SET hash:ip family inet\nadd OWN-SET 10.0.0.1\nadd OWN-SET 10.0.0.2'),
    );
    state.defineSet(set);
    state.addMember(set.name, '10.0.0.2');
    state.addMember(set.name, '10.0.0.3');
    expect(inShort(state.plan())).toEqual(['add OWN-SET 10.0.0.3', 'remove OWN-SET 10.0.0.1']);
  });
});

describe('a set in the kernel that will not do', () => {
  const small = 'create OWN-SET hash:ip family inet maxelem 2\nadd OWN-SET 10.0.0.1\nadd OWN-SET 10.0.0.2\n';

  function wanting(sets: string, spec: SetSpec = set): RuleState {
    const state = stateOver(kernel([], sets));
    state.defineSet(spec);
    state.addMember(set.name, '10.0.0.2');
    state.addMember(set.name, '10.0.0.3');
    return state;
  }

  test.each([true, false])(
    'is made anew with what it holds where it is too small; the rest comes in its order (known when it is read: %s)',
    (isKnown) => {
      const state = wanting(isKnown ? '' : small, { ...set, joinLast: true });
      if (isKnown) state.replaceApplied(kernel([], small));
      const plan = state.plan();
      const members = ['10.0.0.1', '10.0.0.2'];
      expect(plan.createSets).toEqual([
        {
          ...set,
          joinLast: true,
          replaces: { how: 'swap', reason: 'had room for 2 members', members },
        },
      ]);
      // Rules look into it already.
      expect(plan.addMembers).toEqual([{ set: set.name, members: ['10.0.0.3'], last: true }]);
      expect(plan.removeMembers).toEqual([{ set: set.name, members: ['10.0.0.1'] }]);
      state.applied(plan);
      expect(isEmptyPlan(state.plan())).toBe(true);
    },
  );

  test('may be larger than it need be', () => {
    expect(wanting(small.replace('maxelem 2', 'maxelem 1025')).plan().createSets).toEqual([]);
  });

  test('goes when nobody wants it, however small it is', () => {
    const state = wanting(small);
    state.removeSet(set.name);
    expect(inShort(state.plan())).toEqual(['destroy OWN-SET']);
  });

  test.each([
    ['create OWN-SET hash:net family inet\nadd OWN-SET 10.0.0.2\n', 'was hash:net for IPv4'],
    ['create OWN-SET hash:ip family inet6\nadd OWN-SET fd00::2\n', 'was hash:ip for IPv6'],
    ['create OWN-SET bitmap:port range 0-65535\nadd OWN-SET 80\n', 'was bitmap:port for IPv4'],
  ])('is destroyed and filled from nothing where it is of another type: %s', (sets, reason) => {
    const state = wanting(sets, { ...set, joinLast: true });
    const plan = state.plan();
    expect(plan.createSets).toMatchObject([{ name: 'OWN-SET', replaces: { how: 'destroy', reason } }]);
    expect(plan.addMembers).toEqual([{ set: set.name, members: ['10.0.0.2', '10.0.0.3'] }]);
    expect(plan.removeMembers).toEqual([]);
    state.applied(plan);
    expect(isEmptyPlan(state.plan())).toBe(true);
  });
});

describe('the sizes of sets', () => {
  const sets =
    'create OWN-SET hash:ip family inet\nadd OWN-SET 10.0.0.1\nadd OWN-SET 10.0.0.2\n' +
    'create CNI hash:ip family inet\nadd CNI 10.0.0.1\n';

  test.each<[string, readonly (readonly [string, number | undefined])[], readonly string[]]>([
    ['as they were left', [['OWN-SET', 2]], []],
    ['emptied', [['OWN-SET', 0]], ['OWN-SET has 0 members, not 2']],
    ['with a stranger', [['OWN-SET', 3]], ['OWN-SET has 3 members, not 2']],
    ['gone', [['CNI', 7]], ['OWN-SET is gone']],
    ['unknown', [['OWN-SET', undefined]], []],
  ])('%s', (_, sizes, found) => {
    const state = stateOver(kernel([], sets));
    state.defineSet(set);
    // What is wanted but not yet written is nobody's fault.
    state.addMember(set.name, '10.0.0.9');
    expect(state.setsOfOtherSize(new Map(sizes))).toEqual(found);
  });
});

describe('a set that is not needed any more', () => {
  test('goes after the rules that used it, whether its members were taken out or not', () => {
    const state = stateOver();
    state.defineSet(set);
    state.addMember(set.name, '10.0.0.1');
    state.setChain('nat', a, '-m set --match-set OWN-SET src -j DROP', 0);
    state.applied(state.plan());
    state.removeChain('nat', a);
    state.removeSet(set.name);
    expect(inShort(state.plan())).toEqual(['delete nat OWN-A', 'destroy OWN-SET']);
    state.applied(state.plan());
    expect(isEmptyPlan(state.plan())).toBe(true);
  });

  test('leaves nothing behind when it never came to be', () => {
    const state = stateOver();
    state.defineSet(set);
    state.addMember(set.name, '10.0.0.1');
    state.removeSet(set.name);
    expect(isEmptyPlan(state.plan())).toBe(true);
  });

  test('has its new members only, when it is needed again', () => {
    for (const isWrittenBetween of [true, false]) {
      const state = stateOver();
      state.defineSet(set);
      state.addMember(set.name, '10.0.0.1');
      state.addMember(set.name, '10.0.0.2');
      state.applied(state.plan());
      state.removeSet(set.name);
      if (isWrittenBetween) state.applied(state.plan());
      state.defineSet(set);
      state.addMember(set.name, '10.0.0.2');
      expect(inShort(state.plan())).toEqual(
        isWrittenBetween ? ['create OWN-SET', 'add OWN-SET 10.0.0.2'] : ['remove OWN-SET 10.0.0.1'],
      );
    }
  });
});

describe('early rules', () => {
  const early = '-m set --match-set OWN-SET dst,dst -j OWN-B';

  test('stand ahead of a chain that is taken over', () => {
    const state = stateOver(kernel(['-A OWN-A -j DROP', '-A OWN-B -j ACCEPT']));
    state.setChain('nat', b, '-j RETURN', 0);
    state.setChain('nat', a, `${early}\n-j OWN-B`, 9, early);
    expect(inShort(state.plan())).toEqual([`early nat OWN-A ${early}`, 'write nat OWN-B', 'write nat OWN-A']);
  });

  test.each<[string, readonly string[]]>([
    ['is new', ['-A OWN-B -j ACCEPT']],
    ['has the rule already', [`-A OWN-A ${early}`, '-A OWN-B -j ACCEPT']],
    ['would lead to a chain that is not there yet', ['-A OWN-A -j DROP']],
  ])('are not needed where the chain %s', (_, nat) => {
    const state = stateOver(kernel(nat));
    state.setChain('nat', b, '-j ACCEPT', 0);
    state.setChain('nat', a, `${early}\n-j OWN-B`, 9, early);
    expect(state.plan().earlyRules).toEqual([]);
    expect(state.plan().writeChains.map((write) => write.name)).toContain('OWN-A');
  });
});

describe('reading back', () => {
  function filled(): RuleState {
    const state = stateOver();
    state.defineSet(set);
    state.addMember(set.name, '10.0.0.1');
    state.setChain('nat', a, '-j OWN-B', 1);
    state.setChain('nat', b, '-j DROP', 0);
    state.setJumps([jump]);
    return state;
  }
  const complete = kernel(
    ['-A PREROUTING -j OWN-A', '-A OWN-A -j OWN-B', '-A OWN-B -j DROP'],
    'create OWN-SET hash:ip family inet\nadd OWN-SET 10.0.0.1',
  );

  test('after a restart with nothing changed there is nothing to do', () => {
    const state = filled();
    state.replaceApplied(complete);
    expect(isEmptyPlan(state.plan())).toBe(true);
  });

  test('is the same before and after saying what is wanted', () => {
    const before = stateOver(complete);
    before.defineSet(set);
    before.addMember(set.name, '10.0.0.1');
    before.setChain('nat', a, '-j OWN-B', 1);
    before.setChain('nat', b, '-j DROP', 0);
    before.setJumps([jump]);
    expect(isEmptyPlan(before.plan())).toBe(true);
  });

  test('after a failure, what got through is not written again', () => {
    const state = filled();
    state.plan();
    state.replaceApplied(kernel(['-A OWN-B -j DROP'], 'create OWN-SET hash:ip family inet'));
    expect(inShort(state.plan())).toEqual([
      'add OWN-SET 10.0.0.1',
      'new nat OWN-A',
      'insert nat PREROUTING -j OWN-A',
    ]);
  });

  test('after a flush by somebody else, everything is written again', () => {
    const state = filled();
    state.applied(state.plan());
    state.replaceApplied({ tables: new Map(), sets: new Map() });
    expect(inShort(state.plan())).toEqual([
      'create OWN-SET',
      'add OWN-SET 10.0.0.1',
      'new nat OWN-B',
      'new nat OWN-A',
      'insert nat PREROUTING -j OWN-A',
    ]);
  });

  test('finds what somebody added, changed and deleted', () => {
    const state = filled();
    state.applied(state.plan());
    state.replaceApplied(
      kernel(
        ['-A PREROUTING -j DROP', '-A PREROUTING -j OWN-A', '-A OWN-A -j ACCEPT', '-A OWN-X -j DROP'],
        'create OWN-SET hash:ip family inet\nadd OWN-SET 10.0.0.7',
      ),
    );
    expect(inShort(state.plan())).toEqual([
      'add OWN-SET 10.0.0.1',
      'new nat OWN-B',
      'write nat OWN-A',
      'delete nat PREROUTING -j OWN-A',
      'insert nat PREROUTING -j OWN-A',
      'remove OWN-SET 10.0.0.7',
      'delete nat OWN-X',
    ]);
  });

  test('of one table leaves the other tables and the sets alone', () => {
    const state = filled();
    state.applied(state.plan());
    state.replaceAppliedTable('filter', undefined);
    expect(isEmptyPlan(state.plan())).toBe(true);
    state.replaceAppliedTable('nat', complete.tables.get('nat'));
    expect(isEmptyPlan(state.plan())).toBe(true);
    state.replaceAppliedTable('nat', undefined);
    expect(inShort(state.plan())).toEqual([
      'new nat OWN-B',
      'new nat OWN-A',
      'insert nat PREROUTING -j OWN-A',
    ]);
  });

  test('tells what is in the kernel and what should be', () => {
    const state = stateOver(kernel(['-A OWN-A -j DROP']));
    state.setChain('nat', b, '-j ACCEPT', 0);
    expect([state.appliedChain('nat', a), state.desiredChain('nat', a)]).toEqual(['-j DROP', undefined]);
    expect([state.appliedChain('nat', b), state.desiredChain('nat', b)]).toEqual([undefined, '-j ACCEPT']);
  });
});

test('counts the rules that should be there, by table', () => {
  const state = stateOver();
  state.setChain('nat', a, '-j RETURN\n-j RETURN', 1);
  state.setChain('nat', b, '', 1);
  state.setChain('filter', a, '-j RETURN', 1);
  expect(state.countDesiredRules('nat')).toBe(2);
  expect(state.countDesiredRules('filter')).toBe(1);
  state.removeChain('nat', a);
  expect(state.countDesiredRules('nat')).toBe(0);
});

describe('tables that the kernel lacks', () => {
  const wanting = (): RuleState => {
    const state = stateOver();
    state.setChain('filter', a, '-j DROP', 1);
    state.setChain('nat', b, '-j RETURN', 1);
    state.setJumps([{ ...jump, rule: '-j OWN-B', target: 'OWN-B' }]);
    state.defineSet(set);
    return state;
  };
  const lacking = (...tables: readonly TableName[]): KernelSnapshot => ({
    ...kernel([]),
    unavailable: new Map(tables.map((table) => [table, 'no module'])),
  });

  test('are left out of the plan until they come, and all the rest is in it', () => {
    const state = wanting();
    state.replaceApplied(lacking('nat'));
    expect([...state.unavailable]).toEqual([['nat', 'no module']]);
    expect(inShort(state.plan())).toEqual(['create OWN-SET', 'new filter OWN-A']);
    state.applied(state.plan());
    expect(isEmptyPlan(state.plan())).toBe(true);
    state.replaceApplied(kernel([]));
    expect(inShort(state.plan())).toContain('new nat OWN-B');
    expect(inShort(state.plan())).toContain('insert nat PREROUTING -j OWN-B');
  });

  test('leave nothing to plan where there is no other', () => {
    const state = wanting();
    state.replaceApplied(lacking('filter', 'nat'));
    expect(isEmptyPlan(state.plan())).toBe(true);
  });
});

describe('what is left out', () => {
  const peers: SetSpec = { ...set, name: setName('OWN-PEERS'), joinLast: true };

  test('is in no plan, and comes back neither with the next change nor with the next look at the kernel', () => {
    const state = stateOver(kernel([]));
    state.setChain('nat', a, '-j ONE\n-j TWO\n-j THREE', 1, '-j TWO');
    state.defineSet(peers);
    for (const member of ['10.0.0.1', '10.0.0.2']) state.addMember(peers.name, member);
    state.leaveOut({ kind: 'rule', table: 'nat', chain: a, rule: '-j TWO' });
    state.leaveOut({ kind: 'member', set: peers.name, member: '10.0.0.2' });
    const plan = state.plan();
    expect(plan.writeChains.map(({ rules }) => rules)).toEqual(['-j ONE\n-j THREE']);
    expect(plan.addMembers).toEqual([{ set: peers.name, members: ['10.0.0.1'] }]);
    state.applied(plan);
    expect(isEmptyPlan(state.plan())).toBe(true);
    expect(state.setsOfOtherSize(new Map([[peers.name, 1]]))).toEqual([]);
    state.replaceApplied(
      kernel(
        ['-A OWN-A -j ONE', '-A OWN-A -j THREE'],
        'create OWN-PEERS hash:ip family inet maxelem 1024\nadd OWN-PEERS 10.0.0.1\n',
      ),
    );
    expect(isEmptyPlan(state.plan())).toBe(true);
    state.setChain('nat', a, '-j TWO\n-j FOUR', 1);
    state.addMember(peers.name, '10.0.0.3');
    expect(inShort(state.plan())).toEqual(['add OWN-PEERS 10.0.0.3', 'write nat OWN-A']);
    expect(state.plan().writeChains.map(({ rules }) => rules)).toEqual(['-j FOUR']);
  });

  test('is wanted again when nothing is left out any more', () => {
    const state = stateOver(kernel([]));
    state.setChain('nat', a, '-j ONE', 1);
    state.defineSet(peers);
    state.addMember(peers.name, '10.0.0.1');
    state.leaveOut({ kind: 'rule', table: 'nat', chain: a, rule: '-j TWO' });
    state.leaveOut({ kind: 'rule', table: 'nat', chain: a, rule: '-j ONE' });
    state.leaveOut({ kind: 'member', set: peers.name, member: '10.0.0.1' });
    state.setChain('nat', a, '-j ONE\n-j TWO\n-j THREE', 1, '-j TWO');
    state.applied(state.plan());
    expect(isEmptyPlan(state.plan())).toBe(true);
    state.leaveNothingOut();
    expect(state.leftOut()).toEqual([]);
    expect(inShort(state.plan())).toEqual(['add OWN-PEERS 10.0.0.1', 'write nat OWN-A']);
    expect(state.plan().writeChains.map(({ rules }) => rules)).toEqual(['-j ONE\n-j TWO\n-j THREE']);
  });

  test('is listed while it is wanted', () => {
    const state = stateOver(kernel([]));
    state.setChain('nat', a, '-j ONE', 1);
    state.defineSet(peers);
    state.addMember(peers.name, '10.0.0.1');
    const rule = { kind: 'rule', table: 'nat', chain: a, rule: '-j ONE' } as const;
    const member = { kind: 'member', set: peers.name, member: '10.0.0.1' } as const;
    state.leaveOut(rule);
    state.leaveOut(member);
    expect(state.leftOut()).toEqual([rule, member]);
    state.removeMember(peers.name, '10.0.0.1');
    state.removeChain('nat', a);
    expect(state.leftOut()).toEqual([]);
  });

  test('may be what translates or lets something through, but not what drops it', () => {
    const state = stateOver(kernel([]));
    state.defineSet(peers);
    state.defineSet(set);
    const rule = (table: 'nat' | 'filter', text: string) =>
      state.mayLeaveOut({ kind: 'rule', table, chain: a, rule: text });
    expect(rule('nat', '! -s 0.0.0.0/0 -j KUBE-MARK-MASQ')).toBe(true);
    expect(rule('nat', '-m mark ! --mark 0x4000/0x4000 -j RETURN')).toBe(false);
    expect(rule('filter', '-p tcp -j RETURN')).toBe(true);
    expect(rule('filter', '-j ACCEPT')).toBe(true);
    expect(rule('filter', '-j DROP')).toBe(false);
    expect(rule('filter', '-j REJECT --reject-with tcp-reset')).toBe(false);
    expect(rule('filter', '-m set --match-set X dst -j OWN-B')).toBe(false);
    const member = (name: SetSpec['name']) => state.mayLeaveOut({ kind: 'member', set: name, member: 'x' });
    expect([member(peers.name), member(set.name)]).toEqual([true, false]);
  });
});
