/**
 * Whether rules have changed in the kernel, at next to no cost however many there are; see README.md for how, and for what was tried. It
 * says that something changed, not what: whoever asks looks at the rules himself then, and also where a signal does not work. It starts
 * one program at most, sends packets to this process only, and writes nothing.
 */
export { canaryOwnership, canaryState } from './canary-rules.ts';
export { CanarySignal } from './canary-signal.ts';
export type { ChangeSignal, Table, TableNews } from './change-signal.ts';
export { RulesetListener } from './ruleset-listener.ts';
