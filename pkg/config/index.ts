export { parseRuleConfig, parseRunConfig, type RuleConfig, type RunConfig } from './run-config.ts';
