export { writeBootGuard } from './boot-guard.ts';
export type { RangeMismatch, StrayAddress } from './closed-start.ts';
export { policyJumps } from './forward-chain.ts';
export { type GuardDrops, parseGuardDrops } from './guard-rules.ts';
export { isPolicyChain } from './policy-names.ts';
export { policyOwnership } from './policy-ownership.ts';
export { PolicyRules, type PolicyRulesOptions } from './policy-rules.ts';
export { type ProfileName, profileOfChain } from './profile-of-chain.ts';
