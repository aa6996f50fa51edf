export type { FrontendConflict } from './frontends.ts';
export { writeLocalhostGuard } from './localhost-guard.ts';
export { serviceJumps } from './service-jumps.ts';
export { chainsOfService } from './service-names.ts';
export type { OriginFinder, OriginObjects } from './service-origins.ts';
export { serviceOwnership, staticChainNames } from './service-ownership.ts';
export { ServiceRules, type ServiceRulesOptions } from './service-rules.ts';
export { countedRules } from './static-chains.ts';
