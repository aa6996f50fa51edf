import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../test/support/random.ts';
import { chainName } from '../../kernel/index.ts';
import { addressKey, addressPrefixMatches } from './dispatch-keys.ts';
import { DispatchTree, type TreeChange } from './dispatch-tree.ts';

/** A tree and what its changes add up to: the chains as a kernel would hold them. */
class TestedTree {
  readonly chains = new Map<string, { readonly rules: string; readonly depth: number }>();
  root = '';
  readonly #tree: DispatchTree;

  constructor(wasSplit: (chain: string | undefined) => boolean = () => false) {
    this.#tree = new DispatchTree({
      chainOf: (prefix) => chainName(`T-${prefix}`),
      matchesOf: (prefix) => [{ kind: 'comment', text: prefix }],
      wasSplit,
    });
  }

  set(...keys: readonly string[]): void {
    for (const key of keys) this.#tree.set(key, `leaf ${key}`);
  }

  delete(...keys: readonly string[]): void {
    for (const key of keys) this.#tree.delete(key);
  }

  update(): TreeChange | undefined {
    const change = this.#tree.update();
    if (change === undefined) return undefined;
    this.root = change.rootRules;
    for (const { name, rules, depth } of change.chains) {
      if (rules !== undefined) this.chains.set(name, { rules, depth });
      else if (!this.chains.delete(name)) throw new Error(`${name} was not there to delete`);
    }
    return change;
  }

  text(): readonly string[] {
    const chains = Array.from(this.chains, ([name, { rules, depth }]) => `${name} (${depth})\n${rules}`);
    return [this.root, ...chains.toSorted()];
  }

  isSplit(chain: string | undefined): boolean {
    const rules = chain === undefined ? this.root : this.chains.get(chain)?.rules;
    return rules?.includes('-j T-') ?? false;
  }

  /** How often a packet for `key` meets its rule, and all chains that it walks through. */
  walk(key: string): { readonly hits: number; readonly chains: readonly string[] } {
    const chains: string[] = [];
    let hits = 0;
    const visit = (rules: string): void => {
      for (const line of rules.split('\n')) {
        if (line === `leaf ${key}`) hits += 1;
        const jump = /--comment (\S+) -j (\S+)/u.exec(line);
        if (jump === null || !key.startsWith(jump[1] ?? '-')) continue;
        const target = this.chains.get(jump[2] ?? '');
        if (target === undefined) throw new Error(`no chain ${jump[2]}`);
        chains.push(jump[2] ?? '');
        visit(target.rules);
      }
    };
    visit(this.root);
    return { hits, chains };
  }
}

/** What is wrong with the chains. */
function problems(
  tree: TestedTree,
  present: ReadonlySet<string>,
  absent: Iterable<string>,
): readonly string[] {
  const found: string[] = [];
  const reached = new Set<string>();
  for (const key of present) {
    const { hits, chains } = tree.walk(key);
    if (hits !== 1) found.push(`${key} is met ${hits} times`);
    for (const chain of chains) reached.add(chain);
  }
  for (const key of absent) if (tree.walk(key).hits > 0) found.push(`${key} is still there`);
  for (const [name, { rules, depth }] of tree.chains) {
    const length = rules.split('\n').length;
    if (!reached.has(name)) found.push(`${name} is left over`);
    if (depth > 6) found.push(`${name} is at depth ${depth}`);
    if (depth < 6 && length > 64) found.push(`${name} has ${length} rules`);
  }
  return found;
}

const digits = ['0', '1', 'a'] as const;
/** Keys of a few digits only, so that many share the beginning. */
const key = fc
  .array(fc.constantFrom(...digits), { minLength: 7, maxLength: 7 })
  .map((parts) => parts.join(''));
/** 80 keys that share five digits, or one key. */
const block = fc
  .record({
    prefix: fc.array(fc.constantFrom(...digits), { minLength: 5, maxLength: 5 }),
    isLarge: fc.boolean(),
  })
  .map(({ prefix, isLarge }) => {
    const text = prefix.join('');
    const count = isLarge ? 80 : 1;
    return Array.from({ length: count }, (_, index) => text + index.toString(16).padStart(2, '0'));
  });
const steps = fc.array(
  fc.record({
    keys: fc.oneof(block, fc.array(key, { maxLength: 40 })),
    isPresent: fc.boolean(),
    updates: fc.boolean(),
  }),
  { minLength: 1, maxLength: 30 },
);

describe('DispatchTree', () => {
  test('after any changes: every key is reached once, nothing is left over, no chain is too long or too deep', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const tree = new TestedTree();
        const present = new Set<string>();
        const gone = new Set<string>();
        const found: string[] = [];
        for (const { keys, isPresent, updates } of list) {
          for (const one of keys) {
            if (isPresent) tree.set(one);
            else tree.delete(one);
            (isPresent ? present : gone).add(one);
            (isPresent ? gone : present).delete(one);
          }
          if (updates) {
            tree.update();
            found.push(...problems(tree, present, gone));
          }
        }
        tree.update();
        expect([...found, ...problems(tree, present, gone)]).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  test('built anew beside the chains of one that has a past, it comes to the same chains', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const tree = new TestedTree();
        const present = new Set<string>();
        for (const { keys, isPresent, updates } of list) {
          for (const one of keys) {
            if (isPresent) tree.set(one);
            else tree.delete(one);
            if (isPresent) present.add(one);
            else present.delete(one);
          }
          if (updates) tree.update();
        }
        tree.update();
        const anew = new TestedTree((chain) => tree.isSplit(chain));
        anew.set(...present);
        anew.update();
        expect(anew.text()).toEqual(tree.text());
      }),
      { numRuns: 150 },
    );
  });

  test('where no node is between the two limits, the past does not show at all', () => {
    const blocks = fc.array(
      fc.record({
        keys: block,
        isPresent: fc.boolean(),
        noise: fc.array(key, { maxLength: 60 }),
        updates: fc.boolean(),
      }),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(blocks, (list) => {
        const tree = new TestedTree();
        const present = new Map<string, readonly string[]>();
        const noise = new Set<string>();
        for (const { keys, isPresent, noise: more, updates } of list) {
          const [first = ''] = keys;
          tree.delete(...(present.get(first) ?? []));
          present.delete(first);
          if (isPresent) {
            tree.set(...keys);
            present.set(first, keys);
          }
          tree.set(...more);
          for (const one of more) noise.add(one);
          if (updates) tree.update();
        }
        const wanted = new Set([...present.values()].flat());
        tree.delete(...noise);
        tree.update();
        tree.set(...wanted);
        tree.update();
        const anew = new TestedTree();
        anew.set(...wanted);
        anew.update();
        expect(tree.text()).toEqual(anew.text());
      }),
      { numRuns: 150 },
    );
  });

  test('says nothing when nothing changed', () => {
    const tree = new TestedTree();
    tree.set('0001');
    expect(tree.update()).toEqual({ rootRules: 'leaf 0001', chains: [] });
    expect(tree.update()).toBeUndefined();
    tree.set('0001');
    tree.delete('0002');
    expect(tree.update()).toBeUndefined();
  });

  test('is empty again when all is gone', () => {
    const tree = new TestedTree();
    const keys = numbered(500);
    tree.set(...keys);
    tree.update();
    tree.delete(...keys);
    tree.update();
    expect(tree.text()).toEqual(['']);
  });

  test('names deeper chains first, so that each is there before a rule leads to it', () => {
    const tree = new TestedTree();
    tree.set(...numbered(5000));
    const depths = tree.update()?.chains.map((chain) => chain.depth) ?? [];
    expect(depths).toEqual(depths.toSorted((a, b) => b - a));
    expect(new Set(depths).size).toBeGreaterThan(1);
  });

  test('spends no chain on digits that all keys share', () => {
    const tree = new TestedTree();
    tree.set(...numbered(100).map((one) => `aaaaaaaa${one}`));
    expect(tree.update()?.chains.map((chain) => chain.depth)).toEqual([1, 1, 1, 1, 1, 1, 1]);
  });
});

test('goes no deeper than six chains, whatever the keys are', () => {
  const tree = new TestedTree();
  const stairs = Array.from({ length: 12 }, (_, step) =>
    numbered(80).map((one) => `${'f'.repeat(step)}0${one}`.padEnd(20, '0')),
  ).flat();
  tree.set(...stairs);
  tree.update();
  expect(problems(tree, new Set(stairs), [])).toEqual([]);
  const depths = Array.from(tree.chains.values(), (chain) => chain.depth);
  expect(Math.max(...depths)).toBe(6);
});

/** `0000`, `0001` … */
function numbered(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => index.toString(16).padStart(4, '0'));
}

describe('hysteresis', () => {
  test('splits above 64 rules, and merges at 48', () => {
    const tree = new TestedTree();
    const keys = numbered(65);
    tree.set(...keys.slice(0, 64));
    tree.update();
    expect(tree.chains.size).toBe(0);
    tree.set(...keys);
    tree.update();
    expect(tree.chains.size).toBeGreaterThan(0);
    tree.delete(...keys.slice(49));
    tree.update();
    expect(tree.chains.size).toBeGreaterThan(0);
    tree.delete(...keys.slice(48));
    tree.update();
    expect(tree.chains.size).toBe(0);
  });

  test('one key more or less around the limit rewrites one chain each time', () => {
    const tree = new TestedTree();
    const keys = numbered(65);
    tree.set(...keys);
    tree.update();
    const { root } = tree;
    for (let round = 0; round < 5; round += 1) {
      tree.delete('0000');
      expect(tree.update()?.chains).toHaveLength(1);
      tree.set('0000');
      expect(tree.update()?.chains).toHaveLength(1);
      expect(tree.root).toBe(root);
    }
  });

  test('after a restart with 60 keys, the shape is the one that the kernel has', () => {
    for (const wasSplit of [true, false]) {
      const tree = new TestedTree((chain) => wasSplit && chain === undefined);
      tree.set(...numbered(60));
      tree.update();
      expect(tree.isSplit(undefined)).toBe(wasSplit);
    }
  });
});

describe('10,000 Services at random addresses of 10.96.0.0/12', () => {
  const random = seededRandom(1);
  const randomAddress = (): string => {
    const host = Math.floor(random() * 2 ** 20);
    return `10.${96 + (host >> 16)}.${(host >> 8) & 255}.${host & 255}`;
  };
  const makeKey = (): string => addressKey('IPv4', randomAddress(), 'TCP', 443);
  const tree = new DispatchTree({
    chainOf: (prefix) => chainName(`T-${prefix}`),
    matchesOf: (prefix) => addressPrefixMatches('IPv4', prefix),
    wasSplit: () => false,
  });
  const keys = new Set<string>();
  while (keys.size < 10_000) keys.add(makeKey());
  for (const one of keys) tree.set(one, `leaf ${one}`);
  const first = tree.update();

  test('a packet meets less than 150 rules on its way', () => {
    const rulesOf = new Map<string, readonly string[]>(
      first?.chains.map((chain) => [chain.name, chain.rules?.split('\n') ?? []]),
    );
    let worst = 0;
    const visit = (lines: readonly string[], before: number): void => {
      worst = Math.max(worst, before + lines.length);
      for (const line of lines) {
        const target = / -j (T-\S+)/u.exec(line)?.[1];
        if (target !== undefined) visit(rulesOf.get(target) ?? [], before + lines.length);
      }
    };
    visit(first?.rootRules.split('\n') ?? [], 0);
    expect(worst).toBeLessThan(150);
    expect(worst).toBeGreaterThan(16);
  });

  test('a changed, an added and a deleted Service touch at most three chains each', () => {
    const list = [...keys];
    for (let round = 0; round < 300; round += 1) {
      const one = list[Math.floor(random() * list.length)] ?? '';
      tree.set(one, `changed ${round}`);
      expect(tree.update()?.chains.length).toBeLessThanOrEqual(3);
      tree.delete(one);
      expect(tree.update()?.chains.length).toBeLessThanOrEqual(3);
      const added = makeKey();
      tree.set(added, `leaf ${added}`);
      const change = tree.update()?.chains ?? [];
      // A leaf that grows over the limit gets children of its own; all else stays as it is.
      const isSplit = new Set(change.map((chain) => chain.depth)).size > 1;
      expect(change.length).toBeLessThanOrEqual(isSplit ? 17 : 1);
    }
  });
});
