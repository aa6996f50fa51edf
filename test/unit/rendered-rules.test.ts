import { describe, expect, test } from 'vitest';
import { checkJumps, type KernelSnapshot, parseRule, printRule } from '../../pkg/kernel/index.ts';
import { renderedSnapshot, type ServiceObjects, serviceOptions } from '../support/rendered-snapshot.ts';
import { manyServices, serviceStates } from '../support/service-states.ts';

const topology = { nodeName: 'node-a', zone: undefined };
/** Chains that kube-proxy deletes when it comes back, each flushed and deleted by itself. */
const perService = /^KUBE-(SVC|SVL|EXT|FW|SEP)-/u;

describe.each(['IPv4', 'IPv6'] as const)('the rules of one family, %s', (family) => {
  const states: readonly (readonly [string, readonly ServiceObjects[]])[] = [
    ...serviceStates(family).map((state) => [state.name, state.objects] as const),
    ['two thousand', manyServices(family, 2000)],
  ];

  describe.each(states)('%s', (name, objects) => {
    const kernel = renderedSnapshot(serviceOptions(family), topology, objects);
    const lines = allLines(kernel);

    test('every jump leads somewhere, and every chain is reached', () => {
      const problems = [...kernel.tables.values()].flatMap((table) => checkJumps(table));
      // Who loses an address to another Service keeps a chain that nothing leads to.
      const isLoser = name.startsWith('two that');
      const unexpected = problems.filter((problem) => !isLoser || !problem.chain.startsWith('KUBE-EXT-'));
      expect(unexpected).toEqual([]);
    });

    test('every set that is asked is there, and every set is asked', () => {
      const asked = new Set(lines.flatMap((line) => /--match-set (\S+)/u.exec(line.rule)?.[1] ?? []));
      const present = new Set<string>(kernel.sets.keys());
      const missing = [...asked].filter((set) => !present.has(set));
      const unasked = [...kernel.sets.keys()].filter((set) => !asked.has(set));
      expect(missing).toEqual([]);
      // Source ranges are asked by the chains of Services that have some.
      expect(unasked.filter((set) => !set.endsWith('-SOURCE-RANGES'))).toEqual([]);
      expect(unasked.flatMap((set) => [...(kernel.sets.get(set)?.members ?? [])])).toEqual([]);
    });

    test('every rule is one that the kernel prints in the same words', () => {
      const changed = lines.filter(({ rule }) => printRule(parseRule(rule, family), family) !== rule);
      expect(changed).toEqual([]);
      expect(
        lines.filter(({ rule }) => parseRule(rule).matches.some((match) => match.kind === 'unknown')),
      ).toEqual([]);
    });

    test('only chains that kube-proxy knows lead to the chains that it deletes', () => {
      const others = lines.filter(({ rule, chain }) => {
        const { target } = parseRule(rule);
        return (
          target.kind === 'jump' &&
          perService.test(target.chain) &&
          !/^KUBE-(SERVICES|NODEPORTS)$/u.test(chain)
        );
      });
      expect(others.filter(({ chain }) => !perService.test(chain))).toEqual([]);
    });

    test('nf_tables’ limit of 15 nested calls is far', () => {
      expect(depthOf(kernel)).toBeLessThanOrEqual(12);
    });

    test('names are such as the kernel takes', () => {
      const chains = [...kernel.tables.values()].flatMap((table) => [...table.chains.keys()]);
      expect([
        ...chains.filter((one) => one.length > 28),
        ...[...kernel.sets.keys()].filter((one) => one.length > 31),
      ]).toEqual([]);
    });
  });
});

function allLines(kernel: KernelSnapshot): readonly { readonly chain: string; readonly rule: string }[] {
  return [...kernel.tables.values()].flatMap(({ chains, builtins }) => [
    ...[...chains].flatMap(([chain, rules]) =>
      rules === '' ? [] : rules.split('\n').map((rule) => ({ chain, rule })),
    ),
    ...[...builtins].flatMap(([chain, rules]) => rules.map((rule) => ({ chain, rule }))),
  ]);
}

/** How many chains a packet is in at once, at most. */
function depthOf(kernel: KernelSnapshot): number {
  const depths = new Map<string, number>();
  const nat = new Map<string, string>(kernel.tables.get('nat')?.chains);
  const depth = (chain: string): number => {
    const rules = nat.get(chain);
    if (rules === undefined) return 0;
    const known = depths.get(chain);
    if (known !== undefined) return known;
    const below = rules.split('\n').map((rule) => depth(/ ?-j (KUBE-\S+)$/u.exec(rule)?.[1] ?? ''));
    depths.set(chain, 1 + Math.max(...below));
    return 1 + Math.max(...below);
  };
  return depth('KUBE-SERVICES');
}
