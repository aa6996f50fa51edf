import { describe, expect, test } from 'vitest';
import { isEmptyPlan, type KernelSnapshot, nameHash, parseIptablesSave } from '../../pkg/kernel/index.ts';
import { RenderedNode, renderedSnapshot, serviceOptions } from '../support/rendered-snapshot.ts';
import { endpoint, endpointSlice, service, servicePort } from '../support/service-objects.ts';
import { ServiceTraffic } from '../support/service-traffic.ts';

const topology = { nodeName: 'node-a', zone: undefined };
const objects = {
  service: service({ type: 'NodePort', ports: [servicePort({ nodePort: 30_010 })], affinitySeconds: 10_800 }),
  slices: [endpointSlice([endpoint('10.0.1.1'), endpoint('10.0.2.1')])],
};
const hash = 'XPGD46QRK7WJZT7O';
const lists = ['10.0.1.1:8080', '10.0.2.1:8080'].map(
  (address) => `KUBE-SEP-${nameHash(`ns1/svc1:p80tcp${address}`)}`,
);
const [one = '', two = ''] = lists;
const recent = (list: string): string => `--name ${list} --mask 255.255.255.255 --rsource`;

/** What kube-proxy leaves on a node with one Service, kubelet's and a network plugin's rules beside it. */
const kubeProxy = `
*mangle
:PREROUTING ACCEPT [0:0]
:KUBE-IPTABLES-HINT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:CNI-FORWARD - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A FORWARD -j CNI-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -j KUBE-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A CNI-FORWARD -s 10.0.0.0/8 -j ACCEPT
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:CNI-MASQ - [0:0]
:KUBE-EXT-${hash} - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:${one} - [0:0]
:${two} - [0:0]
:KUBE-SEP-OFAGONESERVICE3A - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-${hash} - [0:0]
:KUBE-SVC-OFAGONESERVICE3A - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A POSTROUTING -j CNI-MASQ
-A CNI-MASQ -s 10.0.0.0/8 ! -d 10.0.0.0/8 -j MASQUERADE
-A KUBE-EXT-${hash} -m comment --comment "masquerade traffic for ns1/svc1:p80 external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-${hash} -j KUBE-SVC-${hash}
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODEPORTS -p tcp -m comment --comment "ns1/svc1:p80" -m tcp --dport 30010 -j KUBE-EXT-${hash}
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A ${one} -s 10.0.1.1/32 -m comment --comment "ns1/svc1:p80" -j KUBE-MARK-MASQ
-A ${one} -p tcp -m comment --comment "ns1/svc1:p80" -m recent --set ${recent(one)} -m tcp -j DNAT --to-destination 10.0.1.1:8080
-A ${two} -s 10.0.2.1/32 -m comment --comment "ns1/svc1:p80" -j KUBE-MARK-MASQ
-A ${two} -p tcp -m comment --comment "ns1/svc1:p80" -m recent --set ${recent(two)} -m tcp -j DNAT --to-destination 10.0.2.1:8080
-A KUBE-SEP-OFAGONESERVICE3A -p tcp -m tcp -j DNAT --to-destination 10.0.3.1:80
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp --dport 80 -j KUBE-SVC-${hash}
-A KUBE-SERVICES -d 10.96.0.99/32 -p tcp -m comment --comment "ns1/gone cluster IP" -m tcp --dport 80 -j KUBE-SVC-OFAGONESERVICE3A
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-${hash} ! -s 10.0.0.0/8 -d 10.96.0.10/32 -p tcp -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-${hash} -m comment --comment "ns1/svc1:p80 -> 10.0.1.1:8080" -m recent --rcheck --seconds 10800 --reap ${recent(one)} -j ${one}
-A KUBE-SVC-${hash} -m comment --comment "ns1/svc1:p80 -> 10.0.2.1:8080" -m recent --rcheck --seconds 10800 --reap ${recent(two)} -j ${two}
-A KUBE-SVC-${hash} -m comment --comment "ns1/svc1:p80 -> 10.0.1.1:8080" -m statistic --mode random --probability 0.50000000000 -j ${one}
-A KUBE-SVC-${hash} -m comment --comment "ns1/svc1:p80 -> 10.0.2.1:8080" -j ${two}
-A KUBE-SVC-OFAGONESERVICE3A -j KUBE-SEP-OFAGONESERVICE3A
COMMIT
`;

const kernel: KernelSnapshot = { tables: parseIptablesSave(kubeProxy), sets: new Map() };

describe('a node that kube-proxy served until now', () => {
  const node = new RenderedNode(serviceOptions('IPv4'), topology, kernel);
  node.set(objects);
  const probes = [
    ['pod', 'ClusterIP'],
    ['node', 'ClusterIP'],
    ['outside', 'ClusterIP'],
    ['outside', 'NodePort'],
    ['node', 'NodePort'],
    ['localEndpoint', 'ClusterIP'],
    ['localEndpoint', 'NodePort'],
  ] as const;
  const look = (): readonly (readonly string[])[] => {
    const traffic = new ServiceTraffic('IPv4', node.kernel());
    return probes.map(([source, destination]) => traffic.kindsOfEnds(source, 10, destination));
  };
  const before = look();
  const onTheWay: (readonly (readonly string[])[])[] = [];
  const plan = node.sync(() => onTheWay.push(look()));
  const after = node.kernel();

  test('serves every connection as before, at every moment of the take-over', () => {
    expect(before.slice(0, 4)).toEqual([
      ['accept routed'],
      ['accept routed masqueraded'],
      ['accept routed masqueraded'],
      ['accept routed masqueraded'],
    ]);
    expect(before[5]).toEqual(['accept routed', 'accept routed masqueraded to itself']);
    expect(onTheWay.length).toBeGreaterThan(20);
    expect(new Set(onTheWay.map((seen) => JSON.stringify(seen)))).toEqual(new Set([JSON.stringify(before)]));
  });

  test('keeps its jumps untouched', () => {
    expect(plan.jumps).toEqual([]);
  });

  test('masquerades for the cluster IP from the first moment, before the chains that did so are rewritten', () => {
    expect(plan.earlyRules).toEqual([
      {
        table: 'nat',
        chain: 'KUBE-SERVICES',
        rule: '! -s 10.0.0.0/8 -m set --match-set WEIR-4-CLUSTER-IPS dst,dst -j KUBE-MARK-MASQ',
      },
    ]);
  });

  test('gets the hairpin rules first and the dispatch last', () => {
    const written = plan.writeChains.map((write) => `${write.table} ${write.name}`);
    expect(written.indexOf('nat KUBE-POSTROUTING')).toBeLessThan(written.indexOf(`nat KUBE-SVC-${hash}`));
    expect(written.indexOf('filter KUBE-FORWARD')).toBeLessThan(written.indexOf(`nat KUBE-SVC-${hash}`));
    expect(written.at(-1)).toBe('nat KUBE-SERVICES');
  });

  test('keeps what says the same in both', () => {
    const written = new Set(plan.writeChains.map((write) => `${write.table} ${write.name}`));
    expect(written.has('filter KUBE-FIREWALL')).toBe(false);
    expect(written.has('nat KUBE-MARK-MASQ')).toBe(false);
  });

  test('loses the chains that nobody needs any more, and nothing of others', () => {
    expect(plan.deleteChains.map((chain) => `${chain.table} ${chain.name}`)).toEqual(
      [
        'filter KUBE-PROXY-CANARY',
        'nat KUBE-PROXY-CANARY',
        ...[...lists, 'KUBE-SEP-OFAGONESERVICE3A', 'KUBE-SVC-OFAGONESERVICE3A'].map((name) => `nat ${name}`),
      ].toSorted(),
    );
    const foreign = (table: 'filter' | 'nat'): readonly string[] =>
      [...(after.tables.get(table)?.chains.keys() ?? [])].filter(
        (name) => !/^KUBE-(?!KUBELET|FIREWALL)/u.test(name),
      );
    expect(foreign('filter')).toEqual(['CNI-FORWARD', 'KUBE-FIREWALL', 'KUBE-KUBELET-CANARY']);
    expect(foreign('nat')).toEqual(['CNI-MASQ', 'KUBE-KUBELET-CANARY']);
  });

  test('keeps the lists of clients with affinity, by their names', () => {
    const rules = new Map<string, string>(after.tables.get('nat')?.chains).get(`KUBE-SVC-${hash}`) ?? '';
    for (const list of lists) expect(rules).toContain(`--update --seconds 10800 --reap ${recent(list)}`);
  });

  test('ends with the same rules as a node that never had others', () => {
    const fresh = renderedSnapshot(serviceOptions('IPv4'), topology, [objects]);
    const different = (['filter', 'nat'] as const).flatMap((table) => {
      const chains = new Map<string, string>(after.tables.get(table)?.chains);
      return [...(fresh.tables.get(table)?.chains ?? [])].filter(
        ([name, rules]) => chains.get(name) !== rules,
      );
    });
    expect(different).toEqual([]);
    expect(after.sets).toEqual(fresh.sets);
  });

  test('is left alone by the next process', () => {
    const next = new RenderedNode(serviceOptions('IPv4'), topology, after);
    next.set(objects);
    expect(isEmptyPlan(next.sync())).toBe(true);
  });
});
