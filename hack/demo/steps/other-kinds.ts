import type { Demo, Step } from '../act.ts';
import { clusterTarget, externalTarget, loadBalancerTarget, nodePortTarget } from '../addresses.ts';
import { expect } from '../expect.ts';
import { expectFairShares, requestTimeoutMs, sendRequests, targetText } from '../requests.ts';
import { duration } from '../stage.ts';

const count = 300;

export const otherKinds: Step = {
  title: 'Every other kind of Service',
  run: async (demo) => {
    await ipv6FromOutside(demo);
    await externalAddress(demo);
    await sessionAffinity(demo);
    await onePod(demo);
    await noPod(demo);
  },
};

async function ipv6FromOutside({ stage, cluster }: Demo): Promise<void> {
  const nodePort = cluster.service('api-server-nodeport');
  const balancer = cluster.service('api-server-public');
  const port = nodePortTarget(nodePort, cluster.node.address('IPv6'));
  const address = loadBalancerTarget(balancer, 'IPv6');
  expectFairShares(await sendRequests(cluster.client, port, count), cluster.podsBehind(nodePort));
  expectFairShares(await sendRequests(cluster.client, address, count), cluster.podsBehind(balancer));
  stage.observed(
    `IPv6 from outside: NodePort ${targetText(port)} and LoadBalancer ${targetText(address)} share out as well.`,
  );
}

async function externalAddress({ stage, cluster }: Demo): Promise<void> {
  const service = cluster.service('api-server-partners');
  const target = externalTarget(service);
  const pods = cluster.podsBehind(service);
  expectFairShares(await sendRequests(cluster.client, target, count), pods);
  stage.observed(
    `External IP: ${cluster.client.name} asks ${target.address}, and all ${pods.length} pods take their share.`,
  );
}

async function sessionAffinity({ stage, cluster }: Demo): Promise<void> {
  const target = clusterTarget(cluster.service('api-server-sticky'), 'IPv4');
  const { replies } = await sendRequests(cluster.pod('frontend'), target, count);
  const pods = Object.keys(replies);
  expect(pods.length === 1, 'session affinity keeps a client with one pod', 'one pod', replies);
  stage.observed(
    `Session affinity: all ${count} requests of frontend reach ${pods[0]}, where the first went.`,
  );
}

async function onePod({ stage, cluster }: Demo): Promise<void> {
  const target = clusterTarget(cluster.service('postgres'), 'IPv4');
  const { replies } = await sendRequests(cluster.pod('frontend'), target, count);
  expect(
    replies['postgres'] === count,
    'postgres answers for itself',
    `${count} answers of postgres`,
    replies,
  );
  stage.observed(`A single pod: postgres answers at ${target.address}, whatever its own address may be.`);
}

async function noPod({ stage, cluster }: Demo): Promise<void> {
  const target = clusterTarget(cluster.service('search'), 'IPv4');
  const outcome = await cluster
    .pod('frontend')
    .connect({ ...target, protocol: 'tcp', timeoutMs: requestTimeoutMs });
  expect(outcome.kind === 'refused', 'a Service without pods refuses', 'connection refused', outcome);
  stage.observed(
    `No pod: search refuses after ${duration(outcome.milliseconds)} instead of letting the client wait for nothing.`,
  );
}
