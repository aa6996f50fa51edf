import PQueue from 'p-queue';
import { nodeManifest } from '../../support/service-manifests.ts';
import { compare, compareSticky, type Disagreement, type Pair } from './comparison.ts';
import type { Cluster } from './control-plane.ts';
import type { ClusterState, Round } from './history.ts';
import { knownDifferences } from './known-differences.ts';
import { type Machines, markerObjects, markerPort, objectsOf } from './objects.ts';
import { chosen, claimants, isSticky, type Probe, probesOf } from './probe.ts';
import { nodeName, Twin, type TwinKind } from './twin.ts';

const packetsAtOnce = 24;
const packetsOfEachBatch = { live: 70, other: 10 };

/**
 * Starts both proxies, each on a node of its own, and lets the round happen before their eyes. Returns, for people, where they differ
 * after the first batch in which they do.
 */
export async function playRound(cluster: Cluster, kind: TwinKind, round: Round): Promise<string> {
  const made: Twin[] = [];
  try {
    const weir = await Twin.create('weir', kind, cluster);
    made.push(weir);
    const kubeProxy = await Twin.create('kube-proxy', kind, cluster);
    made.push(kubeProxy);
    const { node } = weir.services;
    const { zone } = round.settings;
    const podCIDRs = weir.services.world.podCidrs();
    const spec = { podCIDR: podCIDRs[0], podCIDRs };
    await cluster.replaceNode(nodeName, { ...nodeManifest(nodeName, node.addresses, zone), spec });
    const machines: Machines = {
      node,
      outside: weir.services.client('outside'),
      pod: (name) => weir.services.pod(name),
    };
    const probes = probesOf(node, round.packets);
    for (const [batch, state] of round.states.entries()) {
      const objects = objectsOf(state, machines);
      await cluster.become([...objects, ...(batch === 0 ? [] : markerObjects(batch - 1, machines))]);
      await cluster.become([...objects, ...markerObjects(batch, machines)]);
      if (batch === 0) await Promise.all(made.map((twin) => twin.start(round.settings)));
      await Promise.all(made.map((twin) => twin.settled(markerPort(batch))));
      const found = await disagreements({ weir, kubeProxy }, probes, state);
      if (found.length > 0) return told(found, batch, round, machines);
    }
    return '';
  } finally {
    for (const twin of made) await twin.dispose();
  }
}

async function disagreements(
  { weir, kubeProxy }: { readonly weir: Twin; readonly kubeProxy: Twin },
  probes: readonly Probe[],
  state: ClusterState,
): Promise<readonly Disagreement[]> {
  const pair: Pair = { weir: weir.services, kubeProxy: kubeProxy.services };
  const isKnown = (probe: Probe): boolean =>
    knownDifferences.some((difference) => difference.concerns(probe, state));
  const packets = chosen(
    probes.filter((probe) => !isKnown(probe)),
    state,
    packetsOfEachBatch,
  );
  const sticky = packets.filter((probe) => isSticky(probe, state));
  // More at once would be lost in a crowd.
  const queue = new PQueue({ concurrency: packetsAtOnce });
  const found = await queue.addAll(
    packets.filter((probe) => !sticky.includes(probe)).map((probe) => () => compare(pair, probe)),
  );
  const forget = async (): Promise<void> => {
    await Promise.all([weir.forgetClients(), kubeProxy.forgetClients()]);
  };
  const foundSticky = await compareSticky(pair, sticky, forget);
  return [...found.filter((one) => one !== undefined), ...foundSticky];
}

/** For people, with the objects of the batch and of the one before. */
function told(
  found: readonly Disagreement[],
  batch: number,
  { settings, states }: Round,
  machines: Machines,
): string {
  const concerned = new Set(
    found.flatMap(({ probe }) => [probe.place, ...claimants(probe, states[batch] ?? [])]),
  );
  const objects = (state: ClusterState = []): readonly string[] => {
    const services = state.map((service, place) => (concerned.has(place) ? service : undefined));
    return objectsOf(services, machines).map((object) => JSON.stringify(object));
  };
  return [
    `after batch ${batch}, with the settings ${JSON.stringify(settings)}:`,
    ...found.map(
      ({ probe: { source, request, frontend, place }, weir, kubeProxy }) =>
        `${source} to ${request.protocol} ${request.address} port ${request.port} (${frontend} of s${place}): with Weir: ${weir}; with kube-proxy: ${kubeProxy}`,
    ),
    'the objects:',
    ...objects(states[batch]),
    'a batch earlier:',
    ...objects(states[batch - 1]),
  ].join('\n');
}
