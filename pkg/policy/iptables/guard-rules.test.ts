import { describe, expect, test } from 'vitest';
import { bootGuardRules, forwardRules } from './forward-chain.ts';
import { parseGuardDrops } from './guard-rules.ts';

/** As `iptables-save -c` shows a chain: the rule of line n has met n + 1 packets. */
function saved(rules: string, chain = 'WEIR-FORWARD'): string {
  const lines = rules.split('\n').map((rule, index) => `[${index + 1}:900] -A ${chain} ${rule}`);
  return ['*filter', `:${chain} - [0:0]`, ...lines, 'COMMIT', ''].join('\n');
}

describe('what the guard dropped', () => {
  test.each([
    ['IPv4', ['10.0.0.0/24', '10.1.0.7/32']],
    ['IPv6', ['fd00::/64', 'fd01::7/128']],
  ] as const)('is found in the rules as they are written, in %s', (family, ranges) => {
    const established = 'keep';
    const rules = forwardRules({ family, established, guard: { ranges } });
    const first = rules.split('\n').findIndex((rule) => rule.includes('KNOWN')) + 1;
    expect(parseGuardDrops(saved(rules), family)).toEqual([
      { direction: 'Egress', range: ranges[0], packets: first },
      { direction: 'Ingress', range: ranges[0], packets: first + 1 },
      { direction: 'Egress', range: ranges[1], packets: first + 2 },
      { direction: 'Ingress', range: ranges[1], packets: first + 3 },
      { direction: 'Egress', range: undefined, packets: first + 4 },
      { direction: 'Ingress', range: undefined, packets: first + 5 },
    ]);
    expect(parseGuardDrops(saved(forwardRules({ family, established, guard: undefined })), family)).toEqual(
      [],
    );
  });

  test('is found in the rules of a node that boots', () => {
    expect(parseGuardDrops(saved(bootGuardRules('IPv4', ['10.0.0.0/24'])), 'IPv4')).toEqual([
      { direction: 'Egress', range: '10.0.0.0/24', packets: 2 },
      { direction: 'Ingress', range: '10.0.0.0/24', packets: 3 },
    ]);
  });

  test.each([
    ['another chain', saved('-m set --match-set WEIR-4-CLOSED src -j DROP', 'WEIR-FORWARD-2')],
    ['another set', saved('-m set --match-set WEIR-4-OTHER src -j DROP')],
    ['another family', saved('-m set --match-set WEIR-6-CLOSED src -j DROP')],
    ['another end', saved('-d 10.0.0.0/24 -m set ! --match-set WEIR-4-KNOWN src -j DROP')],
    ['no drop', saved('-m set --match-set WEIR-4-CLOSED src -j RETURN')],
    ['no block', saved('-s nonsense -m set ! --match-set WEIR-4-KNOWN src -j DROP')],
  ])('is nothing of %s', (_, text) => {
    expect(parseGuardDrops(text, 'IPv4')).toEqual([]);
  });
});
