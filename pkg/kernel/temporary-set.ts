import { nameHash, type SetName, setName } from './names.ts';
import type { SetSpec } from './set.ts';

/** Where a set is filled that is to be swapped with one that is too small. No rule ever refers to it. */
export function temporarySet({ name, family }: Pick<SetSpec, 'name' | 'family'>): SetName {
  return setName(`WEIR-${family === 'IPv4' ? 4 : 6}-TEMP-${nameHash(name)}`);
}

/** Whether a set can only be there because whoever filled it was killed before the end. */
export function isTemporarySet(name: string): boolean {
  return /^WEIR-[46]-TEMP-/.test(name);
}
