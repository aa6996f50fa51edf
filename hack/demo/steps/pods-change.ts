import type { Family } from '../../../pkg/net/index.ts';
import { systemClock } from '../../../pkg/runtime/index.ts';
import type { NetworkNamespace } from '../../../test/support/network-namespace.ts';
import type { Demo, Step } from '../act.ts';
import { clusterTarget, loadBalancerTarget } from '../addresses.ts';
import { expectFairShares, sendRequests } from '../requests.ts';
import { duration } from '../stage.ts';
import { requestEveryMs } from '../traffic.ts';

const count = 300;
const podPort = 8080;
/** Between the two changes, so that the clients meet what is between them. */
const pauseMs = 300;
/** Kubernetes gives a pod that leaves 30 seconds to finish; requests here last a few milliseconds. */
const graceMs = 300;

export const podsChange: Step = {
  title: 'Pods come and go',
  run: async (demo) => {
    const { stage, cluster, traffic } = demo;
    const { client } = cluster;
    const frontend = cluster.pod('frontend');
    const internal = cluster.service('api-server');
    await traffic.start(
      [
        { from: frontend, to: clusterTarget(internal, 'IPv4') },
        { from: frontend, to: clusterTarget(internal, 'IPv6') },
        { from: client, to: loadBalancerTarget(cluster.service('api-server-public'), 'IPv4') },
      ],
      { from: frontend, to: clusterTarget(cluster.service('postgres'), 'IPv4') },
    );
    stage.say(
      `From now on three clients each send a request every ${requestEveryMs} ms, by ClusterIP, IPv6 and LoadBalancer; and a connection to postgres stays open.`,
    );
    stage.gap();
    const [staying = '', leaving = ''] = cluster.podsBehind(internal);
    const coming = cluster.freePodName('api-server');
    await addPod(demo, coming, staying);
    await systemClock.sleep(pauseMs);
    await removePod(demo, leaving);
    stage.gap();
    const shares = await sendRequests(frontend, clusterTarget(internal, 'IPv4'), count);
    const others = cluster.podsBehind(internal).filter((pod) => pod !== leaving);
    expectFairShares(shares, [...others, coming]);
    stage.observed(`The next ${count} requests:`);
    stage.histogram(shares.replies);
  },
};

async function addPod({ stage, cluster }: Demo, name: string, like: string): Promise<void> {
  const pod = await cluster.startPod(name, like);
  const save = (): Promise<number> => cluster.manifests.addPod(name, like, pod.addresses);
  const followedMs = await cluster.rules.follow(save, 'present', destinationsOf(pod));
  stage.observed(
    `${name} starts. ${duration(followedMs)} after it was saved in api-server.yaml, the kernel leads requests to it.`,
  );
}

async function removePod({ stage, cluster }: Demo, name: string): Promise<void> {
  const save = (): Promise<number> => cluster.manifests.removePod(name);
  const followedMs = await cluster.rules.follow(save, 'gone', destinationsOf(cluster.pod(name)));
  await systemClock.sleep(graceMs);
  await cluster.endPod(name);
  stage.observed(
    `${name} is to end. ${duration(followedMs)} after it was taken out of the file, no rule leads to it; then it ends.`,
  );
}

/** As they stand in the rules. */
function destinationsOf(pod: NetworkNamespace): Readonly<Record<Family, string>> {
  return { IPv4: `${pod.address('IPv4')}:${podPort}`, IPv6: `[${pod.address('IPv6')}]:${podPort}` };
}
