import type { Family } from '../net/index.ts';
import type { SetName } from './names.ts';

export type SetType =
  | 'hash:ip'
  | 'hash:net'
  | 'hash:ip,port'
  | 'hash:net,port'
  | 'hash:ip,port,ip'
  | 'hash:ip,port,net';

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
