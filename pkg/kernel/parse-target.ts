import { canonicalAddress, type Family } from '../net/index.ts';
import type { ChainName } from './names.ts';
import { parseMarkAndMask } from './parse-match.ts';
import type { Target } from './rule.ts';
import type { RuleModule } from './rule-words.ts';

/** Extensions that may stand without options, so that they are not taken for chains. */
const extensions: ReadonlySet<string> = new Set([
  'AUDIT',
  'CHECKSUM',
  'CLASSIFY',
  'CONNMARK',
  'CONNSECMARK',
  'CT',
  'DNAT',
  'DSCP',
  'HL',
  'LOG',
  'MARK',
  'NETMAP',
  'NFLOG',
  'NFQUEUE',
  'NOTRACK',
  'QUEUE',
  'REDIRECT',
  'SECMARK',
  'SNAT',
  'SYNPROXY',
  'TCPMSS',
  'TEE',
  'TOS',
  'TPROXY',
  'TRACE',
  'TTL',
]);

/** What `-j` or `-g` with its options says. `family` decides what REJECT says where it is not told. */
export function parseTarget(
  target: (RuleModule & { readonly goto: boolean }) | undefined,
  family: Family,
): Target {
  if (target === undefined) return { kind: 'none' };
  return parseKnown(target, family) ?? { kind: 'unknown', text: textOfTarget(target) };
}

function textOfTarget(target: RuleModule & { readonly goto: boolean }): string {
  return [target.goto ? '-g' : '-j', target.name, ...target.options.map((option) => option.raw)].join(' ');
}

function parseKnown(target: RuleModule & { readonly goto: boolean }, family: Family): Target | undefined {
  const { name, options } = target;
  const [option, second] = options;
  if (!target.known || second !== undefined || option?.negated === true) return undefined;
  if (target.goto) return parseChain('goto', target);
  switch (name) {
    case 'ACCEPT':
      return { kind: 'accept' };
    case 'DROP':
      return { kind: 'drop' };
    case 'RETURN':
      return { kind: 'return' };
    case 'REJECT':
      return { kind: 'reject', with: option?.args[0] ?? defaultRejection[family] };
    case 'DNAT':
      return option?.args[0] === undefined
        ? undefined
        : { kind: 'dnat', to: canonicalDestination(option.args[0]) };
    case 'MASQUERADE':
      return { kind: 'masquerade', randomFully: option !== undefined };
    case 'MARK':
      return option && parseMarkTarget(option.name, option.args[0] ?? '');
    default:
      return extensions.has(name) ? undefined : parseChain('jump', target);
  }
}

/** `10.0.0.1:80`, `[fd00::1]:80`, `fd00::1` with the address in its canonical form; ranges of addresses stay as they are. */
function canonicalDestination(text: string): string {
  const [, address, rest] = /^\[([^\]]*)\](.*)$/u.exec(text) ?? [];
  if (address === undefined) return canonicalAddress(text) ?? text;
  return `[${canonicalAddress(address) ?? address}]${rest ?? ''}`;
}

const defaultRejection = { IPv4: 'icmp-port-unreachable', IPv6: 'icmp6-port-unreachable' } as const;

function parseChain(kind: 'jump' | 'goto', target: RuleModule): Target | undefined {
  if (target.options.length > 0 || target.name.length === 0 || target.name.length > 28) return undefined;
  return { kind, chain: target.name as ChainName };
}

/** Every way to say it comes down to: clear the bits of mask, xor value (libxt_MARK). */
function parseMarkTarget(option: string, text: string): Target | undefined {
  const parsed = parseMarkAndMask(text);
  if (parsed === undefined) return undefined;
  const { value, mask } = parsed;
  switch (option) {
    case '--set-mark':
      return { kind: 'mark', value, mask: (value | mask) >>> 0 };
    case '--or-mark':
      return { kind: 'mark', value, mask: value };
    case '--xor-mark':
      return { kind: 'mark', value, mask: 0 };
    case '--and-mark':
      return { kind: 'mark', value: 0, mask: ~value >>> 0 };
    default:
      return { kind: 'mark', value, mask };
  }
}
