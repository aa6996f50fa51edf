export type { FlowMatch } from './conntrack.ts';
export { deleteFlows, listFlows, listUdpFlows } from './conntrack.ts';
export type { Flow } from './conntrack-flow.ts';
export type { AbsentFamily, DetectedTools } from './detect-backend.ts';
export { absentText, detectBackend } from './detect-backend.ts';
export type { RefusedElement } from './find-refused.ts';
export { ipv6Off } from './ipv6-off.ts';
export type { ApplyReport } from './kernel-writer.ts';
export { KernelWriter } from './kernel-writer.ts';
export type { Landmarks } from './landmarks.ts';
export { nftFamily } from './nft-family.ts';
export type { FoundLeftovers, ProxyLeftover } from './proxy-leftovers.ts';
export {
  connectionsThrough,
  findProxyLeftovers,
  leftoverText,
  removeProxyLeftover,
} from './proxy-leftovers.ts';
export { parseProxyTables } from './proxy-tables.ts';
export { absentSnapshot } from './read-available.ts';
export { readFilterCounters } from './read-filter-counters.ts';
export { type ReadOptions, readKernel, readSetSizes } from './read-kernel.ts';
export type { SetHolder } from './set-holders.ts';
export { findSetHolders } from './set-holders.ts';
export { setUpBridges } from './set-up-bridges.ts';
export type { Sysctl, SysctlName } from './sysctl.ts';
export { createSysctl, sysctlNames } from './sysctl.ts';
export type { SysFs } from './sysfs.ts';
export { createSysFs } from './sysfs.ts';
export type { Backend, FamilyTools } from './tools.ts';
