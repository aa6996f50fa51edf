import { setTimeout as sleep } from 'node:timers/promises';
import PQueue from 'p-queue';
import type { ProbeReport } from '../../support/agent/protocol.ts';
import type { RunningProbe } from '../../support/network-namespace.ts';
import type { ServiceWorld } from '../../support/service-world.ts';
import type { Disagreement, Pair } from './comparison.ts';
import { isReply, machineOf, outcomes, type Probe, visit } from './probe.ts';

const packetsEveryMs = 50;
/** Enough for a machine that stops for a second or two. A packet that meets no rule is lost for longer. */
const patienceMs = 3000;
/** Of five endpoints of which one refuses, it is met in all but seven of a hundred cases; kube-proxy meets it too then. */
const triesBefore = 12;
const fewAtOnce = 6;
/** A rule that goes missing does so in each. */
const mostRestarts = 2;

/** Candidates, of which a few are used. */
export interface RestartProbes {
  /** Sent all the while. */
  readonly steady: readonly Probe[];
  /** Of clients that are remembered; sent before and after. */
  readonly sticky: readonly Probe[];
}
const mostProbes = 8;
const mostCandidates = 20;

/**
 * What is lost while `restart` happens, for which there is no reason: nothing changes meanwhile. Of packets that were answered before
 * none may go unanswered with Weir unless that happens with kube-proxy too, and clients that are remembered are led where they were. What is
 * found is tried again, by another restart.
 */
export async function lossesIn(
  pair: Pair,
  { steady, sticky }: RestartProbes,
  restart: () => Promise<void>,
): Promise<readonly Disagreement[]> {
  const answered = await answeredOf(pair, candidatesOf(steady));
  for (let restarts = 1; ; restarts += 1) {
    // A client that came by several ways is led to the first of where they led; this shows when it comes back.
    await visits(pair, sticky.slice(0, mostProbes));
    const known = await visits(pair, sticky.slice(0, mostProbes));
    const interrupted = await interruptions(pair, answered, restart);
    const still = await visits(pair, sticky.slice(0, mostProbes));
    const losses = [...interrupted, ...moved(known, still)];
    if (losses.length === 0 || restarts === mostRestarts) return losses;
    await sleep(1000);
  }
}

/** What can be sent again and again with little effort. A datagram shows the shortest gap: TCP asks again by itself, after a second. */
function candidatesOf(probes: readonly Probe[]): readonly Probe[] {
  return (['udp', 'tcp'] as const)
    .flatMap((protocol) => probes.filter(({ request }) => request.protocol === protocol))
    .slice(0, mostCandidates);
}

/** Those that are always answered in both worlds. */
async function answeredOf(pair: Pair, probes: readonly Probe[]): Promise<readonly Probe[]> {
  const how = { count: triesBefore, patience: 'brief' } as const;
  const queue = new PQueue({ concurrency: fewAtOnce });
  const answered = await queue.addAll(
    probes.map((probe) => async () => {
      const seen = await Promise.all([outcomes(pair.weir, probe, how), outcomes(pair.kubeProxy, probe, how)]);
      return seen.flat().every(isReply) ? [probe] : [];
    }),
  );
  return answered.flat().slice(0, mostProbes);
}

async function interruptions(
  pair: Pair,
  probes: readonly Probe[],
  restart: () => Promise<void>,
): Promise<readonly Disagreement[]> {
  const running = await Promise.all(
    probes.map(async (probe) => ({
      probe,
      weir: await start(pair.weir, probe),
      kubeProxy: await start(pair.kubeProxy, probe),
    })),
  );
  let reports: readonly (readonly [Probe, ProbeReport, ProbeReport])[] = [];
  try {
    await restart();
  } finally {
    reports = await Promise.all(
      running.map(async (one) => [one.probe, await one.weir.stop(), await one.kubeProxy.stop()] as const),
    );
  }
  return reports.flatMap(([probe, weir, kubeProxy]) => {
    const ofWeirOnly = Object.keys(weir.failures).filter((kind) => !(kind in kubeProxy.failures));
    return ofWeirOnly.length === 0 ? [] : [{ probe, weir: told(weir), kubeProxy: told(kubeProxy) }];
  });
}

function start(services: ServiceWorld, { source, request }: Probe): Promise<RunningProbe> {
  const machine = machineOf(services, source);
  return machine.startProbe({ ...request, timeoutMs: patienceMs, everyMs: packetsEveryMs });
}

function told({ attempts, replies, failures }: ProbeReport): string {
  return Object.entries({ ...replies, ...failures })
    .map(([word, count]) => `${word} (${count} of ${attempts})`)
    .join(', ');
}

interface Visits {
  readonly probe: Probe;
  readonly weir: string;
  readonly kubeProxy: string;
}

async function visits(pair: Pair, probes: readonly Probe[]): Promise<readonly Visits[]> {
  const seen: Visits[] = [];
  // Two at once of one client would each be led somewhere before the other is remembered.
  for (const probe of probes) {
    const [weir, kubeProxy] = await Promise.all([visit(pair.weir, probe), visit(pair.kubeProxy, probe)]);
    seen.push({ probe, weir, kubeProxy });
  }
  return seen;
}

function moved(known: readonly Visits[], still: readonly Visits[]): readonly Disagreement[] {
  return known.flatMap((before, index) => {
    const after = still[index];
    if (after === undefined || after.weir === before.weir || after.kubeProxy !== before.kubeProxy) return [];
    const change = (of: 'weir' | 'kubeProxy'): string => `${before[of]}, after a restart ${after[of]}`;
    return [{ probe: before.probe, weir: change('weir'), kubeProxy: change('kubeProxy') }];
  });
}
