import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { deleteFlows, type Flow, listFlows } from '../../pkg/apply/index.ts';
import { capabilities } from '../support/capabilities.ts';
import type { NetworkNamespace, OpenFlow } from '../support/network-namespace.ts';
import { createWorld, type World } from '../support/world.ts';

const usable =
  capabilities.netns && capabilities.ipv6 && capabilities.conntrack && capabilities['iptables-nft'];
const services = { IPv4: '10.96.0.1', IPv6: 'fd00:96::1' } as const;
const tools = { IPv4: 'iptables-nft', IPv6: 'ip6tables-nft' } as const;
const protocols = [
  { protocol: 'tcp', number: 6 },
  { protocol: 'udp', number: 17 },
] as const;

describe.skipIf(!usable).each(['IPv4', 'IPv6'] as const)('tracked connections over %s', (family) => {
  let world: World;
  let client: NetworkNamespace;
  let server: NetworkNamespace;
  const open: OpenFlow[] = [];

  beforeAll(async () => {
    world = await createWorld({ nodes: [{ name: 'node-a', pods: ['client', 'server'] }] });
    [client, server] = [world.pod('client'), world.pod('server')];
    await world.startAgents();
    await server.listen({ protocol: 'tcp', port: 8080 }, { protocol: 'udp', port: 8080 });
    const endpoint = family === 'IPv4' ? server.address(family) : `[${server.address(family)}]`;
    for (const { protocol } of protocols) {
      const rule = `-t nat -A PREROUTING -d ${services[family]} -p ${protocol} --dport 80 -j DNAT --to ${endpoint}:8080`;
      await world.node.run(tools[family], ['-w', ...rule.split(' ')]);
    }
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((flow) => flow.close()));
    await world.node.run('conntrack', ['-F']);
  });
  afterAll(() => world.dispose());

  async function connect(protocol: 'tcp' | 'udp', address: string, port: number): Promise<OpenFlow> {
    const flow = await client.openFlow({ protocol, address, port });
    expect(flow.outcome.kind).toBe('reply');
    open.push(flow);
    return flow;
  }

  function tracked(address: string): Promise<readonly Flow[]> {
    return listFlows(world.node.runner, family, new Set([address]));
  }

  describe.each(protocols)('$protocol', ({ protocol, number }) => {
    test('are listed with both ends and the endpoint behind the Service', async () => {
      const { outcome } = await connect(protocol, services[family], 80);
      const clientPort = outcome.kind === 'reply' ? outcome.localPort : 0;
      const expected = {
        family,
        protocol: number,
        state: protocol === 'tcp' ? 'ESTABLISHED' : undefined,
        original: {
          source: client.address(family),
          destination: services[family],
          sourcePort: clientPort,
          destinationPort: 80,
        },
        reply: {
          source: server.address(family),
          destination: client.address(family),
          sourcePort: 8080,
          destinationPort: clientPort,
        },
      };
      expect(await tracked(client.address(family))).toEqual([expected]);
      expect(await tracked(services[family])).toEqual([expected]);
      expect(await tracked(server.address(family))).toEqual([expected]);
      expect(await tracked(world.node.address(family))).toEqual([]);
    });

    test('are deleted one by one, without their neighbours', async () => {
      for (let count = 0; count < 3; count += 1) await connect(protocol, server.address(family), 8080);
      await connect(protocol, services[family], 80);
      const before = await tracked(client.address(family));
      expect(before).toHaveLength(4);
      const [first, ...others] = before;
      const wanted = first === undefined ? [] : [first];
      expect(await deleteFlows(world.node.runner, wanted)).toBe(1);
      const after = await tracked(client.address(family));
      expect(byPort(after)).toEqual(byPort(others));
      expect(await deleteFlows(world.node.runner, wanted)).toBe(0);
    });

    test('are deleted together by what they share, whichever way they came', async () => {
      for (let count = 0; count < 3; count += 1) await connect(protocol, server.address(family), 8080);
      await connect(protocol, services[family], 80);
      const source = client.address(family);
      const reply = { source: server.address(family), sourcePort: 8080 };
      const other = { family, protocol: number, original: { source }, reply: { ...reply, sourcePort: 8081 } };
      expect(await deleteFlows(world.node.runner, [other])).toBe(0);
      expect(
        await deleteFlows(world.node.runner, [{ family, protocol: number, original: { source }, reply }]),
      ).toBe(4);
      expect(await tracked(source)).toEqual([]);
    });
  });

  test('of ICMP are known by their ends', async () => {
    const source = client.address(family);
    const destination = server.address(family);
    const echo =
      family === 'IPv4'
        ? '-p icmp --icmp-type 8 --icmp-code 0 --icmp-id 7'
        : '-p icmpv6 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 7';
    const insert = `-I -t 60 -s ${source} -d ${destination} ${echo}`;
    await world.node.run('conntrack', insert.split(' '));
    const flows = await tracked(source);
    expect(flows).toEqual([
      {
        family,
        protocol: family === 'IPv4' ? 1 : 58,
        state: undefined,
        original: { source, destination },
        reply: { source: destination, destination: source },
      },
    ]);
    expect(await deleteFlows(world.node.runner, flows)).toBe(1);
    expect(await tracked(source)).toEqual([]);
  });
});

function byPort(flows: readonly Flow[]): readonly Flow[] {
  return flows.toSorted((a, b) => (a.original.sourcePort ?? 0) - (b.original.sourcePort ?? 0));
}
