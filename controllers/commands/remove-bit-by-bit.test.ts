import { expect, test } from 'vitest';
import type { ApplyReport } from '../../pkg/apply/index.ts';
import { chainName, type Plan, setName } from '../../pkg/kernel/index.ts';
import { WeirError } from '../../pkg/runtime/index.ts';
import { removeBitByBit } from './remove-bit-by-bit.ts';

const chains = ['KUBE-A', 'KUBE-B', 'KUBE-C', 'KUBE-D'].map((name) => ({
  table: 'nat' as const,
  name: chainName(name),
}));
const plan: Plan = {
  family: 'IPv4',
  createSets: [],
  addMembers: [],
  earlyRules: [],
  writeChains: [],
  jumps: [{ kind: 'delete', table: 'nat', builtin: 'OUTPUT', rule: '-j KUBE-A', reason: 'left over' }],
  removeMembers: [],
  deleteChains: chains,
  destroySets: [setName('WEIR-4-A')],
};
const report: ApplyReport = {
  durationMs: 0,
  bytes: 0,
  spawns: 1,
  pieces: 1,
  heldSets: [setName('WEIR-4-A')],
};

function writerThat(refuses: (plan: Plan) => Error | undefined) {
  const applied: Plan[] = [];
  const apply = (one: Plan): Promise<ApplyReport> => {
    const error = refuses(one);
    if (error !== undefined) return Promise.reject(error);
    applied.push(one);
    return Promise.resolve(report);
  };
  return { apply, applied };
}

const busy = new WeirError('WEIR_RESTORE_FAILED', 'CHAIN_DEL failed (Device or resource busy): chain KUBE-C');

test('takes jumps out, empties all chains, and deletes those that nothing refers to', async () => {
  const writer = writerThat(({ deleteChains }) =>
    deleteChains.some(({ name }) => name === 'KUBE-C') ? busy : undefined,
  );
  expect(await removeBitByBit(writer, plan)).toEqual({ heldChains: [chains[2]], heldSets: ['WEIR-4-A'] });
  const [jumps, emptied, ...deleted] = writer.applied;
  expect(jumps?.jumps).toEqual(plan.jumps);
  expect(emptied?.writeChains.map(({ name, rules }) => [name, rules])).toEqual(
    chains.map(({ name }) => [name, '']),
  );
  expect(deleted.flatMap(({ deleteChains }) => deleteChains.map(({ name }) => name))).toEqual([
    'KUBE-A',
    'KUBE-B',
    'KUBE-D',
  ]);
  expect(deleted.at(-1)?.destroySets).toEqual(plan.destroySets);
});

test('ends where it is something else that fails', async () => {
  const lock = new WeirError('WEIR_LOCK_HELD', 'another app');
  const writer = writerThat(({ deleteChains }) => (deleteChains.length > 0 ? lock : undefined));
  await expect(removeBitByBit(writer, plan)).rejects.toBe(lock);
});
