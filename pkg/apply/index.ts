export type { DetectedTools } from './detect-backend.ts';
export { detectBackend } from './detect-backend.ts';
export type { ApplyReport } from './kernel-writer.ts';
export { KernelWriter } from './kernel-writer.ts';
export { readKernel } from './read-kernel.ts';
export { bridgesAreFiltered, setUpBridges } from './set-up-bridges.ts';
export type { Sysctl } from './sysctl.ts';
export { createSysctl, sysctlNames } from './sysctl.ts';
export type { Backend, FamilyTools } from './tools.ts';
