export type { FrontendConflict } from './frontends.ts';
export { writeLocalhostGuard } from './localhost-guard.ts';
export { serviceOwnership } from './service-ownership.ts';
export { ServiceRules, type ServiceRulesOptions } from './service-rules.ts';
export { countedRules } from './static-chains.ts';
