import PQueue from 'p-queue';
import type { ClusterState } from './cluster-state.ts';
import { compare, compareAlone, compareSticky, type Disagreement } from './comparison.ts';
import type { Cluster } from './control-plane.ts';
import { compareHealth } from './health.ts';
import type { Batch, Restart, Round } from './history.ts';
import { knownDifferences } from './known-differences.ts';
import { objectsAt } from './objects.ts';
import { chosen, claimants, isSticky, type Probe, probesOf } from './probe.ts';
import { lossesIn } from './restart.ts';
import { Stage } from './stage.ts';
import type { TwinKind } from './twin.ts';

const packetsAtOnce = 24;
const packetsOfEachBatch = { live: 70, other: 10 };
/** While nobody is there who could change a rule. */
const packetsMeanwhile = { live: 20, other: 4 };
/** Only a few of those that are answered are sent while the programs restart. */
const packetsOfRestart = { live: 40, other: 0 };

/** Which objects a finding is about, and what it is; for people. */
interface Finding {
  readonly places: readonly number[];
  readonly words: string;
}

/**
 * Starts both proxies, each on a node of its own, and lets the round happen before their eyes. Returns, for people, where they differ
 * after the first batch in which they do.
 */
export async function playRound(cluster: Cluster, kind: TwinKind, round: Round): Promise<string> {
  const stage = await Stage.create(cluster, kind, round.settings);
  try {
    const probes = probesOf(stage.machines.node, round.packets);
    for (const [index, batch] of round.batches.entries()) {
      const found = [
        ...(await happen(stage, probes, round.batches[index - 1], batch)),
        ...(await look(stage, probes, batch.state)),
      ];
      if (found.length > 0) return told(found, index, round, stage);
    }
    return '';
  } finally {
    await stage.dispose();
  }
}

/** What the batch does, with what is lost on the way. */
async function happen(
  stage: Stage,
  probes: readonly Probe[],
  before: Batch | undefined,
  batch: Batch,
): Promise<readonly Finding[]> {
  if (before === undefined) {
    await stage.begin(batch);
    return [];
  }
  const { restart } = batch;
  const lost = restart === undefined ? [] : await restartIn(stage, probes, before, batch, restart);
  if (restart?.changes !== 'meanwhile') await stage.change(before, batch);
  return lost;
}

/** What was there is there while nobody cares for it, and nothing goes missing when somebody does again. */
async function restartIn(
  stage: Stage,
  probes: readonly Probe[],
  before: Batch,
  batch: Batch,
  { how, changes }: Restart,
): Promise<readonly Finding[]> {
  const { state } = before;
  const packets = usable(probes, state);
  const sticky = packets.filter((probe) => isSticky(probe, state));
  const steady = packets.filter((probe) => !isSticky(probe, state));
  const found: Finding[] = [];
  const end = async (): Promise<void> => {
    await stage.end(how);
    if (found.length > 0) return;
    const differ = await compareAll(stage, chosen(steady, state, packetsMeanwhile));
    found.push(...differ.map((one) => findingOf(one, state, 'with no proxy')));
  };
  if (changes === 'meanwhile') {
    await end();
    await stage.startAfter(batch);
    return found;
  }
  const losses = await lossesIn(
    stage.pair,
    {
      steady: chosen(steady, state, packetsOfRestart),
      sticky: chosen(sticky, state, packetsOfRestart),
    },
    async () => {
      await end();
      await stage.startUnchanged(before);
    },
  );
  return [...found, ...losses.map((one) => findingOf(one, state, 'in a restart'))];
}

async function look(
  stage: Stage,
  probes: readonly Probe[],
  state: ClusterState,
): Promise<readonly Finding[]> {
  const packets = chosen(usable(probes, state), state, packetsOfEachBatch);
  const sticky = packets.filter((probe) => isSticky(probe, state));
  const found = [
    ...(await compareAll(
      stage,
      packets.filter((probe) => !sticky.includes(probe)),
    )),
    ...(await compareAllSticky(stage, sticky)),
  ];
  const health = await compareHealth(stage.pair);
  return [
    ...found.map((one) => findingOf(one, state)),
    ...health.map((words) => ({ places: state.map((_, place) => place), words })),
  ];
}

/** Those of which both should know the same. */
function usable(probes: readonly Probe[], state: ClusterState): readonly Probe[] {
  return probes.filter((probe) => !knownDifferences.some((difference) => difference.concerns(probe, state)));
}

/**
 * Many at once, and then those that seem to differ one by one: a crowd loses packets. From the first that is certain on all count,
 * because every one takes a minute.
 */
async function compareAll({ pair }: Stage, probes: readonly Probe[]): Promise<readonly Disagreement[]> {
  const queue = new PQueue({ concurrency: packetsAtOnce });
  const compared = await queue.addAll(probes.map((probe) => () => compare(pair, probe)));
  const suspects = compared.filter((one) => one !== undefined);
  for (const [index, { probe }] of suspects.entries()) {
    const certain = await compareAlone(pair, probe);
    if (certain !== undefined) return [certain, ...suspects.slice(index + 1)];
  }
  return [];
}

async function compareAllSticky(stage: Stage, probes: readonly Probe[]): Promise<readonly Disagreement[]> {
  const again = async (some: readonly Probe[]): Promise<readonly Disagreement[]> =>
    compareSticky(stage.pair, some, () => stage.forgetClients());
  const suspects = await again(probes);
  return again(suspects.map(({ probe }) => probe));
}

function findingOf(
  { probe, weir, kubeProxy }: Disagreement,
  state: ClusterState,
  when = 'after the batch',
): Finding {
  const { source, request, frontend, number } = probe;
  const { protocol, address, port } = request;
  const places = claimants(probe, state);
  return {
    places: places.length === 0 ? [number] : places,
    words: `${source} to ${protocol} ${address} port ${port} (${frontend} of number ${number}) ${when}: with Weir: ${weir}; with kube-proxy: ${kubeProxy}`,
  };
}

/** For people, with the objects of the batch and of the one before. */
function told(
  found: readonly Finding[],
  index: number,
  { settings, batches }: Round,
  { machines }: Stage,
): string {
  const places = [...new Set(found.flatMap((one) => one.places))].toSorted((one, other) => one - other);
  const facts = (batch: Batch | undefined): readonly string[] =>
    batch === undefined
      ? []
      : [
          JSON.stringify({ zone: batch.zone, restart: batch.restart }),
          ...places.flatMap((place) =>
            objectsAt(batch.state, place, machines).map((object) => JSON.stringify(object)),
          ),
        ];
  return [
    `after batch ${index}, with the settings ${JSON.stringify(settings)}:`,
    ...found.map(({ words }) => words),
    'the objects:',
    ...facts(batches[index]),
    'a batch earlier:',
    ...facts(batches[index - 1]),
  ].join('\n');
}
