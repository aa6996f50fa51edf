import { canonicalAddress, type Family } from '../../pkg/net/index.ts';
import type { ServiceObjects } from './rendered-snapshot.ts';
import { endpoint, endpointPort, endpointSlice, service, servicePort } from './service-objects.ts';

/** All Services of a cluster at one moment. */
export interface ServiceState {
  readonly name: string;
  readonly objects: readonly ServiceObjects[];
}

/** States that differ from each other in everything that a Service may have, for walking from one to the other. */
export function serviceStates(family: Family): readonly ServiceState[] {
  const ip = (text: string): string =>
    canonical(family === 'IPv4' ? text : `fd00::${text.replaceAll('.', ':')}`);
  const endpoints = (count: number, from = 1): readonly ReturnType<typeof endpoint>[] =>
    Array.from({ length: count }, (_, index) => {
      const number = from + index;
      const nodeName = number % 2 === 1 ? 'node-a' : 'node-b';
      return endpoint(ip(`10.0.${number >> 8}.${number & 255}`), { nodeName });
    });
  const slice = (count: number, from?: number, name = 'svc1'): ReturnType<typeof endpointSlice> =>
    endpointSlice(endpoints(count, from), { family, serviceName: name, name });
  const clusterIPs = { [family]: ip('10.96.0.10') };
  const balanced = service({
    clusterIPs,
    type: 'LoadBalancer',
    ports: [servicePort({ nodePort: 30_080 })],
    externalIPs: [ip('192.0.2.1')],
    loadBalancerIPs: [ip('198.51.100.1')],
  });
  const ranges = [family === 'IPv4' ? '203.0.113.0/24' : '2001:db8:203::/48'];
  const twin = service({ ...balanced, name: 'svc2', clusterIPs: { [family]: ip('10.96.0.11') } });
  const ports = [
    servicePort(),
    servicePort({ name: 'dns', protocol: 'UDP', port: 53 }),
    servicePort({ name: 'dns-tcp', port: 53 }),
  ];
  const portsSlice = {
    ...slice(3),
    ports: [endpointPort(), endpointPort({ name: 'dns', protocol: 'UDP', port: 53 })],
  };
  return [
    { name: 'nothing', objects: [] },
    { name: 'a cluster IP', objects: [{ service: service({ clusterIPs }), slices: [slice(3)] }] },
    { name: 'other endpoints', objects: [{ service: service({ clusterIPs }), slices: [slice(3, 3)] }] },
    { name: 'no endpoints', objects: [{ service: service({ clusterIPs }) }] },
    { name: 'a load balancer', objects: [{ service: balanced, slices: [slice(2)] }] },
    { name: 'a load balancer without endpoints', objects: [{ service: balanced }] },
    {
      name: 'external Local with ranges and a health check',
      objects: [
        {
          service: {
            ...balanced,
            externalTrafficPolicy: 'Local',
            healthCheckNodePort: 31_000,
            loadBalancerSourceRanges: ranges,
          },
          slices: [slice(4)],
        },
      ],
    },
    {
      name: 'both Local, endpoints elsewhere',
      objects: [
        {
          service: { ...balanced, externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' },
          slices: [slice(1, 2)],
        },
      ],
    },
    {
      name: 'affinity',
      objects: [{ service: service({ clusterIPs, affinitySeconds: 60 }), slices: [slice(3)] }],
    },
    { name: 'many endpoints', objects: [{ service: balanced, slices: [slice(150)] }] },
    { name: 'very many endpoints', objects: [{ service: balanced, slices: [slice(150), slice(150, 151)] }] },
    { name: 'several ports', objects: [{ service: service({ clusterIPs, ports }), slices: [portsSlice] }] },
    {
      name: 'another name for the port',
      objects: [
        {
          service: service({ clusterIPs, ports: [servicePort({ name: 'web' })] }),
          slices: [{ ...slice(3), ports: [endpointPort({ name: 'web' })] }],
        },
      ],
    },
    { name: 'headless', objects: [{ service: service({ clusterIPs, headless: true }), slices: [slice(3)] }] },
    {
      name: 'two that share endpoints and claim the same addresses and node port',
      objects: [
        { service: twin, slices: [slice(2, 1, 'svc2')] },
        { service: balanced, slices: [slice(2)] },
      ],
    },
    { name: 'the second of the two alone', objects: [{ service: twin, slices: [slice(2, 1, 'svc2')] }] },
    { name: 'two hundred', objects: manyServices(family, 200) },
    { name: 'seventy-five', objects: manyServices(family, 75) },
  ];
}

/** Services with node ports, far apart from each other, so that the dispatch needs a tree. */
export function manyServices(family: Family, count: number): readonly ServiceObjects[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `many${index}`;
    const spread = (index * 40_503) % 65_536;
    const [high, low] = [spread >> 8, spread & 255];
    const clusterIP = canonical(
      family === 'IPv4' ? `10.100.${high}.${low}` : `fd00:100::${high.toString(16)}:${low.toString(16)}`,
    );
    const ip =
      family === 'IPv4' ? `10.1.${index >> 8}.${index & 255}` : `fd00:1::${(index + 1).toString(16)}`;
    return {
      service: service({
        name,
        type: 'NodePort',
        clusterIPs: { [family]: clusterIP },
        ports: [servicePort({ nodePort: 30_000 + index * 13 })],
      }),
      slices: [endpointSlice([endpoint(ip)], { name, serviceName: name, family })],
    };
  });
}

function canonical(text: string): string {
  const address = canonicalAddress(text);
  if (address === undefined) throw new RangeError(`${text} is no address`);
  return address;
}
