import type { Family } from '../net/index.ts';
import { type ChainName, chainName, type SetName } from './names.ts';
import type { SetType } from './set.ts';
import { temporarySet } from './temporary-set.ts';

/** Where rules are tried; nothing leads into it, and it is gone when the trial is over. */
export const trialChain = chainName('WEIR-TRIAL');

/** What stands for every chain that a tried rule leads to. */
export const trialTarget = chainName('WEIR-TRIAL-TARGET');

/** Whether a chain can only be there because whoever tried rules was killed before the end. */
export function isTrialChain(name: string): name is ChainName {
  return name === trialChain || name === trialTarget;
}

/** Where members are tried, and what stands for every set that a tried rule looks into. */
export function trialSet(family: Family, type: SetType): SetName {
  return temporarySet({ family, name: `trial ${type}` as SetName });
}
