import { createFamily } from '../../controllers/sync/families.ts';
import type { FamilySync } from '../../controllers/sync/family-sync.ts';
import { parts as allParts, type Part } from '../../controllers/sync/part-ownership.ts';
import { KernelWriter, readSetSizes } from '../../pkg/apply/index.ts';
import type { SetSizes } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { Command, CommandResult } from '../../pkg/runtime/index.ts';
import type { FakeClock } from './fake-clock.ts';
import { type FakeCommandRunner, fakeCommandRunner, inputOf } from './fake-command-runner.ts';

type Program = 'save' | 'restore';

/** Both families on programs that answer as they are told: nothing is in the kernel, everything succeeds. */
export interface FakeFamilies {
  readonly families: readonly FamilySync[];
  readonly commands: FakeCommandRunner;
  readonly setSizes: (signal: AbortSignal) => Promise<SetSizes>;
  /** What the program answers from now on; `undefined`: success, with nothing to show. */
  answer(family: Family, program: Program, result: Partial<CommandResult> | undefined): void;
  /** The same for those calls alone that have these words in their arguments or begin so on standard input. */
  answerFor(family: Family, words: readonly string[], result: Partial<CommandResult>): void;
  /** What `ipset` shows from now on: its sets with their members, or only their heads. */
  showSets(command: 'save' | 'list', stdout: string): void;
  /** Names of the programs that ran since the last call, with their tables. */
  ran(): readonly string[];
}

/** `parts`: those that Weir has to do with. Defaults to all. */
export function fakeFamilies(clock: FakeClock, parts: readonly Part[] = allParts): FakeFamilies {
  const answers = new Map<string, Partial<CommandResult>>();
  const file = (family: Family, program: Program): string =>
    `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-nft-${program}`;
  const special: {
    readonly family: Family;
    readonly words: readonly string[];
    readonly result: Partial<CommandResult>;
  }[] = [];
  const program =
    (name: string) =>
    (command: Command): Partial<CommandResult> => {
      const text = [...command.args, inputOf(command)].join(' ');
      const found = special.find(
        ({ family, words }) =>
          name.startsWith(family === 'IPv4' ? 'iptables' : 'ip6tables') && text.includes(words.join(' ')),
      );
      const result = found?.result ?? answers.get(name) ?? {};
      return name.endsWith('-save') ? withTable(command.args.at(-1) ?? '', result) : result;
    };
  const names = (['IPv4', 'IPv6'] as const).flatMap((family) => [
    file(family, 'save'),
    file(family, 'restore'),
  ]);
  const listing = (family: Family) => (): Partial<CommandResult> => {
    const saved = withTable('filter', answers.get(file(family, 'save')) ?? {});
    return { ...saved, stdout: listed(saved.stdout ?? '') };
  };
  const scripts = [
    ...names.map((name) => [name, program(name)] as const),
    ['iptables-nft', listing('IPv4')] as const,
    ['ip6tables-nft', listing('IPv6')] as const,
  ];
  const sets = new Map<string, string>();
  const commands = fakeCommandRunner({
    ...Object.fromEntries(scripts),
    ipset: ({ args }) => ({ stdout: sets.get(args[0] ?? '') ?? '' }),
  });
  let seen = 0;
  const families = (['IPv4', 'IPv6'] as const).map((family) => {
    const tools = {
      family,
      backend: 'nft',
      save: file(family, 'save'),
      restore: file(family, 'restore'),
      list: file(family, 'save').replace('-save', ''),
    } as const;
    const writer = new KernelWriter({ tools, commands, clock, onContention: () => undefined });
    return createFamily(family, writer, clock, parts);
  });
  return {
    families,
    commands,
    setSizes: (signal) => readSetSizes(commands, signal),
    answerFor: (family, words, result) => void special.push({ family, words, result }),
    answer: (family, kind, result) => {
      special.splice(0);
      if (result === undefined) answers.delete(file(family, kind));
      else answers.set(file(family, kind), result);
    },
    showSets: (command, stdout) => void sets.set(command, stdout),
    ran: () => {
      const lines = commands.lines.slice(seen);
      seen = commands.lines.length;
      return lines.map((line) => line.replace(/ (--noflush|-exist|-w).*/, ''));
    },
  };
}

/** An answer of iptables-save that has this table in it: one of another program without rules, unless the answer says otherwise. */
function withTable(table: string, result: Partial<CommandResult>): Partial<CommandResult> {
  const { stdout = '', exitCode = 0 } = result;
  const isWhole = exitCode !== 0 || stdout.includes(`*${table}\n`);
  return isWhole ? result : { ...result, stdout: stdout + emptyTable(table) };
}

function emptyTable(table: string): string {
  const chains = table === 'nat' ? ['PREROUTING', 'OUTPUT', 'POSTROUTING'] : ['INPUT', 'FORWARD', 'OUTPUT'];
  return `*${table}\n${chains.map((chain) => `:${chain} ACCEPT [0:0]\n`).join('')}:OTHERS - [0:0]\nCOMMIT\n`;
}

/** The filter table of `iptables-save` as `iptables -S` lists it. */
function listed(saved: string): string {
  const [, filter = ''] = /^\*filter\n(.*?)^COMMIT$/msu.exec(saved) ?? [];
  return filter.replaceAll(/^:(\S+) - .*$/gmu, '-N $1').replaceAll(/^:(\S+ \S+).*$/gmu, '-P $1');
}
