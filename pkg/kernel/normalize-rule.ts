import type { Family } from '../net/index.ts';
import { parseRule } from './parse-rule.ts';
import { printRule } from './print-rule.ts';

/**
 * A rule body in the spelling of `printRule`, whatever version of iptables or whoever's hand wrote it: `--or-mark 0x4000`,
 * `-m tcp -p tcp`, `-d 10.0.0.1`, `--ctstate RELATED,NEW`, `--probability 0.5`, `-m state --state`, `-j REJECT` and their like.
 * What is not understood stays as it is written.
 *
 * `family` decides where a rule leaves something out that differs between the families (REJECT's type, the mask of `recent`);
 * without it the addresses in the rule tell, and IPv4 is assumed where there is none.
 */
export function normalizeRule(body: string, family?: Family): string {
  return printRule(parseRule(body, family), family);
}
