import { type ChainName, type Match, printRule } from '../../kernel/index.ts';

/** A node gets children when it has more rules than this … */
const splitAbove = 64;
/** … and loses them when it has no more than this: one Service more or less does not reshape the tree. */
const mergeBelow = 48;
/** nf_tables allows 15 nested calls in all; the Services' own chains need five. */
const maxDepth = 6;

export interface DispatchTreeOptions {
  /** Name of the chain for a prefix. */
  readonly chainOf: (prefix: string) => ChainName;
  /** What all keys with a prefix have in common, as a match. */
  readonly matchesOf: (prefix: string) => readonly Match[];
  /** Whether the kernel holds this chain as one with children; used where the tree has no memory of its own yet. */
  readonly wasSplit: (chain: ChainName | undefined) => boolean;
}

export interface TreeChain {
  readonly name: ChainName;
  /** `undefined`: the chain is not needed any more. */
  readonly rules: string | undefined;
  /** Depth below the root, from 1. */
  readonly depth: number;
}

export interface TreeChange {
  /** Rules of the root, which has no chain of its own: they belong into the chain that starts the dispatch. */
  readonly rootRules: string;
  readonly chains: readonly TreeChain[];
}

interface TreeNode {
  readonly prefix: string;
  readonly depth: number;
  readonly rules: string;
  /** Empty for a leaf. */
  readonly children: readonly TreeNode[];
}

/**
 * A radix tree over keys of hexadecimal digits, one chain a node: a packet meets tens of rules, however many entries
 * there are, and a change rewrites the chains on one path. Splits by one digit (4 bits) at the first digit in which
 * the entries of a node differ, so that digits which all share cost no chain.
 *
 * A leaf's chain is named after the digits that lead to it, so it keeps its name while its entries change.
 */
export class DispatchTree {
  readonly #options: DispatchTreeOptions;
  #keys: string[] = [];
  readonly #rules = new Map<string, string>();
  readonly #dirty = new Set<string>();
  #nodes = new Map<string, TreeNode>();

  constructor(options: DispatchTreeOptions) {
    this.#options = options;
  }

  /** Puts `rule` (a body) under `key`; all keys have the same length. */
  set(key: string, rule: string): void {
    if (this.#rules.get(key) === rule) return;
    this.#rules.set(key, rule);
    this.#dirty.add(key);
  }

  delete(key: string): void {
    if (this.#rules.delete(key)) this.#dirty.add(key);
  }

  /** Takes the changes in and tells which chains they touch. */
  update(): TreeChange | undefined {
    if (this.#dirty.size === 0) return undefined;
    this.#mergeKeys();
    const dirty = [...this.#dirty].toSorted();
    this.#dirty.clear();
    const before = this.#nodes;
    const after = new Map<string, TreeNode>();
    const kept = new Set<string>();
    const root = this.#build({ low: 0, high: this.#keys.length, prefix: '', depth: 0 }, dirty, after, kept);
    const chains: TreeChain[] = [];
    for (const node of after.values()) {
      const old = before.get(node.prefix);
      if (node.prefix === '' || (old?.rules === node.rules && old.depth === node.depth)) continue;
      chains.push({ name: this.#options.chainOf(node.prefix), rules: node.rules, depth: node.depth });
    }
    this.#nodes = new Map(before);
    for (const prefix of after.keys()) this.#forgetChildren(before.get(prefix), after, kept, chains);
    for (const [prefix, node] of after) this.#nodes.set(prefix, node);
    return {
      rootRules: root.rules,
      chains: chains.toSorted((a, b) => b.depth - a.depth || (a.name < b.name ? -1 : 1)),
    };
  }

  #mergeKeys(): void {
    // A handful of changes is cheapest in place; many at once by sorting anew.
    if (this.#dirty.size > 64) {
      this.#keys = [...this.#rules.keys()].toSorted();
      return;
    }
    for (const key of this.#dirty) {
      const index = lowerBound(this.#keys, key, 0, this.#keys.length);
      const present = this.#keys[index] === key;
      if (this.#rules.has(key) && !present) this.#keys.splice(index, 0, key);
      else if (!this.#rules.has(key) && present) this.#keys.splice(index, 1);
    }
  }

  #build(
    range: { readonly low: number; readonly high: number; readonly prefix: string; readonly depth: number },
    dirty: readonly string[],
    after: Map<string, TreeNode>,
    kept: Set<string>,
  ): TreeNode {
    const { low, high, prefix, depth } = range;
    const old = this.#nodes.get(prefix);
    if (old?.depth === depth && !touches(dirty, prefix)) {
      kept.add(prefix);
      return old;
    }
    const children = this.#shouldSplit(range, old) ? this.#split(range, dirty, after, kept) : [];
    const rules =
      children.length > 0
        ? children.map((child) => this.#jumpTo(child.prefix))
        : this.#keys.slice(low, high).map((key) => this.#rules.get(key) ?? '');
    const node = { prefix, depth, rules: rules.join('\n'), children };
    after.set(prefix, node);
    return node;
  }

  #shouldSplit(
    { low, high, prefix, depth }: { low: number; high: number; prefix: string; depth: number },
    old: TreeNode | undefined,
  ): boolean {
    const count = high - low;
    if (depth >= maxDepth || count <= mergeBelow) return false;
    if (count > splitAbove) return true;
    if (old !== undefined) return old.children.length > 0;
    return this.#options.wasSplit(prefix === '' ? undefined : this.#options.chainOf(prefix));
  }

  #split(
    { low, high, depth }: { low: number; high: number; depth: number },
    dirty: readonly string[],
    after: Map<string, TreeNode>,
    kept: Set<string>,
  ): readonly TreeNode[] {
    const common = commonPrefix(this.#keys[low] ?? '', this.#keys[high - 1] ?? '');
    const children: TreeNode[] = [];
    for (let start = low; start < high; ) {
      const prefix = (this.#keys[start] ?? '').slice(0, common.length + 1);
      const end = lowerBound(this.#keys, `${prefix}~`, start, high);
      children.push(this.#build({ low: start, high: end, prefix, depth: depth + 1 }, dirty, after, kept));
      start = end;
    }
    return children;
  }

  #jumpTo(prefix: string): string {
    return printRule({
      matches: this.#options.matchesOf(prefix),
      target: { kind: 'jump', chain: this.#options.chainOf(prefix) },
    });
  }

  /** Drops what hung below a node that was built anew and is not part of the tree any more. */
  #forgetChildren(
    old: TreeNode | undefined,
    after: ReadonlyMap<string, TreeNode>,
    kept: ReadonlySet<string>,
    chains: TreeChain[],
  ): void {
    for (const child of old?.children ?? []) {
      if (kept.has(child.prefix)) continue;
      if (!after.has(child.prefix) && this.#nodes.delete(child.prefix)) {
        chains.push({ name: this.#options.chainOf(child.prefix), rules: undefined, depth: child.depth });
      }
      this.#forgetChildren(child, after, kept, chains);
    }
  }
}

/** Whether any of the sorted keys begins with `prefix`. */
function touches(sorted: readonly string[], prefix: string): boolean {
  return sorted[lowerBound(sorted, prefix, 0, sorted.length)]?.startsWith(prefix) ?? false;
}

/** Index of the first key that is not smaller than `key`. */
function lowerBound(keys: readonly string[], key: string, from: number, to: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return a.slice(0, length);
}
