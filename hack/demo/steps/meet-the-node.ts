import type { Service } from '../../../pkg/api/index.ts';
import type { Step } from '../act.ts';

export const meetTheNode: Step = {
  title: 'A small cluster',
  run: async ({ stage, cluster }) => {
    stage.say(
      'Each of these is a network namespace: it has interfaces, addresses and rules of its own, as a machine has. ' +
        'A pod is one running copy of a program.',
    );
    stage.gap();
    stage.table([
      ['NAME', 'IPV4', 'IPV6', ''],
      [...row(cluster.client), 'client outside the cluster'],
      [...row(cluster.node), 'the node; Weir will run here'],
      ...cluster.pods.map((pod) => [...row(cluster.pod(pod.name)), 'pod']),
    ]);
    stage.gap();
    stage.say('The Services, and the label by which each chooses its pods (from hack/demo/manifests):');
    stage.gap();
    stage.table([
      ['SERVICE', 'TYPE', 'ADDRESSES', 'PODS'],
      ...cluster.services.map((service) => [
        service.name,
        service.headless ? 'headless' : service.type,
        addressesOf(service).join(', ') || '-',
        selectorText(service),
      ]),
    ]);
  },
};

function row(machine: { readonly name: string; readonly addresses: readonly string[] }): readonly string[] {
  return [machine.name, machine.addresses[0] ?? '', machine.addresses[1] ?? ''];
}

function addressesOf(service: Service): readonly string[] {
  const ports = service.ports
    .filter((port) => port.nodePort !== 0)
    .map((port) => `node port ${port.nodePort}`);
  const { clusterIPs, externalIPs, loadBalancerIPs } = service;
  // What is given out beyond the cluster is the point of a Service that has it.
  const outer = [...loadBalancerIPs, ...externalIPs];
  return outer.length > 0 ? outer : ports.length > 0 ? ports : Object.values(clusterIPs);
}

function selectorText({ selector }: Service): string {
  const labels = Object.entries(selector ?? {}).map(([key, value]) => `${key}=${value}`);
  return labels.join(',') || '-';
}
