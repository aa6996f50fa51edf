import { type RuleToken, tokenizeRule } from './rule-tokens.ts';

/** An option with its arguments. `raw` is the text it was written as, with its negation. */
export interface RuleOption {
  readonly name: string;
  readonly negated: boolean;
  readonly args: readonly string[];
  readonly raw: string;
}

/** `-m NAME` or a target, with the options that belong to it. */
export interface RuleModule {
  readonly name: string;
  readonly options: RuleOption[];
  /** Whether every option is one of those that the parser knows. */
  known: boolean;
}

/** A rule taken apart into words, before any of them is understood. */
export interface RuleWords {
  /** Options of iptables itself (`-s`, `-i`, `-p` …). */
  readonly head: readonly RuleOption[];
  readonly modules: readonly RuleModule[];
  readonly target: (RuleModule & { readonly goto: boolean }) | undefined;
}

type OptionCounts = ReadonlyMap<string, number>;

/** Options and how many arguments each takes. Maps, because words of a rule may be anything, `toString` too. */
function options(counts: Readonly<Record<string, number>>): OptionCounts {
  return new Map(Object.entries(counts));
}

const ports = { '--sport': 1, '--source-port': 1, '--dport': 1, '--destination-port': 1 };

/** Extensions that Weir has match values for. */
const moduleOptions: ReadonlyMap<string, OptionCounts> = new Map([
  ['tcp', options({ ...ports, '--tcp-flags': 2, '--syn': 0 })],
  ['udp', options(ports)],
  ['sctp', options(ports)],
  ['icmp', options({ '--icmp-type': 1 })],
  ['icmp6', options({ '--icmpv6-type': 1 })],
  ['comment', options({ '--comment': 1 })],
  ['conntrack', options({ '--ctstate': 1 })],
  ['state', options({ '--state': 1 })],
  ['mark', options({ '--mark': 1 })],
  ['addrtype', options({ '--src-type': 1, '--dst-type': 1 })],
  ['set', options({ '--match-set': 2 })],
  ['statistic', options({ '--mode': 1, '--probability': 1 })],
  [
    'recent',
    options({
      '--set': 0,
      '--rcheck': 0,
      '--update': 0,
      '--seconds': 1,
      '--reap': 0,
      '--name': 1,
      '--mask': 1,
      '--rsource': 0,
    }),
  ],
]);

/** Targets that Weir has values for. */
const targetOptions: ReadonlyMap<string, OptionCounts> = new Map([
  ['REJECT', options({ '--reject-with': 1 })],
  ['DNAT', options({ '--to-destination': 1 })],
  ['MASQUERADE', options({ '--random-fully': 0 })],
  ['MARK', options({ '--set-xmark': 1, '--set-mark': 1, '--or-mark': 1, '--xor-mark': 1, '--and-mark': 1 })],
]);

/** The extension that a protocol loads, by every way to write the protocol. */
const extensionOf: ReadonlyMap<string, string> = new Map([
  ['tcp', 'tcp'],
  ['6', 'tcp'],
  ['udp', 'udp'],
  ['17', 'udp'],
  ['sctp', 'sctp'],
  ['132', 'sctp'],
  ['icmp', 'icmp'],
  ['1', 'icmp'],
  ['ipv6-icmp', 'icmp6'],
  ['icmpv6', 'icmp6'],
  ['58', 'icmp6'],
]);

/** Options of iptables itself: their short names and how many arguments they take. */
const headOptions: ReadonlyMap<string, readonly [name: string, args: number]> = new Map([
  ['-s', ['-s', 1]],
  ['--source', ['-s', 1]],
  ['--src', ['-s', 1]],
  ['-d', ['-d', 1]],
  ['--destination', ['-d', 1]],
  ['--dst', ['-d', 1]],
  ['-i', ['-i', 1]],
  ['--in-interface', ['-i', 1]],
  ['-o', ['-o', 1]],
  ['--out-interface', ['-o', 1]],
  ['-p', ['-p', 1]],
  ['--protocol', ['-p', 1]],
  ['--proto', ['-p', 1]],
  ['-f', ['-f', 0]],
  ['--fragment', ['-f', 0]],
]);

/**
 * Sorts the words of a rule body by whom they belong to. An option belongs to the newest `-m` that knows it, because people
 * and kube-proxy write options of iptables between those of an extension (`-m tcp -p tcp -d 10.0.0.1 --dport 80`).
 */
export function splitRule(body: string): RuleWords {
  const tokens = tokenizeRule(body);
  const head: RuleOption[] = [];
  const modules: RuleModule[] = [];
  let target: RuleWords['target'];
  let inTarget = false;
  let negated = false;
  for (let index = 0; index < tokens.length; ) {
    const word = tokens[index]?.text ?? '';
    const headOption = headOptions.get(word);
    if (word === '!') {
      negated = true;
      index += 1;
      continue;
    }
    if (word === '-m' || word === '--match') {
      modules.push({ name: tokens[index + 1]?.text ?? '', options: [], known: true });
      inTarget = false;
      index += 2;
    } else if (word === '-j' || word === '--jump' || word === '-g' || word === '--goto') {
      const goto = word === '-g' || word === '--goto';
      target = { name: tokens[index + 1]?.text ?? '', options: [], known: true, goto };
      inTarget = true;
      index += 2;
    } else if (headOption !== undefined) {
      const [name, count] = headOption;
      head.push(takeOption(name, tokens, index, count, negated));
      index += 1 + count;
    } else {
      const protocol = head.find((option) => option.name === '-p')?.args[0];
      const owner = inTarget && target !== undefined ? target : ownerOf(word, modules, protocol);
      const known = (inTarget ? targetOptions : moduleOptions).get(owner.name);
      const count = known?.get(word);
      if (count === undefined) owner.known = false;
      const args = count ?? countArguments(tokens, index + 1);
      owner.options.push(takeOption(word, tokens, index, args, negated));
      index += 1 + args;
    }
    negated = false;
  }
  return { head, modules, target };
}

function takeOption(
  name: string,
  tokens: readonly RuleToken[],
  index: number,
  count: number,
  negated: boolean,
): RuleOption {
  const words = tokens.slice(index + 1, index + 1 + count);
  const raw = [...(negated ? ['!'] : []), tokens[index]?.raw ?? '', ...words.map((word) => word.raw)].join(
    ' ',
  );
  return { name, negated, args: words.map((word) => word.text), raw };
}

/** Arguments of an option nobody knows: all words up to the next option. */
function countArguments(tokens: readonly RuleToken[], start: number): number {
  let index = start;
  while (index < tokens.length) {
    const raw = tokens[index]?.raw ?? '';
    if (raw === '!' || raw.startsWith('-')) break;
    index += 1;
  }
  return index - start;
}

function ownerOf(option: string, modules: RuleModule[], protocol: string | undefined): RuleModule {
  const last = modules.at(-1);
  if (last !== undefined && !moduleOptions.has(last.name)) return last;
  const knowing = modules.findLast((module) => moduleOptions.get(module.name)?.has(option));
  if (knowing !== undefined) return knowing;
  // `-p tcp --dport 80` loads the protocol's extension by itself.
  const extension = extensionOf.get(protocol?.toLowerCase() ?? '');
  if (extension !== undefined && moduleOptions.get(extension)?.has(option) === true) {
    const implied: RuleModule = { name: extension, options: [], known: true };
    modules.push(implied);
    return implied;
  }
  if (last !== undefined) return last;
  const nameless: RuleModule = { name: '', options: [], known: false };
  modules.push(nameless);
  return nameless;
}
