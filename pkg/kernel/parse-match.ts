import type { ConntrackState, Match } from './rule.ts';
import { quoteWord } from './rule-tokens.ts';
import type { RuleModule, RuleOption } from './rule-words.ts';

/** What an `-m` with its options says, as match values; `undefined` where Weir has no value for it. */
export function parseModule(module: RuleModule): readonly Match[] | undefined {
  if (!module.known) return undefined;
  switch (module.name) {
    case 'tcp':
    case 'udp':
    case 'sctp':
      return parseTransport(module, module.name);
    case 'icmp':
    case 'icmp6':
      return parseSingle(module, parseIcmpType);
    case 'comment':
      return parseSingle(module, ({ args, negated }) =>
        negated ? undefined : { kind: 'comment', text: args[0] ?? '' },
      );
    case 'conntrack':
    case 'state':
      return parseSingle(module, parseStates);
    case 'mark':
      return parseSingle(module, parseMark);
    case 'addrtype':
      return parseAddressTypes(module);
    case 'set':
      return parseSingle(module, ({ args: [set, flags], negated }) =>
        set === undefined || flags === undefined
          ? undefined
          : { kind: 'set', set: set as Extract<Match, { kind: 'set' }>['set'], flags, ...negation(negated) },
      );
    case 'statistic':
      return parseStatistic(module);
    case 'recent':
      return parseRecent(module);
    default:
      return undefined;
  }
}

/** The text of an `-m` with its options, as it was written. */
export function textOfModule(module: RuleModule): string {
  const name =
    module.name === '' ? [] : ['-m', /\s/u.test(module.name) ? quoteWord(module.name) : module.name];
  return [...name, ...module.options.map((option) => option.raw)].join(' ');
}

function negation(negated: boolean): { readonly negated?: boolean } {
  return negated ? { negated: true } : {};
}

function parseSingle(
  module: RuleModule,
  parse: (option: RuleOption) => Match | undefined,
): readonly Match[] | undefined {
  const [option, second] = module.options;
  if (option === undefined || second !== undefined) return undefined;
  const match = parse(option);
  return match && [match];
}

const transportOrder = ['source-port', 'destination-port', 'tcp-flags'];

function parseTransport(module: RuleModule, protocol: 'tcp' | 'udp' | 'sctp'): readonly Match[] | undefined {
  const matches: Match[] = [];
  for (const option of module.options) {
    const match = parseTransportOption(option, protocol);
    if (match === undefined) return undefined;
    if (!isEveryPort(match)) matches.push(match);
  }
  return matches.toSorted((a, b) => transportOrder.indexOf(a.kind) - transportOrder.indexOf(b.kind));
}

function parseTransportOption(option: RuleOption, protocol: 'tcp' | 'udp' | 'sctp'): Match | undefined {
  const [first = '', second = ''] = option.args;
  switch (option.name) {
    case '--syn':
      return { kind: 'tcp-flags', mask: 'FIN,SYN,RST,ACK', set: 'SYN', ...negation(option.negated) };
    case '--tcp-flags': {
      const mask = parseFlags(first.toUpperCase());
      const set = parseFlags(second.toUpperCase());
      if (mask === undefined || set === undefined) return undefined;
      return { kind: 'tcp-flags', mask, set, ...negation(option.negated) };
    }
    default: {
      const ports = parsePorts(first);
      if (ports === undefined) return undefined;
      const kind =
        option.name === '--sport' || option.name === '--source-port' ? 'source-port' : 'destination-port';
      return { kind, protocol, ports, ...negation(option.negated) };
    }
  }
}

/** iptables forgets such a match as well. */
function isEveryPort(match: Match): boolean {
  if (match.kind !== 'source-port' && match.kind !== 'destination-port') return false;
  return match.ports.first === 0 && match.ports.last === 65_535 && match.negated !== true;
}

const tcpFlags = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG'];

function parseFlags(text: string): string | undefined {
  if (text === 'NONE') return text;
  if (text === 'ALL') return tcpFlags.join(',');
  const flags = text.split(',');
  if (!flags.every((flag) => tcpFlags.includes(flag))) return undefined;
  return tcpFlags.filter((flag) => flags.includes(flag)).join(',');
}

/** `80`, `80:90`, `:90`, `80:`. Unlike in Kubernetes, 0 is a port here. */
function parsePorts(text: string): { readonly first: number; readonly last: number } | undefined {
  const parsed = /^(?<first>\d{0,5})(?<colon>:?)(?<last>\d{0,5})$/u.exec(text)?.groups;
  if (parsed === undefined || text === '' || text === ':') return undefined;
  const first = Number(parsed['first'] ?? '');
  const lastText = parsed['last'] ?? '';
  const last = lastText !== '' ? Number(lastText) : parsed['colon'] === ':' ? 65_535 : first;
  return last > 65_535 || first > last ? undefined : { first, last };
}

function parseIcmpType({ args: [text = ''], negated }: RuleOption): Match | undefined {
  const parsed = /^(?<type>\d{1,3})(?:\/(?<code>\d{1,3}))?$/u.exec(text)?.groups;
  if (parsed === undefined || negated) return undefined;
  const code = parsed['code'];
  return {
    kind: 'icmp-type',
    type: Number(parsed['type']),
    ...(code === undefined ? {} : { code: Number(code) }),
  };
}

/** In the order in which iptables prints them, whatever the order they were given in. */
const stateOrder: readonly ConntrackState[] = [
  'INVALID',
  'NEW',
  'RELATED',
  'ESTABLISHED',
  'UNTRACKED',
  'SNAT',
  'DNAT',
];

function parseStates({ args: [text = ''], negated }: RuleOption): Match | undefined {
  const given = text.toUpperCase().split(',');
  if (!given.every((state) => (stateOrder as readonly string[]).includes(state))) return undefined;
  return {
    kind: 'conntrack-state',
    states: sortStates(given as ConntrackState[]),
    ...negation(negated),
  };
}

/** Conntrack states in the order in which iptables prints them. */
export function sortStates(states: readonly ConntrackState[]): readonly ConntrackState[] {
  return stateOrder.filter((state) => states.includes(state));
}

function parseMark({ args: [text = ''], negated }: RuleOption): Match | undefined {
  const parsed = parseMarkAndMask(text);
  return parsed && { kind: 'mark', ...parsed, ...negation(negated) };
}

/** `value[/mask]`, hexadecimal or decimal; the mask is all ones where it is not given. */
export function parseMarkAndMask(
  text: string,
): { readonly value: number; readonly mask: number } | undefined {
  const [value, mask = 0xffffffff] = text.split('/').map((part) => (part === '' ? Number.NaN : Number(part)));
  if (value === undefined || !isUint32(value) || !isUint32(mask)) return undefined;
  return { value, mask };
}

function isUint32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffffffff;
}

function parseAddressTypes(module: RuleModule): readonly Match[] | undefined {
  const [option, second] = module.options;
  if (option === undefined || second !== undefined || option.args[0]?.toUpperCase() !== 'LOCAL')
    return undefined;
  const side = option.name === '--src-type' ? 'src' : 'dst';
  return [{ kind: 'address-type', side, type: 'LOCAL', ...negation(option.negated) }];
}

function argumentOf(module: RuleModule, name: string): string | undefined {
  return module.options.find((option) => option.name === name)?.args[0];
}

function parseStatistic(module: RuleModule): readonly Match[] | undefined {
  if (argumentOf(module, '--mode') !== 'random' || module.options.some((option) => option.negated))
    return undefined;
  const text = argumentOf(module, '--probability') ?? '';
  const probability = Math.round(Number(text) * 2 ** 31);
  if (text === '' || !(probability >= 0 && probability <= 2 ** 31)) return undefined;
  return [{ kind: 'statistic', probability }];
}

const wholeAddressMasks: ReadonlySet<string> = new Set([
  '255.255.255.255',
  'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
]);

function parseRecent(module: RuleModule): readonly Match[] | undefined {
  if (module.options.some((option) => option.negated)) return undefined;
  const mask = argumentOf(module, '--mask');
  if (mask !== undefined && !wholeAddressMasks.has(mask.toLowerCase())) return undefined;
  const has = (name: string): boolean => module.options.some((option) => option.name === name);
  const list = argumentOf(module, '--name') ?? 'DEFAULT';
  if (has('--set')) {
    return has('--seconds') || has('--reap') ? undefined : [{ kind: 'recent', operation: 'set', list }];
  }
  if (has('--rcheck') === has('--update')) return undefined;
  const seconds = Number(argumentOf(module, '--seconds') ?? '0');
  if (!isUint32(seconds)) return undefined;
  const operation = has('--rcheck') ? 'rcheck' : 'update';
  return [{ kind: 'recent', operation, list, seconds, reap: has('--reap') }];
}
