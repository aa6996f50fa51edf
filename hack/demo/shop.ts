import type { NetworkNamespace } from '../../test/support/network-namespace.ts';
import { clusterTarget, loadBalancerTarget } from './addresses.ts';
import type { Cluster } from './cluster.ts';
import type { Connection } from './connections.ts';

/** A port of the pods that no Service leads to and no policy allows. */
export const debugPort = 9090;

export interface ShopConnection extends Connection {
  /** `application`: one cannot do without. `node`: the node's own, as the kubelet's health checks. */
  readonly need: 'application' | 'node' | 'none';
}

/** Ways into the pods of namespace `shop`, those first that the application needs. */
export function shopConnections(cluster: Cluster): readonly ShopConnection[] {
  const [frontend, postgres] = [cluster.pod('frontend'), cluster.pod('postgres')];
  const [api, database] = [cluster.service('api-server'), cluster.service('postgres')];
  const apiPod = apiServerPod(cluster);
  const port = (pod: NetworkNamespace, number: number): Connection['to'] => ({
    address: pod.address('IPv4'),
    port: number,
  });
  return [
    { ...frontendToApi(cluster), need: 'application' },
    { from: frontend, name: 'api-server', to: clusterTarget(api, 'IPv6'), need: 'application' },
    { from: apiPod, name: 'postgres', to: clusterTarget(database, 'IPv4'), need: 'application' },
    { from: frontend, name: 'postgres', to: clusterTarget(database, 'IPv4'), need: 'none' },
    { from: frontend, name: `${apiPod.name}, debug port`, to: port(apiPod, debugPort), need: 'none' },
    { from: postgres, name: 'api-server', to: clusterTarget(api, 'IPv4'), need: 'none' },
    {
      from: cluster.client,
      name: 'api-server-public',
      to: loadBalancerTarget(cluster.service('api-server-public'), 'IPv4'),
      need: 'none',
    },
    { from: cluster.node, name: apiPod.name, to: port(apiPod, 8080), need: 'node' },
  ];
}

/** One of the pods behind api-server that stay all along. */
export function apiServerPod(cluster: Cluster): NetworkNamespace {
  const [first = ''] = cluster.podsBehind(cluster.service('api-server'));
  return cluster.pod(first);
}

/** The connection that has to be there for anything to work. */
export function frontendToApi(cluster: Cluster): Connection {
  return {
    from: cluster.pod('frontend'),
    name: 'api-server',
    to: clusterTarget(cluster.service('api-server'), 'IPv4'),
  };
}
