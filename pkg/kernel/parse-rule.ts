import { canonicalCidr, type Family, parseAddress } from '../net/index.ts';
import { parseModule, textOfModule } from './parse-match.ts';
import { parseTarget } from './parse-target.ts';
import type { Match, Rule, RuleProtocol } from './rule.ts';
import { type RuleOption, splitRule } from './rule-words.ts';

/**
 * Reads a rule body as `iptables-save` prints it or as people write it. Never throws: a match or target that Weir has no
 * value for becomes `unknown` and keeps its text. Matches that say nothing (`-s 0.0.0.0/0`, a bare `-m tcp`) are left out.
 *
 * `family` matters to `-j REJECT` without a type only; without it the addresses in the rule tell, else IPv4.
 */
export function parseRule(body: string, family?: Family): Rule {
  const words = splitRule(body);
  const matches: Match[] = [];
  for (const name of ['-s', '-d', '-i', '-o', '-p', '-f']) {
    for (const option of words.head) {
      if (option.name !== name) continue;
      const match = parseHeadOption(option);
      if (match !== undefined) matches.push(match);
    }
  }
  for (const module of words.modules) {
    matches.push(...(parseModule(module) ?? [{ kind: 'unknown', text: textOfModule(module) } as const]));
  }
  return { matches, target: parseTarget(words.target, family ?? familyOfMatches(matches)) };
}

function familyOfMatches(matches: readonly Match[]): Family {
  const isIPv6 = matches.some(
    (match) =>
      ((match.kind === 'source' || match.kind === 'destination') && match.cidr.includes(':')) ||
      (match.kind === 'protocol' && match.protocol === 'ipv6-icmp'),
  );
  return isIPv6 ? 'IPv6' : 'IPv4';
}

function parseHeadOption(option: RuleOption): Match | undefined {
  const unknown = { kind: 'unknown', text: option.raw } as const;
  const [argument = ''] = option.args;
  const negated = option.negated ? { negated: true } : {};
  switch (option.name) {
    case '-s':
    case '-d': {
      const cidr = parseNetwork(argument);
      if (cidr === undefined) return unknown;
      if (cidr.endsWith('/0') && !option.negated) return undefined;
      return { kind: option.name === '-s' ? 'source' : 'destination', cidr, ...negated };
    }
    case '-i':
    case '-o':
      if (argument === '+' && !option.negated) return undefined;
      return { kind: option.name === '-i' ? 'in-interface' : 'out-interface', name: argument, ...negated };
    case '-p': {
      if ((argument === 'all' || argument === '0') && !option.negated) return undefined;
      const protocol = protocols.get(argument.toLowerCase());
      return protocol === undefined ? unknown : { kind: 'protocol', protocol, ...negated };
    }
    default:
      return unknown;
  }
}

const protocols: ReadonlyMap<string, RuleProtocol> = new Map([
  ['tcp', 'tcp'],
  ['6', 'tcp'],
  ['udp', 'udp'],
  ['17', 'udp'],
  ['sctp', 'sctp'],
  ['132', 'sctp'],
  ['icmp', 'icmp'],
  ['1', 'icmp'],
  ['ipv6-icmp', 'ipv6-icmp'],
  ['icmpv6', 'ipv6-icmp'],
  ['58', 'ipv6-icmp'],
]);

/** Canonical CIDR of an address, a CIDR or an address with a mask in the form of an address. */
function parseNetwork(text: string): string | undefined {
  const [address = '', mask] = text.split('/');
  if (mask === undefined) return canonicalCidr(`${address}/${address.includes(':') ? 128 : 32}`);
  return canonicalCidr(/[.:]/.test(mask) ? `${address}/${lengthOfMask(mask)}` : text);
}

/** -1 where the mask is none, or has gaps. */
function lengthOfMask(mask: string): number {
  const parsed = parseAddress(mask);
  if (parsed === undefined) return -1;
  const bits = parsed.bits.toString(2).padStart(parsed.family === 'IPv4' ? 32 : 128, '0');
  return /^1*0*$/u.test(bits) ? bits.lastIndexOf('1') + 1 : -1;
}
