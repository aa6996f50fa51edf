import type { CommandRunner } from '../runtime/index.ts';

/** What refers to a set: a rule, with the program that shows and deletes it, or a set of sets. */
export type SetHolder =
  | {
      readonly kind: 'rule';
      readonly program: string;
      readonly table: string;
      readonly chain: string;
      readonly rule: string;
    }
  | { readonly kind: 'set'; readonly name: string };

/** All that iptables-save prints of a node with 10,000 Services takes seconds. */
const timeoutMs = 60_000;

const programs = ['iptables-nft', 'ip6tables-nft', 'iptables-legacy', 'ip6tables-legacy'] as const;
/** Where no program has its backend in its name. */
const plainPrograms = ['iptables', 'ip6tables'] as const;

/**
 * What in the kernel refers to these sets: rules of every table of both iptables backends and both families, and sets of sets. For a set without an
 * entry nothing was found; something that is not looked at, such as a filter of tc, may refer to it all the same.
 */
export async function findSetHolders(
  commands: CommandRunner,
  sets: readonly string[],
): Promise<ReadonlyMap<string, readonly SetHolder[]>> {
  if (sets.length === 0) return new Map();
  const saves = await savedBy(commands, programs);
  const saved = saves.length > 0 ? saves : await savedBy(commands, plainPrograms);
  const inRules = saved.flatMap(({ program, text }) => rulesWithSets(program, text));
  const lists = await output(commands, 'ipset', ['save']);
  const inSets = [...(lists ?? '').matchAll(member)].map(
    ([, name = '', set = '']) => ({ set, holder: { kind: 'set', name } }) as const,
  );
  const found = Map.groupBy([...inRules, ...inSets], ({ set }) => set);
  return new Map(
    sets.flatMap((set) => {
      const holders = found.get(set)?.map(({ holder }) => holder);
      return holders === undefined ? [] : [[set, holders] as const];
    }),
  );
}

const setOption = /--(?:match|add|del|map|exist)-set (\S+)/g;
const member = /^add (\S+) (\S+)/gm;

/** Without -t a save shows the tables that exist, and creates none. */
async function savedBy(
  commands: CommandRunner,
  names: readonly string[],
): Promise<readonly { readonly program: string; readonly text: string }[]> {
  const texts = await Promise.all(names.map((program) => output(commands, `${program}-save`, [])));
  return names.flatMap((program, index) => {
    const text = texts[index];
    return text === undefined ? [] : [{ program, text }];
  });
}

/** `undefined` where the program is not installed. */
async function output(
  commands: CommandRunner,
  file: string,
  args: readonly string[],
): Promise<string | undefined> {
  const result = await commands.run({ file, args, captureOutput: true, timeoutMs });
  return result.spawnError === undefined ? result.stdout : undefined;
}

function rulesWithSets(
  program: string,
  saved: string,
): readonly { readonly set: string; readonly holder: SetHolder }[] {
  let table = '';
  return saved.split('\n').flatMap((line) => {
    if (line.startsWith('*')) table = line.slice(1);
    const [, chain = '', rule = ''] = line.includes('-set ') ? (/^-A (\S+) (.*)$/.exec(line) ?? []) : [];
    const sets = new Set([...rule.matchAll(setOption)].map(([, set = '']) => set));
    return [...sets].map((set) => ({ set, holder: { kind: 'rule', program, table, chain, rule } as const }));
  });
}
