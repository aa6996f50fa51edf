import type {
  ChainName,
  JumpChange,
  KernelSnapshot,
  MemberChange,
  Plan,
  SetCreation,
  SetName,
  SetSnapshot,
  TableName,
  TableSnapshot,
} from '../../pkg/kernel/index.ts';

/** A kernel that only remembers, and refuses what the real one would: a rule that leads to or asks for what is not there. */
export class FakeKernel {
  readonly #chains = new Map<TableName, Map<ChainName, string>>([
    ['filter', new Map()],
    ['nat', new Map()],
  ]);
  readonly #builtins = new Map<TableName, Map<string, string[]>>([
    ['filter', emptyBuiltins(['INPUT', 'FORWARD', 'OUTPUT'])],
    ['nat', emptyBuiltins(['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'])],
  ]);
  readonly #policies = new Map<TableName, ReadonlyMap<string, string>>();
  readonly #sets = new Map<SetName, { readonly spec: SetSnapshot['spec']; readonly members: Set<string> }>();

  load(snapshot: KernelSnapshot): void {
    for (const [table, content] of snapshot.tables) {
      this.#policies.set(table, content.policies);
      for (const [name, rules] of content.chains) this.#table(table).set(name, rules);
      for (const [name, lines] of content.builtins) this.#builtins.get(table)?.set(name, [...lines]);
    }
    for (const [name, set] of snapshot.sets) this.#sets.set(name, { ...set, members: new Set(set.members) });
  }

  /** In the order of the plan's fields, as it is executed; `afterEach` may look at every state on the way. */
  apply(plan: Plan, afterEach: () => void = () => undefined): void {
    for (const step of this.#steps(plan)) {
      step();
      afterEach();
    }
  }

  #steps(plan: Plan): readonly (() => void)[] {
    return [
      ...plan.createSets.map((spec) => () => this.#create(spec)),
      ...plan.addMembers.map((change) => () => this.#add(change)),
      ...plan.earlyRules.map((early) => () => this.#insertEarly(early)),
      ...plan.writeChains.map(
        ({ table, name, rules }) =>
          () =>
            this.#write(table, name, rules),
      ),
      () => {
        for (const change of plan.jumps) this.#changeJump(change);
      },
      ...plan.removeMembers.map((change) => () => this.#remove(change)),
      () => this.#deleteChains(plan.deleteChains),
      ...plan.destroySets.map((name) => () => this.#destroy(name)),
    ];
  }

  snapshot(): KernelSnapshot {
    const tables = new Map<TableName, TableSnapshot>();
    for (const [table, chains] of this.#chains) {
      const builtins = this.#builtins.get(table) ?? new Map<string, string[]>();
      tables.set(table, {
        chains: new Map([...chains].toSorted(byKey)),
        builtins: new Map(Array.from(builtins, ([name, lines]) => [name, [...lines]])),
        policies: new Map(
          Array.from(builtins.keys(), (name) => [name, this.#policies.get(table)?.get(name) ?? 'ACCEPT']),
        ),
      });
    }
    const sets = Array.from(
      this.#sets,
      ([name, { spec, members }]) => [name, { spec, members: new Set([...members].toSorted()) }] as const,
    );
    return { tables, sets: new Map(sets.toSorted(byKey)) };
  }

  #create({ replaces, ...spec }: SetCreation): void {
    const before = this.#sets.get(spec.name)?.spec;
    if ((before !== undefined) !== (replaces !== undefined))
      throw new Error(`set ${spec.name} is ${before === undefined ? 'not there' : 'there already'}`);
    if (replaces?.how === 'destroy') this.#destroy(spec.name);
    if (replaces?.how === 'swap' && (before?.type !== spec.type || before.family !== spec.family))
      throw new Error(`${spec.name} cannot be swapped: its type does not match`);
    this.#sets.set(spec.name, { spec, members: new Set(replaces?.members) });
  }

  #add({ set, members }: MemberChange): void {
    const maxElements = this.#sets.get(set)?.spec.maxElements ?? 0;
    for (const member of members) this.#members(set).add(member);
    if (this.#members(set).size > maxElements) throw new Error(`${set} is full`);
  }

  #remove({ set, members }: MemberChange): void {
    for (const member of members) {
      if (!this.#members(set).delete(member)) throw new Error(`${member} is not in ${set}`);
    }
  }

  #insertEarly({ table, chain, rule }: Plan['earlyRules'][number]): void {
    const rules = this.#table(table).get(chain);
    this.#write(table, chain, rules === '' ? rule : `${rule}\n${rules}`);
  }

  #changeJump({ kind, table, builtin, rule, at = 1 }: JumpChange): void {
    const lines = this.#builtins.get(table)?.get(builtin) ?? [];
    this.#checkReferences(table, rule);
    if (kind === 'insert' && at > lines.length + 1) throw new Error(`no place ${at} in ${builtin}`);
    if (kind === 'insert') lines.splice(at - 1, 0, rule);
    else if (lines.includes(rule)) lines.splice(lines.indexOf(rule), 1);
    else throw new Error(`no such rule in ${builtin}: ${rule}`);
  }

  #deleteChains(chains: Plan['deleteChains']): void {
    for (const { table, name, isHeld } of chains) {
      if (!this.#table(table).delete(name)) throw new Error(`no chain ${name} to delete`);
      if (isHeld === true) this.#table(table).set(name, '');
    }
    for (const { table, name, isHeld } of chains) {
      if (isHeld !== true && this.#allRules(table).some((rule) => rule.endsWith(`-j ${name}`)))
        throw new Error(`${name} is still referred to`);
    }
  }

  #destroy(name: SetName): void {
    if ([...this.#chains.keys()].some((table) => this.#usesSet(table, name)))
      throw new Error(`set ${name} is in use`);
    this.#sets.delete(name);
  }

  #write(table: TableName, chain: ChainName, rules: string): void {
    for (const rule of rules.split('\n')) this.#checkReferences(table, rule);
    this.#table(table).set(chain, rules);
  }

  #checkReferences(table: TableName, rule: string): void {
    const target = /-[jg] ((?:KUBE|WEIR)-\S+)$/u.exec(rule)?.[1];
    if (target !== undefined && !this.#table(table).has(target as ChainName))
      throw new Error(`no chain ${target} for: ${rule}`);
    const set = /--match-set (\S+)/u.exec(rule)?.[1];
    if (set !== undefined && !this.#sets.has(set as SetName)) throw new Error(`no set ${set} for: ${rule}`);
  }

  #allRules(table: TableName): readonly string[] {
    const builtins = [...(this.#builtins.get(table)?.values() ?? [])].flat();
    return [...builtins, ...[...this.#table(table).values()].flatMap((rules) => rules.split('\n'))];
  }

  #usesSet(table: TableName, set: string): boolean {
    return this.#allRules(table).some((rule) => rule.includes(`--match-set ${set} `));
  }

  #table(table: TableName): Map<ChainName, string> {
    let chains = this.#chains.get(table);
    if (chains === undefined) {
      chains = new Map();
      this.#chains.set(table, chains);
    }
    return chains;
  }

  #members(set: SetName): Set<string> {
    const found = this.#sets.get(set);
    if (found === undefined) throw new Error(`no set ${set}`);
    return found.members;
  }
}

function emptyBuiltins(names: readonly string[]): Map<string, string[]> {
  return new Map(names.map((name) => [name, []]));
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}
