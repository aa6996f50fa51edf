import { setTimeout as sleep } from 'node:timers/promises';
import type { ServiceWorld } from '../../support/service-world.ts';
import { outcomes, type Patience, type Probe, visit } from './probe.ts';

/** The two worlds, in the order in which they are told of. */
export interface Pair {
  readonly weir: ServiceWorld;
  readonly kubeProxy: ServiceWorld;
}

/** What is different, whatever was tried; with how often each thing was met. */
export interface Disagreement {
  readonly probe: Probe;
  readonly weir: string;
  readonly kubeProxy: string;
}

/** Everything that was met in each world so far. */
interface Seen {
  readonly weir: string[];
  readonly kubeProxy: string[];
}

/** Six who all meet one of two endpoints are rare; of five endpoints some are missed even by thirty. */
const briefTries = [5, 12, 12];
/** Of five endpoints one is missed by all together in one of a billion cases. A machine that stops for seconds spoils one group. */
const patientTries = Array.from({ length: 12 }, () => 8);

/**
 * Compares whom a packet can meet, and as whom. Both worlds are asked until they have shown the same, or it is beyond chance that
 * they have not; the last word is of machines that had time.
 */
export async function compare(pair: Pair, probe: Probe): Promise<Disagreement | undefined> {
  const first = nothingSeen();
  await look(pair, probe, { count: 1, patience: 'brief' }, first);
  if (isSame(first) && isSilence(first)) {
    // Silence is also what a busy machine shows.
    await look(pair, probe, { count: 2, patience: 'brief' }, first);
    if (isSame(first) && isSilence(first)) return undefined;
  }
  if (await agreeIn(pair, probe, { counts: briefTries, patience: 'brief' }, first)) return undefined;
  await sleep(1000);
  return compareAlone(pair, probe);
}

/** The last word, also of a machine that does nothing else meanwhile. */
export async function compareAlone(pair: Pair, probe: Probe): Promise<Disagreement | undefined> {
  const last = nothingSeen();
  if (await agreeIn(pair, probe, { counts: patientTries, patience: 'patient' }, last)) return undefined;
  return disagreement(probe, last);
}

async function agreeIn(
  pair: Pair,
  probe: Probe,
  { counts, patience }: { readonly counts: readonly number[]; readonly patience: Patience },
  seen: Seen,
): Promise<boolean> {
  for (const count of counts) {
    await look(pair, probe, { count, patience }, seen);
    if (isSame(seen)) return true;
  }
  return false;
}

async function look(
  pair: Pair,
  probe: Probe,
  how: { readonly count: number; readonly patience: Patience },
  seen: Seen,
): Promise<void> {
  const [weir, kubeProxy] = await Promise.all([
    outcomes(pair.weir, probe, how),
    outcomes(pair.kubeProxy, probe, how),
  ]);
  seen.weir.push(...weir);
  seen.kubeProxy.push(...kubeProxy);
}

const fewestVisits = 4;
const mostVisits = 64;

/**
 * The same for Services that remember their clients. `forget` makes them forget; each visit shows one endpoint to a client that comes
 * twice, and all visits together show every endpoint.
 */
export async function compareSticky(
  pair: Pair,
  probes: readonly Probe[],
  forget: () => Promise<void>,
): Promise<readonly Disagreement[]> {
  let open = probes.map((probe) => ({ probe, seen: nothingSeen() }));
  for (let visits = 1; visits <= mostVisits && open.length > 0; visits += 1) {
    await forget();
    // Two at once of one client would each be led somewhere before the other is remembered.
    const ofOneClient = Map.groupBy(open, ({ probe }) => `${probe.kind} ${probe.family} ${probe.source}`);
    await Promise.all(
      [...ofOneClient.values()].map(async (visits) => {
        for (const { probe, seen } of visits) {
          const [weir, kubeProxy] = await Promise.all([
            visit(pair.weir, probe),
            visit(pair.kubeProxy, probe),
          ]);
          seen.weir.push(weir);
          seen.kubeProxy.push(kubeProxy);
        }
      }),
    );
    open = open.filter(({ seen }) => !isSame(seen) || !(visits >= fewestVisits || isSilence(seen)));
  }
  return open.map(({ probe, seen }) => disagreement(probe, seen));
}

function nothingSeen(): Seen {
  return { weir: [], kubeProxy: [] };
}

function isSame({ weir, kubeProxy }: Seen): boolean {
  return joined(weir) === joined(kubeProxy);
}

/** Nobody answers, so there is no choice to be seen. */
function isSilence({ weir }: Seen): boolean {
  return joined(weir) === 'lost';
}

/** Each endpoint has its equal share, so an answer that is missing now and then is the machine's doing, not that of a rule. */
const leastShare = 0.1;

/** What can be met, each thing once. */
function joined(words: readonly string[]): string {
  const counts = countsOf(words);
  const lost = counts.get('lost') ?? 0;
  if (lost < leastShare * words.length) counts.delete('lost');
  return [...counts.keys()].toSorted().join(', ');
}

function disagreement(probe: Probe, { weir, kubeProxy }: Seen): Disagreement {
  const told = (words: readonly string[]): string =>
    [...countsOf(words)].map(([word, count]) => `${word} (${count} of ${words.length})`).join(', ');
  return { probe, weir: told(weir), kubeProxy: told(kubeProxy) };
}

function countsOf(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words.toSorted()) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}
