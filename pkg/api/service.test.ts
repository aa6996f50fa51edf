import { describe, expect, it } from 'vitest';
import { decoded, problemsOf, wire } from '../../test/support/wire-objects.ts';
import { decodeObject } from './decode.ts';

type Json = Readonly<Record<string, unknown>>;

const spec = { clusterIP: '10.96.0.10', ports: [{ port: 80 }] };

function service(changes: Json = {}, status: Json = {}) {
  return decoded('Service', { spec: { ...spec, ...changes }, status });
}

function ports(...list: readonly unknown[]) {
  const { object, problems } = service({ ports: list });
  return { ports: object.ports, problems };
}

describe('a Service', () => {
  it('has the defaults of the API server', () => {
    const { object, problems } = service();
    expect(problems).toEqual([]);
    expect(object).toEqual({
      kind: 'Service',
      namespace: 'shop',
      name: 'web',
      uid: '',
      type: 'ClusterIP',
      clusterIPs: { IPv4: '10.96.0.10' },
      headless: false,
      ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 0, targetPort: 80 }],
      selector: undefined,
      externalIPs: [],
      loadBalancerIPs: [],
      loadBalancerSourceRanges: [],
      externalTrafficPolicy: 'Cluster',
      internalTrafficPolicy: 'Cluster',
      affinitySeconds: undefined,
      healthCheckNodePort: 0,
      publishNotReadyAddresses: false,
      otherProxy: false,
    });
  });

  it('keeps everything that is said', () => {
    const { object, problems } = decoded('Service', {
      metadata: {
        name: 'web',
        namespace: 'shop',
        uid: 'u-1',
        labels: { 'service.kubernetes.io/service-proxy-name': '' },
      },
      spec: {
        type: 'LoadBalancer',
        clusterIP: '10.96.0.10',
        clusterIPs: ['10.96.0.10', 'FD00::00a'],
        ipFamilies: ['IPv4', 'IPv6'],
        ports: [{ name: 'dns', protocol: 'UDP', port: 53, nodePort: 30_053, targetPort: 'dns-udp' }],
        selector: { app: 'web' },
        externalIPs: ['192.0.2.1', ' ', '2001:DB8::1', '192.0.2.1'],
        loadBalancerSourceRanges: [' 10.0.0.5/8 ', 'fd00::/16'],
        externalTrafficPolicy: 'Local',
        internalTrafficPolicy: 'Local',
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
        healthCheckNodePort: 30_999,
        publishNotReadyAddresses: true,
      },
      status: {
        loadBalancer: {
          ingress: [
            { ip: '198.51.100.1' },
            { ip: '198.51.100.2', ipMode: 'VIP' },
            { ip: '198.51.100.3', ipMode: 'Proxy' },
            { hostname: 'lb.example.org' },
          ],
        },
      },
    });
    expect(problems).toEqual([]);
    expect(object).toMatchObject({
      uid: 'u-1',
      type: 'LoadBalancer',
      clusterIPs: { IPv4: '10.96.0.10', IPv6: 'fd00::a' },
      ports: [{ name: 'dns', protocol: 'UDP', port: 53, nodePort: 30_053, targetPort: 'dns-udp' }],
      selector: { app: 'web' },
      externalIPs: ['192.0.2.1', '2001:db8::1'],
      loadBalancerIPs: ['198.51.100.1', '198.51.100.2'],
      loadBalancerSourceRanges: ['10.0.0.0/8', 'fd00::/16'],
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Local',
      affinitySeconds: 60,
      healthCheckNodePort: 30_999,
      publishNotReadyAddresses: true,
      otherProxy: true,
    });
  });

  it.each([
    ['None', { clusterIP: 'None' }, { clusterIPs: {}, headless: true }],
    ['only clusterIPs', { clusterIP: null, clusterIPs: ['fd00::a'] }, { clusterIPs: { IPv6: 'fd00::a' } }],
    ['only clusterIPs, None', { clusterIP: '', clusterIPs: ['None'] }, { clusterIPs: {}, headless: true }],
    [
      'two addresses without ipFamilies',
      { clusterIPs: ['10.96.0.10', 'fd00::a'] },
      { clusterIPs: { IPv4: '10.96.0.10', IPv6: 'fd00::a' } },
    ],
    [
      'an address beyond ipFamilies, which counts for no family',
      { clusterIPs: ['10.96.0.10', 'fd00::a'], ipFamilies: ['IPv4'] },
      { clusterIPs: { IPv4: '10.96.0.10' } },
    ],
    [
      'IPv6 first',
      { clusterIP: 'fd00::a', clusterIPs: ['fd00::a', '10.96.0.10'], ipFamilies: ['IPv6', 'IPv4'] },
      { clusterIPs: { IPv6: 'fd00::a', IPv4: '10.96.0.10' } },
    ],
    [
      'a name outside',
      { type: 'ExternalName', clusterIP: '10.96.0.10' },
      { clusterIPs: {}, headless: false },
    ],
  ])('reads its cluster IPs: %s', (_case, changes, expected) => {
    const { object, problems } = service(changes);
    expect(object).toMatchObject({ headless: false, ...expected });
    expect(problems).toEqual([]);
  });

  it.each([
    ['affinity without a time-out', { sessionAffinity: 'ClientIP' }, { affinitySeconds: 10_800 }],
    [
      'a time-out without affinity',
      { sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } } },
      { affinitySeconds: undefined },
    ],
    ['an empty selector', { selector: {} }, { selector: undefined }],
    [
      'a target port of 0',
      { ports: [{ port: 80, targetPort: 0 }] },
      { ports: [expect.objectContaining({ targetPort: 80 })] },
    ],
    [
      'an open IPv4 range',
      { loadBalancerSourceRanges: ['10.0.0.0/8', '0.0.0.0/0', 'fd00::/8'] },
      { loadBalancerSourceRanges: ['fd00::/8'] },
    ],
    [
      'an open IPv6 range',
      { loadBalancerSourceRanges: ['::/0', 'fd00::/8', '10.0.0.0/8'] },
      { loadBalancerSourceRanges: ['10.0.0.0/8'] },
    ],
  ])('understands %s', (_case, changes, expected) => {
    const { object, problems } = service(changes);
    expect(object).toMatchObject(expected);
    expect(problems).toEqual([]);
  });

  it.each([
    ['type', { type: 'clusterip' }, 'error spec.type', { type: 'ClusterIP' }],
    ['cluster IP', { clusterIP: '10.96.0.010' }, 'error spec.clusterIP', { clusterIPs: {} }],
    [
      'cluster IP among several',
      { clusterIPs: ['10.96.0.10', 'nine'] },
      'error spec.clusterIPs[1]',
      { clusterIPs: { IPv4: '10.96.0.10' } },
    ],
    [
      'second address of one family',
      { clusterIPs: ['10.96.0.10', '10.96.0.11'] },
      'error spec.clusterIPs[1]',
      { clusterIPs: { IPv4: '10.96.0.10' } },
    ],
    [
      'family',
      { clusterIPs: ['10.96.0.10'], ipFamilies: ['IPv6'] },
      'error spec.clusterIPs[0]',
      { clusterIPs: {} },
    ],
    [
      'clusterIP that differs from the first of clusterIPs',
      { clusterIPs: ['10.96.0.11'] },
      'warning spec.clusterIP',
      { clusterIPs: { IPv4: '10.96.0.11' } },
    ],
    [
      'missing cluster IP',
      { clusterIP: undefined },
      'warning spec.clusterIP',
      { clusterIPs: {}, headless: false },
    ],
    [
      'selector value',
      { selector: { app: 5, tier: 'x' } },
      'error spec.selector.app',
      { selector: undefined },
    ],
    [
      'external IP',
      { externalIPs: ['192.0.2.01', '192.0.2.2'] },
      'error spec.externalIPs[0]',
      { externalIPs: ['192.0.2.2'] },
    ],
    [
      'external IP of the node itself',
      { externalIPs: ['127.0.0.1'] },
      'error spec.externalIPs[0]',
      { externalIPs: [] },
    ],
    [
      'external traffic policy',
      { externalTrafficPolicy: 'local' },
      'error spec.externalTrafficPolicy',
      { externalTrafficPolicy: 'Cluster' },
    ],
    [
      'internal traffic policy',
      { internalTrafficPolicy: 1 },
      'error spec.internalTrafficPolicy',
      { internalTrafficPolicy: 'Cluster' },
    ],
    ['affinity', { sessionAffinity: 'Client' }, 'error spec.sessionAffinity', { affinitySeconds: undefined }],
    [
      'affinity time-out',
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86_401 } } },
      'error spec.sessionAffinityConfig.clientIP.timeoutSeconds',
      { affinitySeconds: 10_800 },
    ],
    [
      'health check port',
      { healthCheckNodePort: 65_536 },
      'error spec.healthCheckNodePort',
      { healthCheckNodePort: 0 },
    ],
    [
      'flag',
      { publishNotReadyAddresses: 'yes' },
      'error spec.publishNotReadyAddresses',
      { publishNotReadyAddresses: false },
    ],
    ['list of ports', { ports: { port: 80 } }, 'error spec.ports', { ports: [] }],
  ])('goes on without a bad %s', (_case, changes, problem, expected) => {
    const { object, problems } = service(changes);
    expect(problems).toEqual([problem]);
    expect(object).toMatchObject(expected);
  });

  it('goes on without a bad load-balancer address', () => {
    const ingress = [{ ip: '198.51.100.01' }, { ip: '198.51.100.2', ipMode: 'vip' }, { ip: '198.51.100.3' }];
    const { object, problems } = service({}, { loadBalancer: { ingress } });
    expect(object.loadBalancerIPs).toEqual(['198.51.100.3']);
    expect(problems).toEqual([
      'error status.loadBalancer.ingress[0].ip',
      'error status.loadBalancer.ingress[1].ipMode',
    ]);
  });

  it.each([
    ['unreadable IPv4 beside readable IPv6', ['010.0.0.0/8', 'fd00::/8'], ['0.0.0.0/32', 'fd00::/8']],
    ['unreadable IPv6', ['fd00::/129'], ['::/128']],
    ['nothing readable at all', [5], ['0.0.0.0/32', '::/128']],
    ['one of two unreadable', ['10.0.0.0', '192.0.2.0/24'], ['192.0.2.0/24']],
  ])('closes a family of which no source range can be read: %s', (_case, ranges, expected) => {
    const { object, problems } = service({ loadBalancerSourceRanges: ranges });
    expect(object.loadBalancerSourceRanges).toEqual(expected);
    expect(problems).toEqual(['error spec.loadBalancerSourceRanges[0]']);
  });

  it('closes both families when the source ranges are no list', () => {
    const { object } = service({ loadBalancerSourceRanges: '10.0.0.0/8' });
    expect(object.loadBalancerSourceRanges).toEqual(['0.0.0.0/32', '::/128']);
  });

  it.each([
    ['no spec', { spec: undefined }, 'error spec'],
    ['a spec that is a list', { spec: [] }, 'error spec'],
  ])('is dropped with %s', (_case, body, problem) => {
    const result = decodeObject(wire('Service', body));
    expect(result.outcome).toBe('invalid');
    expect(problemsOf(result)).toEqual([problem]);
  });
});

describe('a Service port', () => {
  const good = { name: 'good', port: 80 };

  it.each([
    ['number 0', { name: 'bad', port: 0 }, 'port'],
    ['number 65536', { name: 'bad', port: 65_536 }, 'port'],
    ['number 80.5', { name: 'bad', port: 80.5 }, 'port'],
    ['number in quotes', { name: 'bad', port: '80' }, 'port'],
    ['missing number', { name: 'bad' }, 'port'],
    ['protocol', { name: 'bad', port: 81, protocol: 'tcp' }, 'protocol'],
    ['name', { name: 'Bad_', port: 81 }, 'name'],
    ['name that is a number', { name: 81, port: 81 }, 'name'],
  ])('is left out for a bad %s', (_case, bad, field) => {
    const result = ports(bad, good);
    expect(result.ports.map(({ name }) => name)).toEqual(['good']);
    expect(result.problems).toEqual([`error spec.ports[0].${field}`]);
  });

  it.each([
    ['node port', { port: 80, nodePort: -1 }, 'nodePort', { nodePort: 0 }],
    ['target port', { port: 80, targetPort: 70_000 }, 'targetPort', { targetPort: 80 }],
    ['target port name', { port: 80, targetPort: 'web port' }, 'targetPort', { targetPort: 80 }],
  ])('stays without a bad %s', (_case, port, field, expected) => {
    const result = ports(port);
    expect(result.ports).toEqual([expect.objectContaining(expected)]);
    expect(result.problems).toEqual([`error spec.ports[0].${field}`]);
  });

  it('that is no object is left out', () => {
    expect(ports(80, null, good).problems).toEqual(['error spec.ports[0]', 'error spec.ports[1]']);
  });

  it.each([
    [
      'name',
      [
        { name: 'a', port: 80 },
        { name: 'a', port: 81 },
      ],
      'name',
    ],
    ['missing name', [{ port: 80 }, { port: 81 }], 'name'],
    [
      'number and protocol',
      [
        { name: 'a', port: 80 },
        { name: 'b', port: 80 },
      ],
      'port',
    ],
  ])('is left out when an earlier one has its %s', (_case, list, field) => {
    const result = ports(...list);
    expect(result.ports).toHaveLength(1);
    expect(result.ports[0]?.port).toBe(80);
    expect(result.problems).toEqual([`error spec.ports[1].${field}`]);
  });

  it('may have the number of another protocol', () => {
    const result = ports(
      { name: 'a', port: 53, nodePort: 30_053 },
      { name: 'b', port: 53, protocol: 'UDP', nodePort: 30_053 },
    );
    expect(result.ports).toHaveLength(2);
    expect(result.problems).toEqual([]);
  });

  it('loses a node port that an earlier one has', () => {
    const result = ports(
      { name: 'a', port: 80, nodePort: 30_080 },
      { name: 'b', port: 81, nodePort: 30_080 },
    );
    expect(result.ports.map(({ nodePort }) => nodePort)).toEqual([30_080, 0]);
    expect(result.problems).toEqual(['error spec.ports[1].nodePort']);
  });
});
