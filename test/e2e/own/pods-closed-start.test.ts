import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NetworkNamespace } from '../../support/network-namespace.ts';
import { comingAddresses, countArrivals, firstMomentPod, reachOnce, tryAll } from './support/first-moment.ts';
import { idlePod, type KubeManifest, yamlOf } from './support/objects.ts';
import { type OwnLab, type PodView, startOwnLab } from './support/own-lab.ts';

const namespace = 'closed';
/** On which the pods of the test listen, and where those that may not try to get. */
const port = 7070;
/** Where those that may get. */
const allowedPort = 7071;
/** What somebody meets who is kept out, or where nobody is. */
const silence = new Set(['timeout', 'unreachable']);
const node = 'node-1';
const forbidden = Array.from({ length: 5 }, (_, index) => `forbidden-${index}`);
const allowed = Array.from({ length: 3 }, (_, index) => `allowed-${index}`);

let lab: OwnLab;
let server: NetworkNamespace;
let friend: NetworkNamespace;
let strangers: readonly NetworkNamespace[];

beforeAll(async () => {
  lab = await startOwnLab();
  await lab.apply(
    yamlOf(
      idlePod({ name: 'server', node: 'node-2', app: 'server' }),
      idlePod({ name: 'friend', node: 'node-2', app: 'friend' }),
      idlePod({ name: 'stranger-far', node: 'node-2', app: 'stranger' }),
      idlePod({ name: 'stranger-near', node, app: 'stranger' }),
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    ),
  );
  await lab.apply(
    yamlOf(
      policy('default-deny', {}, {}),
      policy(
        'friends',
        { matchLabels: { role: 'allowed' } },
        {
          ingress: [{ from: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'friend' } } }] }],
          egress: [
            {
              to: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'server' } } }],
              ports: [{ port: allowedPort }],
            },
          ],
        },
      ),
    ),
  );
  server = await lab.podNetwork('server');
  friend = await lab.podNetwork('friend');
  strangers = await Promise.all(['stranger-far', 'stranger-near'].map((name) => lab.podNetwork(name)));
  for (const one of [port, allowedPort])
    await server.listen({ protocol: 'tcp', port: one }, { protocol: 'udp', port: one });
});
afterAll(() => lab.stop());

test('a new pod is closed from its first packet on, and at once open to whom it may talk', async () => {
  const arrivals = await countArrivals(server, port);
  const coming = comingAddresses(
    lab.state.nodes,
    node,
    addressesOf(await podsEverywhere()),
    forbidden.length + allowed.length,
  );
  const [byFriend, ...byStrangers] = await Promise.all(
    [friend, ...strangers].map((from) => hammer(from, coming)),
  );

  await lab.apply(
    yamlOf(
      // One of the other kind after each.
      ...forbidden.flatMap((name, index) => [
        newPod(name, 'forbidden', tryAll(server.addresses, port)),
        ...allowed
          .slice(index, index + 1)
          .map((one) => newPod(one, 'allowed', reachOnce(server.addresses, allowedPort))),
      ]),
    ),
  );
  const closed = await Promise.all(forbidden.map((name) => lab.waitForReadyPod(name, namespace)));
  const open = await Promise.all(allowed.map((name) => lab.waitForReadyPod(name, namespace)));
  // So the right addresses were tried all the time.
  expect(addressesOf([...closed, ...open])).toEqual(coming.toSorted());

  for (const name of [...forbidden, ...allowed])
    await (await lab.podNetwork(name, namespace)).listen({ protocol: 'tcp', port });
  for (const address of addressesOf(open))
    expect(await friend.connect({ protocol: 'tcp', address, port })).toMatchObject({ kind: 'reply' });
  // Silence is all that others meet, from the time when there is no pod yet: no answer and no refusal either.
  expect(await Promise.all(byStrangers.map((stop) => stop()))).toEqual([[], []]);
  expect(await byFriend?.()).toEqual(addressesOf(open));
  expect(await arrivals()).toBe(0);
});

function newPod(name: string, role: string, script: string): KubeManifest {
  return firstMomentPod({ name, namespace, node, role, script });
}

function policy(name: string, podSelector: object, rules: object): KubeManifest {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace },
    spec: { podSelector, policyTypes: ['Ingress', 'Egress'], ...rules },
  };
}

async function podsEverywhere(): Promise<readonly PodView[]> {
  const { items } = await lab.get<{ readonly items: readonly PodView[] }>('pods', '--all-namespaces');
  return items;
}

function addressesOf(pods: readonly PodView[]): readonly string[] {
  return pods.flatMap(({ status }) => (status.podIPs ?? []).map(({ ip }) => ip)).toSorted();
}

/** Connects to all of them all the time. What it returns ends that, and tells where anything but silence came from. */
async function hammer(
  from: NetworkNamespace,
  addresses: readonly string[],
): Promise<() => Promise<readonly string[]>> {
  const probes = await Promise.all(
    addresses.map((address) =>
      from.startProbe({ protocol: 'tcp', address, port, everyMs: 100, timeoutMs: 300 }),
    ),
  );
  return async () => {
    const reports = await Promise.all(probes.map((probe) => probe.stop()));
    return addresses
      .filter((_, index) => {
        const { replies = {}, failures = {} } = reports[index] ?? {};
        return Object.keys(replies).length > 0 || Object.keys(failures).some((kind) => !silence.has(kind));
      })
      .toSorted();
  };
}
