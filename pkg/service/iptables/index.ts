export type { FrontendConflict } from './frontends.ts';
export { serviceOwnership } from './service-ownership.ts';
export { ServiceRules, type ServiceRulesOptions } from './service-rules.ts';
