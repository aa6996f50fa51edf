import type { RuleState } from '../../kernel/index.ts';
import { bootGuardRules, type PolicyJumpOptions, policyJumps } from './forward-chain.ts';
import { forwardChain, knownPodsSet, stages } from './policy-names.ts';

/**
 * Closes these ranges (canonical CIDRs of the state's family) while no pod is known: what a node needs between its start and
 * the first sync. For a RuleState of its own; the PolicyRules of the first sync take chain, set and jump over.
 */
export function writeBootGuard(
  state: RuleState,
  ranges: readonly string[],
  options: PolicyJumpOptions,
): void {
  state.defineSet(knownPodsSet(state.family));
  state.setChain('filter', forwardChain, bootGuardRules(state.family, ranges), stages.forward);
  state.setJumps(policyJumps(options));
}
