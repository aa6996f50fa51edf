import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import type { Transport } from '../support/agent/protocol.ts';
import { capabilities } from '../support/capabilities.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { receivedTcpPackets, sendStraySynAck } from '../support/raw-tcp.ts';
import { type Contact, contact, silenceMs } from '../support/service-contact.ts';
import {
  endpointSlices,
  frontendsOf,
  type Manifest,
  type ServiceSpec,
  serviceManifest,
  servicePort,
  targetPort,
} from '../support/service-manifests.ts';
import {
  clusterCidrs,
  createServiceWorld,
  families,
  type PodName,
  podNodes,
  protocols,
  type ServiceWorld,
  usable,
  worlds,
} from '../support/service-world.ts';

const flags = ['--cluster-cidr', clusterCidrs];
/** One world for each backend, with either kind of pods: what is refused does not depend on both together. */
const chosen = worlds.filter(({ backend, mode }) => (backend === 'legacy') === (mode === 'routed'));

const numbers = { empty: 40, far: 41, farInternal: 42, ranged: 43, checked: 44, plain: 45 } as const;
const healthPort = 31_000;

type Target = 'cluster IP' | 'node port' | 'load balancer' | 'external IP';
const targets: readonly Target[] = ['cluster IP', 'node port', 'load balancer', 'external IP'];

describe.skipIf(!usable).each(chosen)('$mode pods on $backend', ({ backend, mode }) => {
  let world: ServiceWorld;
  let outside: NetworkNamespace;
  let stranger: NetworkNamespace;
  let pod: NetworkNamespace;

  beforeAll(async () => {
    world = await createServiceWorld(backend, mode);
    outside = world.client('outside');
    stranger = world.client('stranger');
    pod = world.pod('c');
    // Something of the node's own on the port of a Service without endpoints: the rule must refuse, not its absence.
    const port = frontendsOf(numbers.empty, 'IPv4').nodePort;
    await world.node.listen({ protocol: 'tcp', port }, { protocol: 'tcp', port: healthPort });
    await world.run(services(), flags);
  });
  afterAll(() => world.dispose());

  function service(name: keyof typeof numbers, pods: readonly PodName[], spec: Partial<ServiceSpec> = {}) {
    const endpoints = pods.map((one) => ({ pod: world.pod(one), node: podNodes[one] }));
    return [serviceManifest({ name, number: numbers[name], ...spec }), ...endpointSlices(name, endpoints)];
  }

  function services(ranged?: readonly Manifest[]): readonly Manifest[] {
    return [
      world.nodeObject(),
      ...service('empty', []),
      ...service('far', ['d'], { externalTrafficPolicy: 'Local' }),
      ...service('farInternal', ['d'], { internalTrafficPolicy: 'Local' }),
      ...(ranged ?? rangedService(['a'])),
      ...service('checked', ['a'], { externalTrafficPolicy: 'Local', healthCheckNodePort: healthPort }),
      ...service('plain', ['a']),
    ];
  }

  function rangedService(
    pods: readonly PodName[],
    more: readonly NetworkNamespace[] = [],
  ): readonly Manifest[] {
    const allowed = [outside, ...more].flatMap((machine) =>
      families.map((family) => `${machine.address(family)}/${family === 'IPv4' ? 32 : 128}`),
    );
    return service('ranged', pods, { loadBalancerSourceRanges: allowed });
  }

  function reach(
    from: NetworkNamespace,
    name: keyof typeof numbers,
    target: Target,
    family: Family,
    protocol: Transport = 'tcp',
  ): Promise<string> {
    const frontends = frontendsOf(numbers[name], family);
    const where = {
      'cluster IP': { address: frontends.clusterIP, port: servicePort },
      'load balancer': { address: frontends.loadBalancerIP, port: servicePort },
      'external IP': { address: frontends.externalIP, port: servicePort },
      'node port': { address: world.node.address(family), port: frontends.nodePort },
    }[target];
    return attempt(from, { protocol, ...where }, family);
  }

  async function attempt(
    from: NetworkNamespace,
    where: { readonly protocol: Transport; readonly address: string; readonly port: number },
    family: Family,
  ): Promise<string> {
    return word(await contact(from, { ...where, timeoutMs: silenceMs(where.protocol, family) }));
  }

  function word(seen: Contact): string {
    return seen.kind === 'reply' ? seen.name : seen.kind;
  }

  /** Expects the same over both families. */
  async function expectReached(
    paths: readonly {
      readonly from: NetworkNamespace;
      readonly to: readonly Target[];
      readonly wanted: string;
    }[],
    name: keyof typeof numbers,
    usedProtocols: readonly Transport[] = ['tcp', 'udp'],
  ): Promise<void> {
    const rows = paths.flatMap(({ from, to, wanted }) =>
      to.flatMap((target) =>
        usedProtocols.flatMap((protocol) =>
          families.map(async (family) => {
            const path = `${from.name} to ${target}, ${protocol} over ${family}`;
            return { path, wanted, seen: await reach(from, name, target, family, protocol) };
          }),
        ),
      ),
    );
    const results = await Promise.all(rows);
    expect(Object.fromEntries(results.map(({ path, seen }) => [path, seen]))).toEqual(
      Object.fromEntries(results.map(({ path, wanted }) => [path, wanted])),
    );
  }

  test('a Service without endpoints refuses at once', async () => {
    await expectReached(
      [
        { from: pod, to: targets, wanted: 'refused' },
        { from: outside, to: targets, wanted: 'refused' },
        // As with kube-proxy, what the node itself sends to the other addresses is not refused: it leaves the node.
        { from: world.node, to: ['cluster IP', 'node port'], wanted: 'refused' },
      ],
      'empty',
      protocols,
    );
  });

  test('external policy Local without a local endpoint is silent outside and works inside', async () => {
    const external: readonly Target[] = ['node port', 'load balancer', 'external IP'];
    await expectReached(
      [
        { from: outside, to: external, wanted: 'timeout' },
        { from: outside, to: ['cluster IP'], wanted: 'd' },
        { from: pod, to: targets, wanted: 'd' },
        { from: world.node, to: targets, wanted: 'd' },
      ],
      'far',
    );
  });

  test('internal policy Local without a local endpoint is silent at the cluster IP only', async () => {
    const external: readonly Target[] = ['node port', 'load balancer', 'external IP'];
    const everyone = [pod, outside, world.node];
    await expectReached(
      everyone.flatMap((from) => [
        { from, to: ['cluster IP'], wanted: 'timeout' },
        { from, to: external, wanted: 'd' },
      ]),
      'farInternal',
    );
  });

  describe('source ranges', () => {
    const open: readonly Target[] = ['cluster IP', 'node port', 'external IP'];

    test('let only the listed clients use the load balancer, and do not concern the other addresses', async () => {
      await expectReached(
        [
          { from: outside, to: targets, wanted: 'a' },
          { from: stranger, to: ['load balancer'], wanted: 'timeout' },
          { from: stranger, to: open, wanted: 'a' },
          { from: pod, to: ['load balancer'], wanted: 'timeout' },
          { from: pod, to: open, wanted: 'a' },
          { from: world.node, to: ['load balancer'], wanted: 'timeout' },
          { from: world.node, to: open, wanted: 'a' },
        ],
        'ranged',
      );
    });

    test('let the node use an address that is bound on it, where they list the node', async () => {
      const bound = families.map((family) => frontendsOf(numbers.ranged, family).loadBalancerIP);
      for (const address of bound) await world.node.run('ip', ['address', 'add', address, 'dev', 'lo']);
      try {
        await expectReached([{ from: world.node, to: ['load balancer'], wanted: 'timeout' }], 'ranged');
        await world.update(services(rangedService(['a'], [world.node])));
        await expectReached(
          [
            { from: world.node, to: ['load balancer'], wanted: 'a' },
            { from: outside, to: ['load balancer'], wanted: 'a' },
            { from: stranger, to: ['load balancer'], wanted: 'timeout' },
          ],
          'ranged',
        );
      } finally {
        const length = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`;
        for (const address of bound)
          await world.node.run('ip', ['address', 'del', length(address), 'dev', 'lo']);
      }
    });

    test('do not hide that there is no endpoint', async () => {
      await world.update(services(rangedService([])));
      await expectReached(
        [outside, stranger, pod].map((from) => ({ from, to: ['load balancer'], wanted: 'refused' })),
        'ranged',
      );
    });
  });

  describe.each(families)('over %s', (family) => {
    test('the health check port is open though the node accepts nothing else', async () => {
      // Without neighbour discovery IPv6 would end for another reason.
      const discovery = ['INPUT', '-p', 'ipv6-icmp', '-j', 'ACCEPT'];
      if (family === 'IPv6') await world.iptables(family, '', ['-A', ...discovery]);
      await world.iptables(family, '', ['-P', 'INPUT', 'DROP']);
      try {
        const address = world.node.address(family);
        const open = { protocol: 'tcp', address, port: healthPort } as const;
        expect(await attempt(outside, open, family)).toBe('node-a');
        expect(await attempt(outside, { ...open, port: healthPort + 1 }, family)).toBe('timeout');
      } finally {
        await world.iptables(family, '', ['-P', 'INPUT', 'ACCEPT']);
        if (family === 'IPv6') await world.iptables(family, '', ['-D', ...discovery]);
      }
    });

    test('Services reach their pods though the node forwards nothing else', async () => {
      await world.iptables(family, '', ['-P', 'FORWARD', 'DROP']);
      try {
        for (const protocol of protocols) {
          expect(await reach(outside, 'plain', 'node port', family, protocol)).toBe('a');
          expect(await reach(outside, 'plain', 'cluster IP', family, protocol)).toBe('a');
          expect(await reach(world.pod('a'), 'plain', 'cluster IP', family, protocol), 'hairpin').toBe('a');
        }
        const direct = {
          protocol: 'udp',
          address: world.pod('d').address(family),
          port: targetPort,
        } as const;
        expect(await attempt(pod, direct, family)).toBe('timeout');
      } finally {
        await world.iptables(family, '', ['-P', 'FORWARD', 'ACCEPT']);
      }
    });

    test.skipIf(!capabilities['perl-raw'])(
      'packets that belong to no connection are not forwarded',
      async () => {
        const before = await receivedTcpPackets(outside);
        await sendStraySynAck(world.pod('a'), outside.address(family));
        await sleep(300);
        expect((await receivedTcpPackets(outside)) - before).toBe(0);
      },
    );
  });

  test('neighbours do not reach the loopback addresses of the node', async () => {
    const port = healthPort;
    await lookForNodeAtLoopback(outside);
    const request = { protocol: 'tcp', address: '127.0.0.1', port, timeoutMs: 800 } as const;
    expect(await contact(outside, request)).toEqual({ kind: 'timeout' });
    await world.stop();
    await world.iptables('IPv4', '', ['-F', 'KUBE-FIREWALL']);
    expect(await contact(outside, request), 'the rule was what kept it out').toMatchObject({
      name: 'node-a',
    });
  });

  /** Packets to 127.0.0.1 leave `client` for the node, as an attacker on the same network would have them. */
  async function lookForNodeAtLoopback(client: NetworkNamespace): Promise<void> {
    const script = [
      'echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet',
      'ip -4 address flush dev lo',
      `ip route add 127.0.0.1/32 via ${world.node.address('IPv4')} dev eth0`,
    ].join('\n');
    await client.run('sh', ['-ec', script]);
  }

  test.skipIf(!capabilities['perl-raw'])(
    'packets that belong to no connection are forwarded where the node is told to be liberal',
    async () => {
      await world.run(services(), [...flags, '--conntrack-tcp-be-liberal']);
      for (const family of families) {
        const before = await receivedTcpPackets(stranger);
        await sendStraySynAck(world.pod('a'), stranger.address(family));
        await sleep(300);
        expect((await receivedTcpPackets(stranger)) - before).toBe(1);
      }
    },
  );

  describe.each([
    { option: '172.18.0.0/24,fd00:172:18::/64', title: 'CIDRs', localhost: 'refused' },
    { option: 'primary', title: 'the word primary', localhost: 'refused' },
    { option: 'localhost,primary', title: 'two words', localhost: 'a' },
    { option: 'primary,127.0.0.0/8', title: 'a word and a CIDR', localhost: 'a' },
  ])('node port addresses given as $title', ({ option, localhost }) => {
    beforeAll(async () => {
      await world.node.run('sh', [
        '-ec',
        'ip address replace 192.0.2.7/32 dev lo; ip address replace 2001:db8:7::7/128 dev lo',
      ]);
      await world.run(services(), [...flags, `--nodeport-addresses=${option}`]);
    });

    test.each(families)('are the only ones that answer over %s', async (family) => {
      const { nodePort: port } = frontendsOf(numbers.plain, family);
      const other = family === 'IPv4' ? '192.0.2.7' : '2001:db8:7::7';
      for (const from of [stranger, pod]) {
        expect(await reach(from, 'plain', 'node port', family)).toBe('a');
        expect(await attempt(from, { protocol: 'tcp', address: other, port }, family)).toBe('refused');
      }
      const loopback = family === 'IPv4' ? '127.0.0.1' : '::1';
      expect(await attempt(world.node, { protocol: 'tcp', address: loopback, port }, family)).toBe(
        family === 'IPv4' ? localhost : 'refused',
      );
    });
  });

  describe('without localhost node ports', () => {
    beforeAll(() => world.run(services(), [...flags, '--iptables-localhost-nodeports=false']));

    test('they answer at every address but loopback', async () => {
      const { nodePort: port } = frontendsOf(numbers.plain, 'IPv4');
      const at = (address: string): Promise<string> =>
        attempt(world.node, { protocol: 'tcp', address, port }, 'IPv4');
      expect(await at(world.node.address('IPv4'))).toBe('a');
      expect(await at('127.0.0.1')).toBe('refused');
    });
  });
});
