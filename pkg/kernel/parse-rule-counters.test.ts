import { expect, test } from 'vitest';
import { parseRuleCounters } from './parse-rule-counters.ts';

const saved = `*filter
:KUBE-FORWARD - [0:0]
[7:420] -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
[9:540] -A KUBE-OTHER -m conntrack --ctstate INVALID -j DROP
COMMIT
`;
const rule = '-m conntrack --ctstate INVALID -j DROP';

test('knows a rule that another version of iptables spells in another way', () => {
  const text = saved.replaceAll('-m conntrack --ctstate', '-m state --state');
  expect(parseRuleCounters(text, [{ chain: 'KUBE-FORWARD', rule }])).toEqual([7]);
});

test('says what each rule counted, in its own chain, and knows nothing of those that are not there', () => {
  const rules = ['KUBE-SERVICES', 'KUBE-FORWARD'].map((chain) => ({ chain, rule }));
  expect(parseRuleCounters(saved, rules)).toEqual([undefined, 7]);
});
