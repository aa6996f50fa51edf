import { describe, expect, test } from 'vitest';
import { chainName, setName } from './names.ts';
import { printRule } from './print-rule.ts';
import type { Match, Rule, Target } from './rule.ts';

const none: Target = { kind: 'none' };

function rule(matches: readonly Match[], target: Target = none): Rule {
  return { matches, target };
}

describe('printRule', () => {
  test('puts the head in the order of iptables-save', () => {
    const matches: Match[] = [
      { kind: 'comment', text: 'ns/name' },
      { kind: 'protocol', protocol: 'tcp' },
      { kind: 'out-interface', name: 'eth0' },
      { kind: 'in-interface', name: 'cali+', negated: true },
      { kind: 'destination', cidr: '10.0.0.0/8' },
      { kind: 'source', cidr: '10.1.0.1/32', negated: true },
    ];
    expect(printRule(rule(matches, { kind: 'accept' }))).toBe(
      '! -s 10.1.0.1/32 -d 10.0.0.0/8 ! -i cali+ -o eth0 -p tcp -m comment --comment "ns/name" -j ACCEPT',
    );
  });

  test('joins ports and flags behind one -m and implies the protocol', () => {
    const matches: Match[] = [
      { kind: 'tcp-flags', mask: 'FIN,SYN,RST,ACK', set: 'SYN' },
      { kind: 'comment', text: 'x' },
      { kind: 'destination-port', protocol: 'tcp', ports: { first: 80, last: 90 } },
      { kind: 'source-port', protocol: 'tcp', ports: { first: 5, last: 5 }, negated: true },
    ];
    expect(printRule(rule(matches))).toBe(
      '-p tcp -m tcp ! --sport 5 --dport 80:90 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment x',
    );
  });

  test('leaves out an address match that says nothing', () => {
    expect(printRule(rule([{ kind: 'source', cidr: '0.0.0.0/0' }], { kind: 'drop' }))).toBe('-j DROP');
    expect(printRule(rule([{ kind: 'destination', cidr: '::/0' }], { kind: 'drop' }))).toBe('-j DROP');
  });

  test('adds the length of a whole address', () => {
    expect(printRule(rule([{ kind: 'source', cidr: '10.0.0.1' }]))).toBe('-s 10.0.0.1/32');
    expect(printRule(rule([{ kind: 'source', cidr: 'fd00::1' }]))).toBe('-s fd00::1/128');
  });

  test.each([
    [1, '1.00000000000'],
    [2, '0.50000000000'],
    [3, '0.33333333349'],
    [1000, '0.00100000016'],
    [4096, '0.00024414062'],
  ])('prints the probability of one in %d as C does', (count, text) => {
    const probability = Math.round(2 ** 31 / count);
    expect(printRule(rule([{ kind: 'statistic', probability }]))).toBe(
      `-m statistic --mode random --probability ${text}`,
    );
  });

  test('sorts connection states as iptables does', () => {
    expect(
      printRule(
        rule([{ kind: 'conntrack-state', states: ['DNAT', 'ESTABLISHED', 'RELATED'], negated: true }]),
      ),
    ).toBe('-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT');
  });

  test('quotes and escapes comments where iptables does', () => {
    const comment = (text: string): string => printRule(rule([{ kind: 'comment', text }]));
    expect(comment('a-b_1')).toBe('-m comment --comment a-b_1');
    expect(comment('ns/a:b')).toBe('-m comment --comment "ns/a:b"');
    expect(comment(String.raw`a'b"c\d`)).toBe(String.raw`-m comment --comment "a\'b\"c\\d"`);
    expect(comment('')).toBe('-m comment --comment ""');
  });

  test('spells the mask of recent in the family of the rule', () => {
    const matches: Match[] = [{ kind: 'recent', operation: 'set', list: 'KUBE-SEP-A' }];
    expect(printRule(rule(matches, { kind: 'dnat', to: '10.0.0.1:80' }))).toContain(
      '--mask 255.255.255.255 --rsource',
    );
    const ipv6 = '--mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource';
    expect(printRule(rule(matches, { kind: 'dnat', to: '[fd00::1]:80' }))).toContain(ipv6);
    expect(printRule(rule([{ kind: 'source', cidr: 'fd00::1/128' }, ...matches]))).toContain(ipv6);
    expect(printRule(rule(matches, { kind: 'jump', chain: chainName('KUBE-SEP-A') }), 'IPv6')).toContain(
      ipv6,
    );
  });

  test('names icmp types by the protocol they belong to', () => {
    const type: Match = { kind: 'icmp-type', type: 3, code: 4 };
    expect(printRule(rule([{ kind: 'protocol', protocol: 'icmp' }, type]))).toBe(
      '-p icmp -m icmp --icmp-type 3/4',
    );
    expect(printRule(rule([{ kind: 'protocol', protocol: 'ipv6-icmp' }, type]))).toBe(
      '-p ipv6-icmp -m icmp6 --icmpv6-type 3/4',
    );
    expect(() => printRule(rule([type]))).toThrow(RangeError);
  });

  test.each<[Match, string]>([
    [{ kind: 'mark', value: 0x4000, mask: 0x4000, negated: true }, '-m mark ! --mark 0x4000/0x4000'],
    [{ kind: 'mark', value: 5, mask: 0xffffffff }, '-m mark --mark 0x5'],
    [{ kind: 'address-type', side: 'dst', type: 'LOCAL', negated: true }, '-m addrtype ! --dst-type LOCAL'],
    [
      { kind: 'set', set: setName('A'), flags: 'src,dst,dst', negated: true },
      '-m set ! --match-set A src,dst,dst',
    ],
    [
      { kind: 'recent', operation: 'rcheck', list: 'A', seconds: 10800, reap: true },
      '-m recent --rcheck --seconds 10800 --reap --name A --mask 255.255.255.255 --rsource',
    ],
    [
      { kind: 'recent', operation: 'update', list: 'A', seconds: 0, reap: false },
      '-m recent --update --name A --mask 255.255.255.255 --rsource',
    ],
    [{ kind: 'unknown', text: '-m limit --limit 5/sec' }, '-m limit --limit 5/sec'],
    [{ kind: 'unknown', text: '-p gre' }, '-p gre'],
  ])('prints the match %j', (match, text) => {
    expect(printRule(rule([match]))).toBe(text);
  });

  test.each<[Target, string]>([
    [{ kind: 'accept' }, '-j ACCEPT'],
    [{ kind: 'drop' }, '-j DROP'],
    [{ kind: 'return' }, '-j RETURN'],
    [{ kind: 'jump', chain: chainName('KUBE-SVC-A') }, '-j KUBE-SVC-A'],
    [{ kind: 'goto', chain: chainName('KUBE-SVC-A') }, '-g KUBE-SVC-A'],
    [{ kind: 'reject', with: 'tcp-reset' }, '-j REJECT --reject-with tcp-reset'],
    [{ kind: 'dnat', to: '[fd00::1]:80' }, '-j DNAT --to-destination [fd00::1]:80'],
    [{ kind: 'masquerade', randomFully: true }, '-j MASQUERADE --random-fully'],
    [{ kind: 'masquerade', randomFully: false }, '-j MASQUERADE'],
    [{ kind: 'mark', value: 0x4000, mask: 0 }, '-j MARK --set-xmark 0x4000/0x0'],
    [{ kind: 'unknown', text: '-j LOG --log-prefix x' }, '-j LOG --log-prefix x'],
    [none, ''],
  ])('prints the target %j', (target, text) => {
    expect(printRule(rule([], target))).toBe(text);
  });
});
