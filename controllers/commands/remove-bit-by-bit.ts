import type { KernelWriter } from '../../pkg/apply/index.ts';
import type { Plan, SetName } from '../../pkg/kernel/index.ts';
import { isWeirError } from '../../pkg/runtime/index.ts';

/** What a removal left behind. */
export interface Removal {
  /** Chains that a rule refers to which nobody can print; they are empty. */
  readonly heldChains: Plan['deleteChains'];
  readonly heldSets: readonly SetName[];
}

/**
 * Executes a plan that only removes, where not every rule that refers to a chain can be seen: jumps go first, then all chains are
 * emptied, and those that the kernel does not let go of are left. Throws what the writer throws of everything else.
 */
export async function removeBitByBit(
  writer: Pick<KernelWriter, 'apply'>,
  { jumps, deleteChains, removeMembers, destroySets, ...plan }: Plan,
): Promise<Removal> {
  const nothing: Plan = { ...plan, jumps: [], deleteChains: [], removeMembers: [], destroySets: [] };
  const emptied = deleteChains.map(({ table, name }) => ({ table, name, rules: '', stage: 0, isNew: false }));
  const unheld = deleteChains.filter(({ isHeld }) => isHeld !== true);
  await writer.apply({ ...nothing, jumps });
  await writer.apply({ ...nothing, writeChains: emptied });
  const heldChains = await heldOf(unheld, (some) => writer.apply({ ...nothing, deleteChains: some }));
  const { heldSets } = await writer.apply({ ...nothing, removeMembers, destroySets });
  return { heldChains, heldSets };
}

/** Deletes all, or by halves all that the kernel lets go of; returns the others. */
async function heldOf(
  chains: Plan['deleteChains'],
  remove: (chains: Plan['deleteChains']) => Promise<unknown>,
): Promise<Plan['deleteChains']> {
  if (chains.length === 0) return [];
  try {
    await remove(chains);
    return [];
  } catch (error) {
    if (!isWeirError(error) || !/resource busy/i.test(error.message)) throw error;
  }
  if (chains.length === 1) return chains;
  const half = Math.ceil(chains.length / 2);
  return [...(await heldOf(chains.slice(0, half), remove)), ...(await heldOf(chains.slice(half), remove))];
}
