import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { type Family, familyOf } from '../../pkg/net/index.ts';
import { writeBootGuard } from '../../pkg/policy/iptables/index.ts';
import { Backoff, type Clock, isWeirError } from '../../pkg/runtime/index.ts';
import type { FamilySync } from '../sync/family-sync.ts';

const schema = v.object({ policiesExist: v.boolean(), ranges: v.array(v.string()) });

/** What the next start of the node has to know before it can ask anybody. */
export type BootState = Readonly<v.InferOutput<typeof schema>>;

function stateFile(stateDir: string): string {
  return join(stateDir, 'boot-guard.json');
}

/** What was kept; `undefined` when there is nothing, or nothing that can be read. */
export async function readBootState(stateDir: string): Promise<BootState | undefined> {
  try {
    const result = v.safeParse(schema, JSON.parse(await readFile(stateFile(stateDir), 'utf8')));
    return result.success ? result.output : undefined;
  } catch {
    // A first start, or a file cut short by a crash: there is nothing to go by, and the normal guard comes with the first sync.
    return undefined;
  }
}

/** Keeps the state in one step: a crash leaves the old one or the new one. */
export async function keepBootState(stateDir: string, state: BootState): Promise<void> {
  const file = stateFile(stateDir);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, JSON.stringify(state));
  await rename(`${file}.new`, file);
}

/** A machine that starts may be short of memory for a moment. */
const retryMs = 10_000;

export interface CloseAtBootOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Another program routes Services. Defaults to false. */
  readonly besideProxy?: boolean;
}

/**
 * Closes this node's pod range before anything else is known, where policies existed when the node was last up and no policy rule
 * of Weir has survived. The first sync puts the whole rules in its place. Returns the families that it closed. What fails is tried
 * again for some seconds; then it throws what the writer threw.
 */
export async function closeAtBoot(
  families: readonly FamilySync[],
  { policiesExist, ranges }: BootState,
  { clock, signal, besideProxy = false }: CloseAtBootOptions,
): Promise<readonly Family[]> {
  if (!policiesExist) return [];
  const deadline = clock.now() + retryMs;
  const writes = families.map(async (family): Promise<readonly Family[]> => {
    const own = ranges.filter((range) => familyOf(range) === family.family);
    if (own.length === 0 || family.isAbsent) return [];
    const backoff = new Backoff({ initialMs: 200, maxMs: 2000 });
    for (;;) {
      try {
        const hasClosed = await family.writeBeforeFirstSync(
          (state) => writeBootGuard(state, own, { besideProxy }),
          signal,
        );
        return hasClosed ? [family.family] : [];
      } catch (error) {
        const delay = backoff.next();
        if (!isWeirError(error) || !error.retryable || clock.now() + delay > deadline) throw error;
        await clock.sleep(delay, signal);
      }
    }
  });
  // One family's failure never leaves the other open.
  await Promise.allSettled(writes);
  return (await Promise.all(writes)).flat();
}
