import { kubeletPort, type LabNode } from '../settings.ts';

export const nodeCpus = 16;
export const nodeMemoryBytes = 32 * 2 ** 30;

/** The Node as the kubelet registers it. Size is pretended: pods of the lab ask for more than they use. */
export function nodeObject(node: LabNode, index: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: node.name,
      labels: {
        'kubernetes.io/hostname': node.name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture(),
        'topology.kubernetes.io/region': 'lab',
        'topology.kubernetes.io/zone': `zone-${(index % 3) + 1}`,
      },
    },
    spec: { podCIDR: node.podCidrs[0], podCIDRs: node.podCidrs },
  };
}

/** Its status, with the time of the heartbeat. */
export function nodeStatus(node: LabNode, version: string, now: string): object {
  const size = {
    cpu: `${nodeCpus}`,
    memory: `${nodeMemoryBytes}`,
    'ephemeral-storage': '100Gi',
    pods: '220',
  };
  const healthy = (type: string): object => ({
    type,
    status: 'False',
    reason: `KubeletHasNo${type}`,
    lastHeartbeatTime: now,
  });
  return {
    addresses: [
      ...node.addresses.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: node.name },
    ],
    capacity: size,
    allocatable: size,
    conditions: [
      { type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: now },
      ...['MemoryPressure', 'DiskPressure', 'PIDPressure'].map(healthy),
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
    // Commands come as WebSockets then, and not as SPDY.
    declaredFeatures: ['ExtendWebSocketsToKubelet'],
    nodeInfo: {
      machineID: node.name,
      systemUUID: node.name,
      bootID: node.name,
      kernelVersion: 'lab',
      osImage: 'Weir lab',
      containerRuntimeVersion: 'lab://1',
      kubeletVersion: version,
      kubeProxyVersion: version,
      operatingSystem: 'linux',
      architecture: architecture(),
    },
  };
}

function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}
