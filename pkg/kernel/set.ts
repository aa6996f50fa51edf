import type { Family } from '../net/index.ts';
import type { SetName } from './names.ts';

export type SetType =
  | 'hash:ip'
  | 'hash:net'
  | 'hash:ip,port'
  | 'hash:net,port'
  | 'hash:ip,port,ip'
  | 'hash:ip,port,net';

const setTypes: ReadonlySet<string> = new Set<SetType>([
  'hash:ip',
  'hash:net',
  'hash:ip,port',
  'hash:net,port',
  'hash:ip,port,ip',
  'hash:ip,port,net',
]);

/** Whether it is a type that Weir uses. */
export function isSetType(type: string): type is SetType {
  return setTypes.has(type);
}

/** What makes a set the set it is; a set with other values is another set, and cannot be swapped with this one. */
export interface SetSpec {
  readonly name: SetName;
  readonly type: SetType;
  readonly family: Family;
  /** `maxelem`: an upper bound, not an allocation. */
  readonly maxElements: number;
  /**
   * Being a member lets traffic through, so who joins an existing set does so only after all chains are written: a pod that changes is
   * held by its new policies before it is anybody's peer or is known.
   * Says nothing to the kernel.
   */
  readonly joinLast?: boolean;
}

/** A set as the kernel has it: somebody else may have made it, of any type. */
export interface AppliedSetSpec extends Omit<SetSpec, 'type' | 'joinLast'> {
  readonly type: string;
}

/** A set to be made, perhaps in the place of one that has its name. */
export interface SetCreation extends SetSpec {
  readonly replaces?: SetReplacement;
}

export interface SetReplacement {
  /**
   * `swap`: filled beside the one that is there and swapped with it, so that no rule that looks into it ever finds it empty. `destroy`: that
   * one has to go first, which the kernel refuses while a rule looks into it; sets of two types cannot be swapped.
   */
  readonly how: 'swap' | 'destroy';
  /** Why, for people: `had room for 10 members`, `was hash:net for IPv4`. */
  readonly reason: string;
  /** What is in the set that goes and moves over; what changes beside that comes later, in its order. */
  readonly members: readonly string[];
}
