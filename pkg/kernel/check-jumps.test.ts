import { describe, expect, test } from 'vitest';
import { checkJumps, type JumpProblem } from './check-jumps.ts';
import { parseIptablesSave } from './parse-iptables-save.ts';

function problems(...lines: readonly string[]): readonly JumpProblem[] {
  const table = parseIptablesSave(['*nat', ':PREROUTING ACCEPT [0:0]', ...lines, 'COMMIT'].join('\n')).get(
    'nat',
  );
  return table === undefined ? [] : checkJumps(table);
}

describe('checkJumps', () => {
  test('finds nothing wrong where every chain is there and reached', () => {
    const declared = [':A - [0:0]', ':B - [0:0]'];
    expect(problems(...declared, '-A PREROUTING -j A', '-A A -p tcp -g B', '-A B -j ACCEPT')).toEqual([]);
  });

  test('names jumps to chains that are not there, and from where', () => {
    expect(problems(':A - [0:0]', '-A PREROUTING -j A', '-A A -j GONE', '-A PREROUTING -g GONE')).toEqual([
      { kind: 'missing', chain: 'GONE', from: 'A' },
      { kind: 'missing', chain: 'GONE', from: 'PREROUTING' },
    ]);
  });

  test('names chains that no rule refers to', () => {
    expect(problems(':B - [0:0]', ':A - [0:0]', '-A A -j ACCEPT')).toEqual([
      { kind: 'unreferenced', chain: 'A' },
      { kind: 'unreferenced', chain: 'B' },
    ]);
  });

  test('does not take targets of iptables for chains', () => {
    expect(
      problems('-A PREROUTING -j LOG', '-A PREROUTING -j MASQUERADE', '-A PREROUTING -j RETURN'),
    ).toEqual([]);
  });
});
