export {
  type CleanupConfig,
  configWarnings,
  type Flags,
  type Parsed,
  type PlanConfig,
  parseCleanupConfig,
  parsePlanConfig,
  parseRuleConfig,
  parseRunConfig,
  type RuleConfig,
  type RunConfig,
} from './run-config.ts';
