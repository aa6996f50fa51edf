import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chainName, setName } from './names.ts';
import { parseRule } from './parse-rule.ts';
import { printRule } from './print-rule.ts';
import type { ConntrackState, Match, Rule, RuleProtocol, Target } from './rule.ts';

const negated = fc.boolean();

function negatable(match: Exclude<Match, { kind: 'icmp-type' }>, negated: boolean): Match {
  return negated ? ({ ...match, negated } as Match) : match;
}

const word = fc.stringMatching(/^[A-Z][A-Za-z0-9-]{0,20}$/u);
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const cidr4 = fc
  .tuple(fc.integer({ min: 1, max: 0xfe }), fc.integer({ min: 8, max: 32 }))
  .map(([first, length]) => `${first}.0.0.0/${length}`);
const cidr6 = fc.integer({ min: 16, max: 128 }).map((length) => `fd00::/${length}`);
const ports = fc
  .tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 1, max: 65_535 }))
  .map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
const state = fc.subarray<ConntrackState>(
  ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT'],
  { minLength: 1 },
);
const transport = fc.constantFrom('tcp', 'udp', 'sctp');

function optional<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> {
  return fc.array(arbitrary, { maxLength: 1 });
}

function portMatches(protocol: 'tcp' | 'udp' | 'sctp'): fc.Arbitrary<readonly Match[]> {
  const portMatch = (kind: 'source-port' | 'destination-port') =>
    optional(
      fc
        .tuple(ports, negated)
        .map(([ports, negated]): Match => negatable({ kind, protocol, ports }, negated)),
    );
  const flags: fc.Arbitrary<readonly Match[]> =
    protocol === 'tcp'
      ? optional(
          negated.map(
            (negated): Match =>
              negatable({ kind: 'tcp-flags', mask: 'FIN,SYN,RST,ACK', set: 'SYN' }, negated),
          ),
        )
      : fc.constant([]);
  return fc
    .tuple(portMatch('source-port'), portMatch('destination-port'), flags)
    .map((parts) => parts.flat());
}

const icmpTypes: fc.Arbitrary<readonly Match[]> = optional(
  fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined }))
    .map(
      ([type, code]): Match =>
        code === undefined ? { kind: 'icmp-type', type } : { kind: 'icmp-type', type, code },
    ),
);

/** A protocol and what may stand behind it in the rule. */
const protocolParts: fc.Arbitrary<{ readonly head: readonly Match[]; readonly rest: readonly Match[] }> =
  fc.oneof(
    fc.constant({ head: [], rest: [] }),
    transport.chain((protocol) =>
      portMatches(protocol).map((rest) => ({ head: [{ kind: 'protocol', protocol } as const], rest })),
    ),
    fc
      .constantFrom<RuleProtocol>('icmp', 'ipv6-icmp')
      .chain((protocol) =>
        icmpTypes.map((rest) => ({ head: [{ kind: 'protocol', protocol } as const], rest })),
      ),
  );

const extension: fc.Arbitrary<Match> = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((text): Match => ({ kind: 'comment', text })),
  fc
    .tuple(state, negated)
    .map(([states, negated]): Match => negatable({ kind: 'conntrack-state', states }, negated)),
  fc
    .tuple(uint32, uint32, negated)
    .map(([value, mask, negated]): Match => negatable({ kind: 'mark', value, mask }, negated)),
  fc
    .tuple(fc.constantFrom('src', 'dst'), negated)
    .map(([side, negated]): Match => negatable({ kind: 'address-type', side, type: 'LOCAL' }, negated)),
  fc
    .tuple(word, fc.constantFrom('src', 'dst', 'dst,dst', 'src,dst,dst'), negated)
    .map(([set, flags, negated]): Match => negatable({ kind: 'set', set: setName(set), flags }, negated)),
  fc.integer({ min: 0, max: 2 ** 31 }).map((probability): Match => ({ kind: 'statistic', probability })),
  word.map((list): Match => ({ kind: 'recent', operation: 'set', list })),
  fc
    .tuple(fc.constantFrom('rcheck', 'update'), word, fc.integer({ min: 1, max: 86_400 }), fc.boolean())
    .map(([operation, list, seconds, reap]): Match => ({ kind: 'recent', operation, list, seconds, reap })),
  fc.constantFrom<Match>(
    { kind: 'unknown', text: '-m limit --limit 5/sec --limit-burst 3' },
    { kind: 'unknown', text: '-m nfacct --nfacct-name localhost_nps_accepted_pkts' },
    { kind: 'unknown', text: '-m multiport ! --dports 1,2' },
    { kind: 'unknown', text: '-m string --string "a b" --algo bm' },
  ),
);

const target: fc.Arbitrary<Target> = fc.oneof(
  fc.constantFrom<Target>(
    { kind: 'accept' },
    { kind: 'drop' },
    { kind: 'return' },
    { kind: 'none' },
    { kind: 'reject', with: 'tcp-reset' },
    { kind: 'reject', with: 'icmp6-port-unreachable' },
    { kind: 'dnat', to: '10.0.0.1:80' },
    { kind: 'dnat', to: '[fd00::1]:80' },
    { kind: 'masquerade', randomFully: true },
    { kind: 'masquerade', randomFully: false },
    { kind: 'unknown', text: '-j LOG --log-prefix "a b "' },
    { kind: 'unknown', text: '-j SNAT --to-source 10.0.0.1' },
    { kind: 'unknown', text: '-j DNAT --to-destination 10.0.0.1:80 --persistent' },
  ),
  fc.tuple(uint32, uint32).map(([value, mask]): Target => ({ kind: 'mark', value, mask })),
  fc
    .tuple(fc.constantFrom('jump', 'goto'), word)
    .map(([kind, chain]): Target => ({ kind, chain: chainName(`KUBE-${chain}`) })),
);

const rule: fc.Arbitrary<Rule> = fc
  .record({
    source: optional(
      fc
        .tuple(fc.oneof(cidr4, cidr6), negated)
        .map(([cidr, negated]): Match => negatable({ kind: 'source', cidr }, negated)),
    ),
    destination: optional(
      fc
        .tuple(fc.oneof(cidr4, cidr6), negated)
        .map(([cidr, negated]): Match => negatable({ kind: 'destination', cidr }, negated)),
    ),
    input: optional(
      negated.map((negated): Match => negatable({ kind: 'in-interface', name: 'cali+' }, negated)),
    ),
    output: optional(
      negated.map((negated): Match => negatable({ kind: 'out-interface', name: 'eth0' }, negated)),
    ),
    protocol: protocolParts,
    before: fc.array(extension, { maxLength: 3 }),
    after: fc.array(extension, { maxLength: 3 }),
    target,
  })
  .map((parts) => ({
    matches: [
      ...parts.source,
      ...parts.destination,
      ...parts.input,
      ...parts.output,
      ...parts.protocol.head,
      ...parts.before,
      ...parts.protocol.rest,
      ...parts.after,
    ],
    target: parts.target,
  }));

describe('parseRule', () => {
  test('reads back every rule that printRule prints', () => {
    fc.assert(
      fc.property(rule, (rule) => {
        expect(parseRule(printRule(rule))).toEqual(rule);
      }),
      { numRuns: 2000 },
    );
  });

  test('never throws, and keeps what it does not know', () => {
    const words = fc.constantFrom(
      '-m',
      '-j',
      '-g',
      '!',
      'tcp',
      '-p',
      '--dport',
      '80',
      '"',
      '\\',
      '-s',
      'toString',
      'x/y',
      '--set',
      '-',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(words, fc.string({ maxLength: 8 }))), (parts) => {
        expect(() => parseRule(parts.join(' '))).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    '-p gre -j ACCEPT',
    '-s 10.0.0.0/255.0.255.0 -j ACCEPT',
    '-m limit --limit 5/sec -m comment --comment x -j ACCEPT',
    '-m recent --rcheck --seconds 5 --hitcount 3 --name A --mask 255.255.255.255 --rsource -j DROP',
    '-m recent --set --name A --mask 255.255.255.0 --rsource',
    '-m recent --set --seconds 5 --name A --mask 255.255.255.255 --rsource',
    '-m addrtype --src-type LOCAL --dst-type LOCAL -j RETURN',
    '-m addrtype --dst-type BROADCAST -j DROP',
    '-m statistic --mode nth --every 2 --packet 0 -j DROP',
    '-m set --match-set A dst --return-nomatch -j DROP',
    '-m conntrack --ctstate NEW --ctdir ORIGINAL -j DROP',
    '-p tcp -m multiport --dports 1,2 -j ACCEPT',
    '-m connmark --mark 0x1 -j MARK --set-xmark 0x1/0x1',
    '-j LOG --log-prefix "a \\"b\\" "',
    '-j SNAT --to-source 10.0.0.1',
    '-j MASQUERADE --to-ports 1000-2000',
    '-j NOTRACK',
  ])('keeps the text of what it has no value for: %s', (text) => {
    const parsed = parseRule(text);
    expect(printRule(parsed)).toBe(text);
    expect([...parsed.matches, parsed.target].some((part) => part.kind === 'unknown')).toBe(true);
  });

  test('takes a bare target for a chain unless it is an extension of iptables', () => {
    expect(parseRule('-j CALICO').target).toEqual({ kind: 'jump', chain: 'CALICO' });
    expect(parseRule('-j TRACE').target).toEqual({ kind: 'unknown', text: '-j TRACE' });
    expect(parseRule('-g CALICO').target).toEqual({ kind: 'goto', chain: 'CALICO' });
  });

  test("does not give an unknown extension's options to another one", () => {
    const text = '-m mark --mark 0x1 -m connmark --mark 0x2 -j ACCEPT';
    expect(parseRule(text).matches).toEqual([
      { kind: 'mark', value: 1, mask: 0xffffffff },
      { kind: 'unknown', text: '-m connmark --mark 0x2' },
    ]);
  });
});
