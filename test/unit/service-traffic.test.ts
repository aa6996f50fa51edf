import { describe, expect, test } from 'vitest';
import { decodeAs, type Service } from '../../pkg/api/index.ts';
import type { KernelSnapshot, Packet } from '../../pkg/kernel/index.ts';
import type { ServiceRulesOptions } from '../../pkg/service/iptables/index.ts';
import {
  type Destination,
  type ServiceTraffic,
  type Source,
  trafficAddresses,
  trafficService,
  trafficWith,
} from '../support/service-traffic.ts';

const families = ['IPv4', 'IPv6'] as const;
const protocols = ['TCP', 'UDP', 'SCTP'] as const;

/** The same kernel where built-in chains of the filter table have another policy. */
function withPolicy(...chains: readonly string[]): (kernel: KernelSnapshot) => KernelSnapshot {
  return (kernel) => {
    const filter = kernel.tables.get('filter');
    if (filter === undefined) throw new Error('no filter table');
    const policies = new Map([...filter.policies, ...chains.map((chain) => [chain, 'DROP'] as const)]);
    return { ...kernel, tables: new Map([...kernel.tables, ['filter', { ...filter, policies }]]) };
  };
}

function ends(traffic: ServiceTraffic, packet: Packet): readonly string[] {
  return traffic.trace(packet).map((outcome) => outcome.verdict);
}

describe.each(families)('%s', (family) => {
  const at = trafficAddresses[family];
  const unreachable = family === 'IPv4' ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';

  describe('a Service without endpoints refuses', () => {
    const traffic = trafficWith(family, [
      trafficService(family, 1, {}, []),
      trafficService(family, 2, { externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' }, []),
      trafficService(
        family,
        3,
        { loadBalancerSourceRanges: family === 'IPv4' ? ['203.0.113.0/24'] : ['2001:db8:203::/48'] },
        [],
      ),
    ]);
    const refused = `reject ${unreachable}`;

    test.each<[Source, Destination, string]>([
      ['pod', 'ClusterIP', refused],
      ['pod', 'NodePort', refused],
      ['pod', 'VIP', refused],
      ['pod', 'external IP', refused],
      ['node', 'ClusterIP', refused],
      ['node', 'NodePort', refused],
      ['localhost', 'localhost NodePort', refused],
      ['outside', 'ClusterIP', refused],
      ['outside', 'NodePort', refused],
      ['outside', 'VIP', refused],
      ['outside', 'external IP', refused],
      ['stranger', 'VIP', refused],
      // As with kube-proxy: what a process of the node sends to an address elsewhere meets OUTPUT only.
      ['node', 'VIP', 'untouched'],
      ['node', 'external IP', 'untouched'],
    ])('%s → %s', (source, destination, expected) => {
      for (const protocol of protocols) {
        for (const number of [1, 2, 3]) {
          expect(traffic.connect(source, number, destination, protocol)).toBe(expected);
        }
      }
    });

    test('but not a connection that is known already', () => {
      const known: Packet = {
        from: 'outside',
        inInterface: 'veth9',
        protocol: 'tcp',
        source: at.pod,
        sourcePort: 40_000,
        destination: family === 'IPv4' ? '10.96.0.1' : 'fd00:96::1',
        destinationPort: 80,
        connection: { state: 'ESTABLISHED' },
      };
      expect(ends(traffic, known)).toEqual(['accept']);
    });
  });

  describe('policy Local with endpoints elsewhere only', () => {
    const traffic = trafficWith(family, [
      trafficService(family, 1, { externalTrafficPolicy: 'Local' }, ['remoteEndpoint']),
      trafficService(family, 2, { internalTrafficPolicy: 'Local' }, ['remoteEndpoint']),
    ]);

    test.each<[Source, Destination, string, string]>([
      ['pod', 'ClusterIP', 'remote', 'drop'],
      ['pod', 'NodePort', 'remote', 'remote masq'],
      ['pod', 'VIP', 'remote', 'remote masq'],
      ['pod', 'external IP', 'remote', 'remote masq'],
      ['node', 'ClusterIP', 'remote masq', 'drop'],
      ['node', 'NodePort', 'remote masq', 'remote masq'],
      ['node', 'VIP', 'remote masq', 'remote masq'],
      ['outside', 'ClusterIP', 'remote masq', 'drop'],
      ['outside', 'NodePort', 'drop', 'remote masq'],
      ['outside', 'VIP', 'drop', 'remote masq'],
      ['outside', 'external IP', 'drop', 'remote masq'],
    ])('%s → %s', (source, destination, externalLocal, internalLocal) => {
      for (const protocol of protocols) {
        expect([1, 2].map((number) => traffic.connect(source, number, destination, protocol))).toEqual([
          externalLocal,
          internalLocal,
        ]);
      }
    });
  });

  describe('source ranges', () => {
    const range = family === 'IPv4' ? '192.168.0.0/24' : 'fd00:192::/64';
    const elsewhere = family === 'IPv4' ? '2001:db8::/32' : '203.0.113.0/24';
    const traffic = trafficWith(family, [
      trafficService(family, 1, { loadBalancerSourceRanges: [range] }),
      trafficService(family, 2, { loadBalancerSourceRanges: [elsewhere] }),
      trafficService(family, 3),
    ]);
    const vip = family === 'IPv4' ? '198.51.100.1' : '2001:db8:100::1';
    const fromVIP: Packet = {
      from: 'local',
      protocol: 'tcp',
      source: vip,
      sourcePort: 40_000,
      destination: vip,
      destinationPort: 80,
    };

    test('that hold the node let it in, by the load-balancer address as source too', () => {
      expect(traffic.connect('node', 1, 'VIP')).toBe('all masq');
      expect(traffic.trace(fromVIP).map((outcome) => [outcome.verdict, outcome.destinationPort])).toEqual([
        ['accept', 8080],
        ['accept', 8080],
      ]);
      expect(traffic.connect('outside', 1, 'VIP')).toBe('drop');
    });

    test('that leave the node out do not let that source in', () => {
      const closed = trafficWith(family, [
        trafficService(family, 1, {
          loadBalancerSourceRanges: [family === 'IPv4' ? '203.0.113.0/24' : '2001:db8:203::/48'],
        }),
      ]);
      expect(ends(closed, fromVIP)).toEqual(['drop']);
    });

    test('of the other family mean everybody', () => {
      expect(traffic.connect('stranger', 2, 'VIP')).toBe('all masq');
    });

    test('are for their own Service alone', () => {
      expect(traffic.connect('stranger', 3, 'VIP')).toBe('all masq');
    });
  });

  describe('an address that a load balancer serves itself (ipMode Proxy)', () => {
    test('is left to the load balancer', () => {
      const { service, slices = [] } = trafficService(family, 1);
      const vips =
        family === 'IPv4' ? ['198.51.100.1', '198.51.100.2'] : ['2001:db8:100::1', '2001:db8:100::2'];
      const decoded = decodeAs('Service', {
        metadata: { namespace: 'ns1', name: 'svc1' },
        spec: {
          type: 'LoadBalancer',
          clusterIP: service.clusterIPs[family],
          clusterIPs: [service.clusterIPs[family]],
          ipFamilies: [family],
          ports: [{ name: 'tcp', port: 80, protocol: 'TCP' }],
        },
        status: {
          loadBalancer: {
            ingress: [
              { ip: vips[0], ipMode: 'Proxy' },
              { ip: vips[1], ipMode: 'VIP' },
            ],
          },
        },
      });
      if (decoded.outcome !== 'object') throw new Error(JSON.stringify(decoded));
      const traffic = trafficWith(family, [{ service: decoded.object as Service, slices }]);
      expect(traffic.connect('pod', 1, 'VIP')).toBe('untouched');
      expect(traffic.connect('pod', 2, 'VIP')).toBe('all masq');
    });
  });

  describe('what is forwarded', () => {
    const forwarded: Packet = {
      from: 'outside',
      inInterface: 'veth9',
      protocol: 'tcp',
      source: at.localEndpoint,
      sourcePort: 8080,
      destination: at.outside,
      destinationPort: 40_000,
    };

    test('and INVALID is dropped, unless the kernel is liberal', () => {
      const packet: Packet = { ...forwarded, connection: { state: 'INVALID' } };
      expect(ends(trafficWith(family, []), packet)).toEqual(['drop']);
      expect(ends(trafficWith(family, [], { tcpBeLiberal: true }), packet)).toEqual(['accept']);
    });

    test('under a FORWARD policy of DROP: known connections and masqueraded Service traffic only', () => {
      const objects = [
        trafficService(family, 1),
        trafficService(family, 2, { externalTrafficPolicy: 'Local' }),
      ];
      const traffic = trafficWith(family, objects, {}, withPolicy('FORWARD'));
      expect(ends(traffic, forwarded)).toEqual(['drop']);
      expect(ends(traffic, { ...forwarded, connection: { state: 'ESTABLISHED' } })).toEqual(['accept']);
      expect(ends(traffic, { ...forwarded, connection: { state: 'RELATED' } })).toEqual(['accept']);
      expect(traffic.connect('outside', 1, 'NodePort')).toBe('all masq');
      expect(traffic.connect('outside', 1, 'VIP')).toBe('all masq');
      // As with kube-proxy, unmarked traffic between pods is for the network plugin to accept.
      expect(traffic.connect('outside', 2, 'NodePort')).toBe('drop');
      expect(traffic.isHairpinMasqueraded(1, 'ClusterIP')).toBe(true);
    });
  });

  describe('health-check node ports', () => {
    const objects = [
      trafficService(family, 1, { externalTrafficPolicy: 'Local', healthCheckNodePort: 31_000 }),
    ];
    const traffic = trafficWith(family, objects, {}, withPolicy('INPUT'));
    const check: Packet = {
      from: 'outside',
      inInterface: 'eth0',
      protocol: 'tcp',
      source: at.outside,
      sourcePort: 40_000,
      destination: at.node,
      destinationPort: 31_000,
    };

    test('are open for TCP under an INPUT policy of DROP, and nothing else is', () => {
      expect(ends(traffic, check)).toEqual(['accept']);
      expect(ends(traffic, { ...check, protocol: 'udp' })).toEqual(['drop']);
      expect(ends(traffic, { ...check, destinationPort: 31_001 })).toEqual(['drop']);
    });
  });

  test('node ports answer on the addresses that are configured alone', () => {
    const nodePorts = {
      kind: 'some',
      addresses: [family === 'IPv4' ? '192.168.7.7' : 'fd00:192::7'],
    } as const;
    const traffic = trafficWith(family, [trafficService(family, 1)], { nodePorts });
    expect(traffic.connect('outside', 1, 'NodePort')).toBe('untouched');
    expect(traffic.connect('outside', 1, 'VIP')).toBe('all masq');
  });

  test('a port that no Service has passes untouched', () => {
    const traffic = trafficWith(family, [trafficService(family, 1)]);
    expect(traffic.connect('pod', 9, 'ClusterIP')).toBe('untouched');
    expect(traffic.connect('outside', 9, 'NodePort')).toBe('untouched');
  });

  test('the protocols of one port are kept apart', () => {
    const { service, slices = [] } = trafficService(family, 1);
    const only = { ...service, ports: service.ports.filter((port) => port.protocol === 'UDP') };
    const traffic = trafficWith(family, [{ service: only, slices }]);
    for (const destination of ['ClusterIP', 'NodePort', 'VIP'] as const) {
      expect(protocols.map((protocol) => traffic.connect('outside', 1, destination, protocol))).toEqual([
        'untouched',
        'all masq',
        'untouched',
      ]);
    }
  });
});

describe('loopback addresses from outside (CVE-2020-8558)', () => {
  const packet: Packet = {
    from: 'outside',
    inInterface: 'eth0',
    protocol: 'tcp',
    source: '192.168.0.66',
    sourcePort: 40_000,
    destination: '127.0.0.1',
    destinationPort: 10_250,
  };
  const guarded = (options: Partial<ServiceRulesOptions>): readonly string[] =>
    ends(trafficWith('IPv4', [], options), packet);

  test('are dropped where the node routes loopback for its node ports', () => {
    expect(guarded({ localhostNodePorts: true })).toEqual(['drop']);
  });

  test('are the kernel’s own business where it does not', () => {
    expect(guarded({ localhostNodePorts: false, nodePorts: { kind: 'all', exceptLoopback: true } })).toEqual([
      'accept',
    ]);
  });
});
