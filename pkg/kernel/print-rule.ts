import type { Family } from '../net/index.ts';
import { sortStates } from './parse-match.ts';
import type { Match, Rule, Target } from './rule.ts';
import { quoteWord } from './rule-tokens.ts';

/**
 * A rule as `iptables-save` 1.8.9 prints it behind `-A CHAIN `; both backends print alike.
 *
 * The head (`-s -d -i -o -p`) stands in the tool's fixed order wherever it stands in `rule.matches`, and ports and flags of one
 * protocol share one `-m`. A port or flags match implies its `-p`. A source or destination of /0 says nothing and is left out.
 *
 * `family` matters to `-m recent` only, whose `--mask` is spelt in the family's own way; without it the addresses in the
 * rule tell, and IPv4 is assumed where there is none.
 *
 * Throws a RangeError for an `icmp-type` match without the protocol it belongs to.
 */
export function printRule(rule: Rule, family?: Family): string {
  const { matches } = rule;
  const parts: string[] = [];
  printHead(matches, parts);
  let transportPrinted = false;
  for (const match of matches) {
    if (!isTransport(match)) {
      printMatch(match, rule, family, parts);
    } else if (!transportPrinted) {
      printTransport(matches.filter(isTransport), parts);
      transportPrinted = true;
    }
  }
  printTarget(rule.target, parts);
  return parts.join(' ');
}

/** The family that the addresses in a rule belong to; IPv4 where there is no address in it. */
function inferFamily(rule: Rule): Family {
  const { target } = rule;
  if (target.kind === 'dnat' && target.to.startsWith('[')) return 'IPv6';
  if (target.kind === 'reject' && target.with.startsWith('icmp6')) return 'IPv6';
  const isIPv6 = rule.matches.some((match) => {
    if (match.kind === 'source' || match.kind === 'destination') return match.cidr.includes(':');
    return match.kind === 'protocol' && match.protocol === 'ipv6-icmp';
  });
  return isIPv6 ? 'IPv6' : 'IPv4';
}

type Transport = Extract<Match, { kind: 'source-port' | 'destination-port' | 'tcp-flags' }>;

function isTransport(match: Match): match is Transport {
  return match.kind === 'source-port' || match.kind === 'destination-port' || match.kind === 'tcp-flags';
}

function protocolOf(match: Transport): 'tcp' | 'udp' | 'sctp' {
  return match.kind === 'tcp-flags' ? 'tcp' : match.protocol;
}

/** Whether the text of an unknown match belongs to the head: it is an option of iptables itself, not of an extension. */
function isHeadOption(text: string): boolean {
  return !text.startsWith('-m ');
}

function printHead(matches: readonly Match[], parts: string[]): void {
  let transport: Transport | undefined;
  for (const [slot, kind] of headKinds.entries()) {
    const before = parts.length;
    for (const match of matches) {
      if (isTransport(match)) transport ??= match;
      if (match.kind !== kind) continue;
      const option = printHeadOption(match);
      if (option !== '') parts.push(option);
    }
    if (slot === protocolSlot && parts.length === before && transport !== undefined) {
      parts.push(`-p ${protocolOf(transport)}`);
    }
  }
}

const headKinds: readonly Match['kind'][] = [
  'source',
  'destination',
  'in-interface',
  'out-interface',
  'protocol',
  'unknown',
];
const protocolSlot = headKinds.indexOf('protocol');

/** Empty for a match that says nothing or does not belong to the head. */
function printHeadOption(match: Match): string {
  if (match.kind === 'source') return printAddress(match, '-s');
  if (match.kind === 'destination') return printAddress(match, '-d');
  if (match.kind === 'in-interface') return `${negation(match)}-i ${match.name}`;
  if (match.kind === 'out-interface') return `${negation(match)}-o ${match.name}`;
  if (match.kind === 'protocol') return `${negation(match)}-p ${match.protocol}`;
  return match.kind === 'unknown' && isHeadOption(match.text) ? match.text : '';
}

function printAddress(match: Extract<Match, { kind: 'source' | 'destination' }>, option: string): string {
  const cidr = match.cidr.includes('/') ? match.cidr : `${match.cidr}/${match.cidr.includes(':') ? 128 : 32}`;
  if (cidr.endsWith('/0') && match.negated !== true) return '';
  return `${negation(match)}${option} ${cidr}`;
}

function negation(match: { readonly negated?: boolean }): string {
  return match.negated === true ? '! ' : '';
}

function printTransport(matches: readonly Transport[], parts: string[]): void {
  const first = matches[0];
  if (first === undefined) return;
  parts.push('-m', protocolOf(first));
  for (const kind of ['source-port', 'destination-port', 'tcp-flags'] as const) {
    for (const match of matches) if (match.kind === kind) parts.push(printTransportOption(match));
  }
}

function printTransportOption(match: Transport): string {
  if (match.kind === 'tcp-flags') return `${negation(match)}--tcp-flags ${match.mask} ${match.set}`;
  const { first, last } = match.ports;
  const option = match.kind === 'source-port' ? '--sport' : '--dport';
  return `${negation(match)}${option} ${first === last ? first : `${first}:${last}`}`;
}

function printMatch(
  match: Exclude<Match, Transport>,
  rule: Rule,
  family: Family | undefined,
  parts: string[],
): void {
  switch (match.kind) {
    case 'source':
    case 'destination':
    case 'in-interface':
    case 'out-interface':
    case 'protocol':
      return;
    case 'icmp-type':
      parts.push(printIcmpType(match, rule.matches));
      return;
    case 'comment':
      parts.push('-m comment --comment', quoteWord(match.text));
      return;
    case 'conntrack-state':
      parts.push(`-m conntrack ${negation(match)}--ctstate ${sortStates(match.states).join(',')}`);
      return;
    case 'mark':
      parts.push(
        `-m mark ${negation(match)}--mark ${hex(match.value)}${match.mask === 0xffffffff ? '' : `/${hex(match.mask)}`}`,
      );
      return;
    case 'address-type':
      parts.push(`-m addrtype ${negation(match)}--${match.side}-type ${match.type}`);
      return;
    case 'set':
      parts.push(`-m set ${negation(match)}--match-set ${match.set} ${match.flags}`);
      return;
    case 'statistic':
      parts.push(`-m statistic --mode random --probability ${printProbability(match.probability)}`);
      return;
    case 'recent':
      parts.push(printRecent(match, family ?? inferFamily(rule)));
      return;
    case 'unknown':
      if (!isHeadOption(match.text)) parts.push(match.text);
      return;
  }
}

function printIcmpType(match: Extract<Match, { kind: 'icmp-type' }>, matches: readonly Match[]): string {
  const type = match.code === undefined ? `${match.type}` : `${match.type}/${match.code}`;
  for (const other of matches) {
    if (other.kind !== 'protocol') continue;
    if (other.protocol === 'icmp') return `-m icmp --icmp-type ${type}`;
    if (other.protocol === 'ipv6-icmp') return `-m icmp6 --icmpv6-type ${type}`;
  }
  throw new RangeError(`icmp-type ${type} without -p icmp or -p ipv6-icmp`);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/**
 * `%.11f` of `units` / 2^31, ties to even as C prints them; `toFixed` rounds ties up, which shows at 1/4096 and its like.
 * units / 2^31 × 10^11 = units × 5^11 / 2^20.
 */
function printProbability(units: number): string {
  const scaled = BigInt(units) * 48_828_125n;
  const rest = scaled & 0xfffffn;
  let digits = scaled >> 20n;
  if (rest > 0x80000n || (rest === 0x80000n && (digits & 1n) === 1n)) digits += 1n;
  const text = digits.toString().padStart(12, '0');
  return `${text.slice(0, -11)}.${text.slice(-11)}`;
}

const recentMask = { IPv4: '255.255.255.255', IPv6: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' } as const;

function printRecent(match: Extract<Match, { kind: 'recent' }>, family: Family): string {
  const tail = `--name ${match.list} --mask ${recentMask[family]} --rsource`;
  if (match.operation === 'set') return `-m recent --set ${tail}`;
  const seconds = match.seconds === 0 ? '' : ` --seconds ${match.seconds}`;
  return `-m recent --${match.operation}${seconds}${match.reap ? ' --reap' : ''} ${tail}`;
}

function printTarget(target: Target, parts: string[]): void {
  switch (target.kind) {
    case 'accept':
    case 'drop':
    case 'return':
      parts.push('-j', target.kind.toUpperCase());
      return;
    case 'jump':
      parts.push('-j', target.chain);
      return;
    case 'goto':
      parts.push('-g', target.chain);
      return;
    case 'reject':
      parts.push('-j REJECT --reject-with', target.with);
      return;
    case 'dnat':
      parts.push('-j DNAT --to-destination', target.to);
      return;
    case 'masquerade':
      parts.push(target.randomFully ? '-j MASQUERADE --random-fully' : '-j MASQUERADE');
      return;
    case 'mark':
      parts.push(`-j MARK --set-xmark ${hex(target.value)}/${hex(target.mask)}`);
      return;
    case 'unknown':
      parts.push(target.text);
      return;
    case 'none':
      return;
  }
}
