export { BuiltinChains } from './builtin-chains.ts';
export { checkJumps } from './check-jumps.ts';
export type { ForeignReference } from './foreign-reference.ts';
export type { Drift } from './jump-drift.ts';
export { type Jump, targetOf } from './jumps.ts';
export { jumpsOfUnknownPlace } from './jumps-of-unknown-place.ts';
export {
  type ChainElement,
  describeElement,
  type KernelElement,
  type MemberElement,
  type RuleElement,
  type SetElement,
} from './kernel-element.ts';
export type { ChainName, SetName, TableName } from './names.ts';
export { chainName, nameHash, setName } from './names.ts';
export { normalizeRule } from './normalize-rule.ts';
export type { Outcome, Packet, TracedNode } from './packet.ts';
export { PacketTracer } from './packet-tracer.ts';
export { parseDropCounters } from './parse-drop-counters.ts';
export { parseIpsetList, type SetSizes } from './parse-ipset-list.ts';
export { parseIpsetSave } from './parse-ipset-save.ts';
export { parseIptablesSave } from './parse-iptables-save.ts';
export { parseRule } from './parse-rule.ts';
export { parseRuleCounters } from './parse-rule-counters.ts';
export type { ChainWrite, JumpChange, MemberChange, Plan, StaleChain } from './plan.ts';
export { isEmptyPlan } from './plan.ts';
export { planTogether } from './plan-together.ts';
export { printRule } from './print-rule.ts';
export type { ConntrackState, Match, Rule, RuleProtocol, Target } from './rule.ts';
export type { Ownership } from './rule-state.ts';
export { RuleState } from './rule-state.ts';
export type { SetCreation, SetReplacement, SetSpec, SetType } from './set.ts';
export type { KernelSnapshot, SetSnapshot, TableGaps, TableSnapshot } from './snapshot.ts';
export { unreadableRule } from './snapshot.ts';
export { isTemporarySet, temporarySet } from './temporary-set.ts';
export { isTrialChain, trialChain, trialSet, trialTarget } from './trial-names.ts';
