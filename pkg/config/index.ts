export type { Flags } from './effective-values.ts';
export { inertFlags } from './inert-settings.ts';
export {
  type CleanupConfig,
  type ConfigHost,
  type Loaded,
  loadPlanConfig,
  loadRunConfig,
  type Parsed,
  type PlanConfig,
  parseCleanupConfig,
  parseRuleConfig,
} from './load-config.ts';
export { type Part, parts } from './parts.ts';
export { configText, kubeProxyConfiguration, weirConfiguration } from './print-config.ts';
export type { RuleConfig, RunConfig } from './run-config.ts';
