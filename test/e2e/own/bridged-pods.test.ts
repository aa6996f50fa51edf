import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../../pkg/net/index.ts';
import type { ConnectRequest, Transport } from '../../support/agent/protocol.ts';
import type { NetworkNamespace } from '../../support/network-namespace.ts';
import { patient } from '../../support/service-load.ts';
import { targetPort } from '../../support/service-manifests.ts';
import { idlePod, ingressPolicy, serviceOf, yamlOf } from './support/objects.ts';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';

const families = ['IPv4', 'IPv6'] as const satisfies readonly Family[];
const protocols = ['tcp', 'udp'] as const satisfies readonly Transport[];
/** That one of two servers gets none of so many is as likely as heads 60 times in a row. */
const count = 60;
const pods = {
  near: { node: 'node-1', app: 'server' },
  far: { node: 'node-2', app: 'server' },
  lonely: { node: 'node-1', app: 'lonely' },
  guarded: { node: 'node-1', app: 'guarded' },
  client: { node: 'node-1', app: 'client' },
  stranger: { node: 'node-1', app: 'stranger' },
} as const;
type PodName = keyof typeof pods;
const names = Object.keys(pods) as PodName[];
/** Servers of each Service. */
const services = { server: ['far', 'near'], lonely: ['lonely'] } as const;
type ServiceName = keyof typeof services;
const serviceNames = Object.keys(services) as ServiceName[];

let lab: OwnLab;
const networks = {} as Record<PodName, NetworkNamespace>;
let clusterIPs: Readonly<Record<ServiceName, readonly string[]>>;

beforeAll(async () => {
  lab = await startOwnLab({ network: 'bridged' });
  await lab.apply(
    yamlOf(
      ...names.map((name) => idlePod({ name, ...pods[name] })),
      ...serviceNames.map((name) => serviceOf({ name, app: name })),
      ingressPolicy({ name: 'guarded', to: 'guarded', from: 'client' }),
    ),
  );
  const addresses = serviceNames.map(async (name) => {
    const { spec } = await lab.get<{ readonly spec: { readonly clusterIPs: readonly string[] } }>(
      'service',
      name,
    );
    return [name, spec.clusterIPs] as const;
  });
  clusterIPs = Object.fromEntries(await Promise.all(addresses)) as typeof clusterIPs;
  await open(names);
});
afterAll(() => lab.stop());

describe.each(families)('over %s, where all pods of a node are on one bridge,', (family) => {
  test('they reach each other without their node as a router', async () => {
    const { stdout } = await networks.client.run('ip', [
      '-json',
      'route',
      'get',
      networks.near.address(family),
    ]);
    const [route = {}] = JSON.parse(stdout) as readonly Readonly<Record<string, unknown>>[];
    expect(route).toMatchObject({ dev: 'eth0' });
    expect(route).not.toHaveProperty('gateway');
  });

  test.each(protocols)(
    'a Service by %s has servers on this bridge and on that of another node',
    async (protocol) => {
      const { servers, failures, seenAddresses } = await shared('server', family, protocol);
      expect({ servers, failures }).toEqual({ servers: services.server, failures: {} });
      expect(seenAddresses).toEqual([networks.client.address(family)]);
    },
  );

  test.each(protocols)('a pod reaches itself through its Service by %s', async (protocol) => {
    const to = patient(protocol, clusterIPOf('lonely', family), targetPort);
    const { replies, failures } = await networks.lonely.burst({ ...to, count });
    expect({ replies, failures }).toEqual({ replies: { lonely: count }, failures: {} });
  });

  test.each(protocols)('a policy by %s holds between two pods of one bridge', async (protocol) => {
    const to = { ...patient(protocol, networks.guarded.address(family), targetPort), timeoutMs: 2000 };
    expect(await outcomes(to)).toEqual({ client: 'reply', stranger: 'timeout' });
  });
});

test('a node that is restarted has its bridge and all that goes over it again', async () => {
  await lab.reboot('node-1');
  await lab.waitForReadyPod(await lab.weirPod('node-1'), 'kube-system');
  await open(names.filter((name) => pods[name].node === 'node-1'));
  for (const family of families) {
    const own = patient('tcp', clusterIPOf('lonely', family), targetPort);
    expect((await networks.lonely.connect(own)).kind).toBe('reply');
    const guarded = patient('tcp', networks.guarded.address(family), targetPort);
    expect(await outcomes({ ...guarded, timeoutMs: 2000 })).toEqual({ client: 'reply', stranger: 'timeout' });
  }
});

/** Lets these pods listen. Resolves when the rules of all nodes know of them. */
async function open(names: readonly PodName[]): Promise<void> {
  await Promise.all(
    names.map(async (name) => {
      networks[name] = await lab.podNetwork(name);
      await networks[name].listen(...protocols.map((protocol) => ({ protocol, port: targetPort })));
    }),
  );
  await lab.waitFor('the Services and the policy', async () => {
    const results = await Promise.all(
      families.map(async (family) => {
        const to = { ...patient('tcp', networks.guarded.address(family), targetPort), timeoutMs: 500 };
        const { stranger } = await outcomes(to);
        const found = await Promise.all(serviceNames.map((name) => shared(name, family, 'tcp')));
        const isWhole = found.every(({ servers, wanted }) => servers.join() === wanted.join());
        return stranger === 'timeout' && isWhole;
      }),
    );
    return results.every(Boolean);
  });
}

/** Who answers the client, of those who should. */
async function shared(service: ServiceName, family: Family, protocol: (typeof protocols)[number]) {
  const to = patient(protocol, clusterIPOf(service, family), targetPort);
  const { replies, ...rest } = await networks.client.burst({ ...to, count });
  return { servers: Object.keys(replies).toSorted(), wanted: services[service], ...rest };
}

async function outcomes(to: ConnectRequest): Promise<Readonly<Record<'client' | 'stranger', string>>> {
  const [client, stranger] = await Promise.all([networks.client.connect(to), networks.stranger.connect(to)]);
  return { client: client.kind, stranger: stranger.kind };
}

function clusterIPOf(service: ServiceName, family: Family): string {
  const address = clusterIPs[service].find((address) => address.includes(':') === (family === 'IPv6'));
  if (address === undefined) throw new Error(`${service} has no ${family} address`);
  return address;
}
