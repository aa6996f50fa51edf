/** A pseudo-random number generator (mulberry32), so that every run measures the same cluster. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface BenchService {
  readonly name: string;
  readonly ip: string;
  readonly endpoints: readonly string[];
}

/** Services with cluster IPs drawn at random from 10.96.0.0/12, kubeadm's default range, and endpoints in 10.244.0.0/16 and on. */
export function benchServices(services: number, endpointsEach: number): readonly BenchService[] {
  const random = randomFrom(services);
  const taken = new Set<number>();
  let pod = 0;
  return Array.from({ length: services }, (_, index) => {
    let offset = 0;
    do offset = 1 + Math.floor(random() * (2 ** 20 - 2));
    while (taken.has(offset));
    taken.add(offset);
    const endpoints = Array.from({ length: endpointsEach }, () => podIP(pod++));
    return { name: `service-${index}`, ip: address(0x0a600000 + offset), endpoints };
  });
}

export function podIP(index: number): string {
  return address(0x0af40000 + index + 1);
}

function address(bits: number): string {
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.');
}

export function serviceObject({ name, ip }: BenchService): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'bench' },
    spec: {
      type: 'ClusterIP',
      clusterIP: ip,
      clusterIPs: [ip],
      ipFamilies: ['IPv4'],
      selector: { app: name },
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080 }],
    },
  };
}

export function sliceObject({ name, endpoints }: BenchService): object {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-1`, namespace: 'bench', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: endpoints.map((ip, index) => ({
      addresses: [ip],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${index}`,
      targetRef: { kind: 'Pod', namespace: 'bench', name: `${name}-${index}` },
    })),
  };
}

/** Services with their slices. */
export function clusterObjects(services: readonly BenchService[]): readonly object[] {
  return [...services.map(serviceObject), ...services.map(sliceObject)];
}

/** Objects as `kubectl get … -o json` would print them. */
export function listJson(items: readonly object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}
