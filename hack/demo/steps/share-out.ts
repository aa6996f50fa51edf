import type { Service } from '../../../pkg/api/index.ts';
import type { NetworkNamespace } from '../../../test/support/network-namespace.ts';
import type { Demo, Step } from '../act.ts';
import { clusterTarget, loadBalancerTarget, nodePortTarget } from '../addresses.ts';
import { expect } from '../expect.ts';
import { expectFairShares, type Shares, sendRequests, type Target, targetText } from '../requests.ts';

const count = 300;

interface Way {
  readonly name: string;
  readonly meaning: string;
  readonly from: NetworkNamespace;
  readonly service: Service;
  readonly to: Target;
}

export const shareOut: Step = {
  title: 'One address for several pods',
  run: async (demo) => {
    const { stage, cluster } = demo;
    const { client, node } = cluster;
    const frontend = cluster.pod('frontend');
    const internal = cluster.service('api-server');
    const nodePort = cluster.service('api-server-nodeport');
    const balancer = cluster.service('api-server-public');
    stage.say(
      `Each request is a new connection, answered by a pod with its name; ${count} requests each time:`,
    );
    await ask(demo, {
      name: 'ClusterIP',
      meaning: 'an address inside the cluster',
      from: frontend,
      service: internal,
      to: clusterTarget(internal, 'IPv4'),
    });
    await ask(demo, {
      name: 'IPv6',
      meaning: 'the same Service',
      from: frontend,
      service: internal,
      to: clusterTarget(internal, 'IPv6'),
    });
    await ask(demo, {
      name: 'NodePort',
      meaning: 'a port of the node, for clients outside',
      from: client,
      service: nodePort,
      to: nodePortTarget(nodePort, node.address('IPv4')),
    });
    const { seenAddresses } = await ask(demo, {
      name: 'LoadBalancer',
      meaning: 'an address that leads to the node',
      from: client,
      service: balancer,
      to: loadBalancerTarget(balancer, 'IPv4'),
    });
    const own = client.address('IPv4');
    expect(seenAddresses.join() === own, 'pods see the client itself', own, seenAddresses.join());
    stage.observed(`The pods saw ${client.name}'s own address, as externalTrafficPolicy: Local promises.`);
  },
};

async function ask({ stage, cluster }: Demo, { name, meaning, from, service, to }: Way): Promise<Shares> {
  const shares = await sendRequests(from, to, count);
  expectFairShares(shares, cluster.podsBehind(service));
  stage.gap();
  const path = `${from.name} → ${targetText(to)}`;
  stage.observed(`${name.padEnd(12)}  ${path.padEnd(30)}  ${meaning}`);
  stage.histogram(shares.replies);
  return shares;
}
