import { describe, expect, test } from 'vitest';
import type { Family } from '../net/index.ts';
import type { Outcome, Packet, TracedNode } from './packet.ts';
import { PacketTracer } from './packet-tracer.ts';
import { parseIpsetSave } from './parse-ipset-save.ts';
import { parseIptablesSave } from './parse-iptables-save.ts';

interface Rules {
  readonly family?: Family;
  readonly raw?: string;
  readonly mangle?: string;
  readonly filter?: string;
  readonly nat?: string;
  readonly sets?: string;
}

/** A node with these rules: `-P CHAIN POLICY` and `-A CHAIN rule` lines, from which chains declare themselves. */
function tracer(rules: Rules, node: Partial<TracedNode> = {}): PacketTracer {
  const family = rules.family ?? 'IPv4';
  const tables = (['raw', 'mangle', 'nat', 'filter'] as const).map((table) =>
    tableText(table, rules[table] ?? ''),
  );
  return new PacketTracer({
    family,
    kernel: { tables: parseIptablesSave(tables.join('')), sets: parseIpsetSave(rules.sets ?? '') },
    localAddresses: family === 'IPv4' ? ['192.168.0.1'] : ['2001:db8::1'],
    ...node,
  });
}

const builtins = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

function tableText(table: string, text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  const policies = new Map(builtins.map((name) => [name, 'ACCEPT']));
  const chains = new Set<string>();
  for (const [option, name = '', policy = ''] of lines.map((line) => line.split(' '))) {
    if (option === '-P') policies.set(name, policy);
    if (option === '-N' || (option === '-A' && !policies.has(name))) chains.add(name);
  }
  return [
    `*${table}`,
    ...Array.from(policies, ([name, policy]) => `:${name} ${policy} [0:0]`),
    ...Array.from(chains, (name) => `:${name} - [0:0]`),
    ...lines.filter((line) => line.startsWith('-A ')),
    'COMMIT\n',
  ].join('\n');
}

const fromPod: Packet = {
  from: 'outside',
  inInterface: 'cali123',
  protocol: 'tcp',
  source: '10.244.0.5',
  sourcePort: 40_000,
  destination: '10.96.0.10',
  destinationPort: 80,
};
const toNode: Packet = { ...fromPod, destination: '192.168.0.1' };
const fromNode: Packet = { ...fromPod, from: 'local', source: '192.168.0.1' };

/** What became of a packet, in a word: `accept 10.0.0.1:80 masqueraded`. */
function inShort({
  verdict,
  rejectWith,
  destination,
  destinationPort,
  masqueraded,
  undecided,
}: Outcome): string {
  return [
    verdict,
    ...(rejectWith === undefined ? [] : [rejectWith]),
    destinationPort === undefined ? destination : `${destination}:${destinationPort}`,
    ...(masqueraded ? ['masqueraded'] : []),
    ...(undecided ? ['undecided'] : []),
  ].join(' ');
}

function ends(tracer: PacketTracer, packet: Packet): readonly string[] {
  return tracer.trace(packet).map(inShort);
}

function rulesMet(outcome: Outcome | undefined): readonly string[] {
  return outcome?.steps.map((step) => `${step.hook} ${step.table} ${step.chain} ${step.index}`) ?? [];
}

function sum(outcomes: readonly Outcome[]): number {
  return outcomes.reduce((total, outcome) => total + outcome.probability, 0);
}

const postrouting = `
  -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
  -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
  -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
  -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
  -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000`;

const entry = `
  -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
  -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`;

/** As kube-proxy lays it out: a chain for each endpoint. */
const kubeProxyNat = `
  ${entry}
  ${postrouting}
  -A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "ns/web:p80 cluster IP" -m tcp --dport 80 -j KUBE-SVC-A
  -A KUBE-SERVICES -d 1.2.3.4/32 -p tcp -m comment --comment "ns/web:p80 loadbalancer IP" -m tcp --dport 80 -j KUBE-FW-A
  -A KUBE-SERVICES ! -d 127.0.0.0/8 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
  -A KUBE-NODEPORTS -p tcp -m comment --comment "ns/web:p80" -m tcp --dport 30080 -j KUBE-EXT-A
  -A KUBE-EXT-A -m comment --comment "masquerade traffic for ns/web:p80 external destinations" -j KUBE-MARK-MASQ
  -A KUBE-EXT-A -j KUBE-SVC-A
  -A KUBE-FW-A -s 203.0.113.0/24 -m comment --comment "ns/web:p80 loadbalancer IP" -j KUBE-EXT-A
  -A KUBE-FW-A -m comment --comment "other traffic to ns/web:p80 will be dropped by KUBE-PROXY-FIREWALL"
  -A KUBE-SVC-A ! -s 10.244.0.0/16 -d 10.96.0.10/32 -p tcp -m comment --comment "ns/web:p80 cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
  -A KUBE-SVC-A -m comment --comment "ns/web:p80 -> 10.244.0.5:8080" -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-1
  -A KUBE-SVC-A -m comment --comment "ns/web:p80 -> 10.244.0.6:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-2
  -A KUBE-SVC-A -m comment --comment "ns/web:p80 -> 10.244.1.7:8080" -j KUBE-SEP-3
  -A KUBE-SEP-1 -s 10.244.0.5/32 -m comment --comment "ns/web:p80" -j KUBE-MARK-MASQ
  -A KUBE-SEP-1 -p tcp -m comment --comment "ns/web:p80" -m tcp -j DNAT --to-destination 10.244.0.5:8080
  -A KUBE-SEP-2 -s 10.244.0.6/32 -m comment --comment "ns/web:p80" -j KUBE-MARK-MASQ
  -A KUBE-SEP-2 -p tcp -m comment --comment "ns/web:p80" -m tcp -j DNAT --to-destination 10.244.0.6:8080
  -A KUBE-SEP-3 -s 10.244.1.7/32 -m comment --comment "ns/web:p80" -j KUBE-MARK-MASQ
  -A KUBE-SEP-3 -p tcp -m comment --comment "ns/web:p80" -m tcp -j DNAT --to-destination 10.244.1.7:8080`;

const kubeProxyFilter = `
  -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
  -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
  -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
  -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
  -A KUBE-PROXY-FIREWALL -d 1.2.3.4/32 -p tcp -m comment --comment "ns/web:p80 traffic not accepted by KUBE-FW-A" -m tcp --dport 80 -j DROP
  -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
  -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
  -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
  -A KUBE-SERVICES -d 10.96.0.11/32 -p tcp -m comment --comment "ns/idle has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable`;

describe("kube-proxy's layout", () => {
  const node = tracer({ nat: kubeProxyNat, filter: kubeProxyFilter });

  test('a pod reaches each endpoint with its share, and itself masqueraded', () => {
    const outcomes = node.trace(fromPod);
    expect(outcomes.map(inShort)).toEqual([
      'accept 10.244.0.5:8080 masqueraded',
      'accept 10.244.0.6:8080',
      'accept 10.244.1.7:8080',
    ]);
    for (const outcome of outcomes) expect(outcome.probability).toBeCloseTo(1 / 3, 8);
    expect(sum(outcomes)).toBeCloseTo(1, 12);
  });

  test('names every rule that matched, in order, with its text', () => {
    const outcome = node.trace(fromPod)[1];
    expect(rulesMet(outcome)).toEqual([
      'PREROUTING nat PREROUTING 1',
      'PREROUTING nat KUBE-SERVICES 1',
      'PREROUTING nat KUBE-SVC-A 3',
      'PREROUTING nat KUBE-SEP-2 2',
      'FORWARD filter FORWARD 1',
      'FORWARD filter FORWARD 2',
      'FORWARD filter FORWARD 3',
      'POSTROUTING nat POSTROUTING 1',
      'POSTROUTING nat KUBE-POSTROUTING 1',
    ]);
    expect(outcome?.steps[3]?.text).toBe(
      '-p tcp -m comment --comment "ns/web:p80" -m tcp -j DNAT --to-destination 10.244.0.6:8080',
    );
    expect(outcome?.path).toEqual(['PREROUTING', 'FORWARD', 'POSTROUTING']);
  });

  test('the node itself is masqueraded to a cluster IP, and its mark is gone afterwards', () => {
    const outcomes = node.trace(fromNode);
    expect(outcomes.map(inShort)).toEqual([
      'accept 10.244.0.5:8080 masqueraded',
      'accept 10.244.0.6:8080 masqueraded',
      'accept 10.244.1.7:8080 masqueraded',
    ]);
    expect(outcomes.map((outcome) => outcome.mark)).toEqual([0, 0, 0]);
    expect(outcomes[0]?.path).toEqual(['OUTPUT', 'POSTROUTING']);
  });

  test('a NodePort goes to every endpoint masqueraded', () => {
    const outside = { ...toNode, source: '203.0.113.9', destinationPort: 30_080 };
    expect(ends(node, outside)).toEqual([
      'accept 10.244.0.5:8080 masqueraded',
      'accept 10.244.0.6:8080 masqueraded',
      'accept 10.244.1.7:8080 masqueraded',
    ]);
    expect(ends(node, { ...outside, destinationPort: 30_081 })).toEqual(['accept 192.168.0.1:30081']);
  });

  test('a load balancer lets its source ranges in and drops the rest', () => {
    const toVip = { ...fromPod, destination: '1.2.3.4' };
    expect(ends(node, { ...toVip, source: '203.0.113.9' })).toHaveLength(3);
    const [dropped, ...others] = node.trace({ ...toVip, source: '198.51.100.1' });
    expect(others).toEqual([]);
    expect(dropped).toMatchObject({
      verdict: 'drop',
      destination: '1.2.3.4',
      path: ['PREROUTING', 'FORWARD'],
    });
    expect(dropped?.steps.at(-1)).toMatchObject({ table: 'filter', chain: 'KUBE-PROXY-FIREWALL', index: 1 });
  });

  test('a Service without endpoints is refused, from pods and from the node', () => {
    expect(ends(node, { ...fromPod, destination: '10.96.0.11' })).toEqual([
      'reject icmp-port-unreachable 10.96.0.11:80',
    ]);
    expect(ends(node, { ...fromNode, destination: '10.96.0.11' })).toEqual([
      'reject icmp-port-unreachable 10.96.0.11:80',
    ]);
  });

  test('packets of a known connection go where its first packet went, past the nat rules', () => {
    const connection = { state: 'ESTABLISHED', dnat: { to: { address: '10.244.9.9', port: 8080 } } } as const;
    const [outcome, ...others] = node.trace({ ...fromPod, connection });
    expect(others).toEqual([]);
    expect(outcome).toMatchObject({ verdict: 'accept', destination: '10.244.9.9', probability: 1 });
    expect(rulesMet(outcome)).toEqual(['FORWARD filter FORWARD 2', 'FORWARD filter KUBE-FORWARD 3']);
  });

  test('an INVALID packet meets no nat rule and is dropped', () => {
    expect(ends(node, { ...fromPod, connection: { state: 'INVALID' } })).toEqual(['drop 10.96.0.10:80']);
  });
});

describe('the flat layout', () => {
  const nat = `
    ${entry}
    -A KUBE-POSTROUTING -m conntrack --ctstate DNAT -m set --match-set HAIRPIN src,dst,dst -j MASQUERADE --random-fully
    ${postrouting}
    -A KUBE-SERVICES ! -s 10.244.0.0/16 -m set --match-set CLUSTER-IPS dst,dst -j KUBE-MARK-MASQ
    -A KUBE-SERVICES -d 10.96.0.0/16 -j KUBE-SVC-tAAA
    -A KUBE-SVC-tAAA -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-A
    -A KUBE-SVC-A -p tcp -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-1 --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.244.0.5:8080
    -A KUBE-SVC-A -p tcp -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-2 --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.244.0.6:8080
    -A KUBE-SVC-A -p tcp -m statistic --mode random --probability 0.50000000000 -m recent --set --name KUBE-SEP-1 --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.244.0.5:8080
    -A KUBE-SVC-A -p tcp -m recent --set --name KUBE-SEP-2 --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.244.0.6:8080`;
  const filter = `
    -P FORWARD DROP
    -A FORWARD -m conntrack --ctstate DNAT -m set --match-set HAIRPIN src,dst,dst -j ACCEPT
    -A FORWARD -s 10.244.0.0/16 -j ACCEPT
    -A FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT`;
  const sets = `
create HAIRPIN hash:ip,port,ip family inet hashsize 1024 maxelem 65536
add HAIRPIN 10.244.0.5,tcp:8080,10.244.0.5
create CLUSTER-IPS hash:ip,port family inet hashsize 1024 maxelem 65536
add CLUSTER-IPS 10.96.0.10,tcp:80`;

  test('a pod reaches each endpoint, and only itself masqueraded', () => {
    const outcomes = tracer({ nat, filter, sets }).trace(fromPod);
    expect(outcomes.map(inShort)).toEqual(['accept 10.244.0.5:8080 masqueraded', 'accept 10.244.0.6:8080']);
    expect(outcomes.map((outcome) => outcome.probability)).toEqual([0.5, 0.5]);
  });

  test('a client that was seen lately stays with its endpoint', () => {
    const recent = (list: string, age: number) => new Map([[list, new Map([['10.244.0.5', age]])]]);
    const node = (list: string, age: number) => tracer({ nat, filter, sets }, { recent: recent(list, age) });
    expect(ends(node('KUBE-SEP-2', 10_800), fromPod)).toEqual(['accept 10.244.0.6:8080']);
    expect(ends(node('KUBE-SEP-2', 10_801), fromPod)).toHaveLength(2);
    expect(ends(node('KUBE-SEP-2', 5), { ...fromPod, source: '10.244.0.7' })).toHaveLength(2);
  });

  test('a client outside of the cluster is masqueraded to a cluster IP', () => {
    const outside = { ...fromPod, source: '203.0.113.9' };
    expect(ends(tracer({ nat, filter, sets }), outside)).toEqual([
      'accept 10.244.0.5:8080 masqueraded',
      'accept 10.244.0.6:8080 masqueraded',
    ]);
  });

  test('the policy of FORWARD drops what no rule accepts, and the trace says so', () => {
    const [outcome] = tracer({ nat, filter, sets }).trace({
      ...fromPod,
      source: '203.0.113.9',
      destinationPort: 81,
    });
    expect(outcome).toMatchObject({ verdict: 'drop', undecided: false });
    expect(outcome?.steps.at(-1)).toEqual({
      hook: 'FORWARD',
      table: 'filter',
      chain: 'FORWARD',
      index: 0,
      text: 'policy DROP',
    });
  });

  test('works alike for IPv6', () => {
    const node = tracer({
      family: 'IPv6',
      nat: `
        ${entry}
        ${postrouting}
        -A KUBE-SERVICES -d fd00:96::a/128 -p tcp -m tcp --dport 80 -j KUBE-SVC-A
        -A KUBE-SERVICES ! -d ::1/128 -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
        -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-A
        -A KUBE-EXT-A -j KUBE-MARK-MASQ
        -A KUBE-EXT-A -j KUBE-SVC-A
        -A KUBE-SVC-A -p tcp -m statistic --mode random --probability 0.25000000000 -j DNAT --to-destination [fd00::5]:8080
        -A KUBE-SVC-A -p tcp -j DNAT --to-destination [fd00::6]:8080`,
      filter: `
        -P FORWARD DROP
        -A FORWARD -m set --match-set PEERS dst,dst,src -j ACCEPT`,
      sets: `
create PEERS hash:ip,port,net family inet6 hashsize 1024 maxelem 65536
add PEERS fd00::5,tcp:8080,fd00::/64
add PEERS fd00::6,tcp:8080,fd00::7`,
    });
    const packet: Packet = { ...fromPod, source: 'fd00::0:9', destination: 'fd00:96:0::a' };
    const outcomes = node.trace(packet);
    expect(outcomes.map(inShort)).toEqual(['accept fd00::5:8080', 'drop fd00::6:8080']);
    expect(outcomes.map((outcome) => outcome.probability)).toEqual([0.25, 0.75]);
    expect(
      ends(node, { ...packet, source: 'fd00::7', destination: '2001:db8::1', destinationPort: 30_080 }),
    ).toEqual(['accept fd00::5:8080 masqueraded', 'accept fd00::6:8080 masqueraded']);
    expect(ends(node, { ...packet, destination: '::1', destinationPort: 30_080 })).toEqual([
      'accept ::1:30080',
    ]);
  });
});

describe('chains', () => {
  test('RETURN goes on behind the jump, at any depth', () => {
    const node = tracer({
      filter: `
        -A FORWARD -j A
        -A FORWARD -j DROP
        -A A -j B
        -A A -p tcp -j ACCEPT
        -A B -j C
        -A B -p tcp -j RETURN
        -A B -j REJECT --reject-with icmp-port-unreachable
        -A C -j RETURN
        -A C -j DROP`,
    });
    const [outcome] = node.trace(fromPod);
    expect(outcome?.verdict).toBe('accept');
    expect(rulesMet(outcome)).toEqual([
      'FORWARD filter FORWARD 1',
      'FORWARD filter A 1',
      'FORWARD filter B 1',
      'FORWARD filter C 1',
      'FORWARD filter B 2',
      'FORWARD filter A 2',
    ]);
  });

  test('RETURN in a built-in chain ends in its policy', () => {
    const node = tracer({ filter: '-P FORWARD DROP\n-A FORWARD -j RETURN\n-A FORWARD -j ACCEPT' });
    expect(ends(node, fromPod)).toEqual(['drop 10.96.0.10:80']);
  });

  test('what comes back from a goto goes on where the chain was called', () => {
    const filter = `
      -A FORWARD -j A
      -A FORWARD -j REJECT --reject-with tcp-reset
      -A A -g B
      -A A -j DROP
      -A B -p udp -j ACCEPT`;
    expect(ends(tracer({ filter }), fromPod)).toEqual(['reject tcp-reset 10.96.0.10:80']);
    const fromBuiltin = '-P FORWARD DROP\n-A FORWARD -g B\n-A FORWARD -j ACCEPT\n-A B -p udp -j ACCEPT';
    expect(ends(tracer({ filter: fromBuiltin }), fromPod)).toEqual(['drop 10.96.0.10:80']);
  });

  test('chains that call each other for ever end undecided', () => {
    const node = tracer({ filter: '-A FORWARD -j A\n-A A -j B\n-A B -j A' });
    expect(ends(node, fromPod)).toEqual(['accept 10.96.0.10:80 undecided']);
  });

  test('a jump to a chain that is not there is undecided', () => {
    const [outcome] = tracer({ filter: '-A FORWARD -j GONE' }).trace(fromPod);
    expect(outcome).toMatchObject({ verdict: 'accept', undecided: true });
    expect(outcome?.steps).toEqual([
      {
        hook: 'FORWARD',
        table: 'filter',
        chain: 'FORWARD',
        index: 1,
        text: '-j GONE',
        undecided: 'there is no chain GONE',
      },
    ]);
  });
});

describe('hooks', () => {
  const marks = (chain: string, bit: string): string => `-A ${chain} -j MARK --set-xmark ${bit}/${bit}`;

  test('a packet to the node meets INPUT and not FORWARD, whatever local address it has', () => {
    const node = tracer({ filter: '-A INPUT -j DROP' });
    expect(node.trace(toNode)[0]).toMatchObject({ verdict: 'drop', path: ['PREROUTING', 'INPUT'] });
    expect(node.trace({ ...fromPod, destination: '127.1.2.3' })[0]?.path).toEqual(['PREROUTING', 'INPUT']);
    expect(node.trace(fromPod)[0]).toMatchObject({
      verdict: 'accept',
      path: ['PREROUTING', 'FORWARD', 'POSTROUTING'],
    });
  });

  test('the routing decision looks at the destination after DNAT', () => {
    const node = tracer({
      nat: '-A PREROUTING -p tcp -j DNAT --to-destination 192.168.0.1:6443',
      filter: '-A FORWARD -j DROP',
    });
    expect(node.trace(fromPod)[0]).toMatchObject({
      verdict: 'accept',
      destination: '192.168.0.1',
      destinationPort: 6443,
      path: ['PREROUTING', 'INPUT'],
    });
  });

  test('a packet of the node to itself comes in again by lo, without meeting nat twice', () => {
    const node = tracer({
      nat: '-A PREROUTING -j DNAT --to-destination 10.9.9.9\n-A OUTPUT -p tcp -m tcp --dport 80 -j DNAT --to-destination 127.0.0.1:8080',
      filter: '-A INPUT -i lo -p tcp -m tcp --dport 8080 -j REJECT --reject-with tcp-reset',
    });
    const [outcome] = node.trace(fromNode);
    expect(outcome).toMatchObject({ verdict: 'reject', rejectWith: 'tcp-reset', destination: '127.0.0.1' });
    expect(outcome?.path).toEqual(['OUTPUT', 'POSTROUTING', 'PREROUTING', 'INPUT']);
  });

  test('nat OUTPUT comes before filter OUTPUT', () => {
    const node = tracer({
      nat: '-A OUTPUT -j DNAT --to-destination 10.0.0.9:9',
      filter: '-A OUTPUT -d 10.0.0.9/32 -m conntrack --ctstate DNAT -j DROP',
    });
    expect(ends(node, fromNode)).toEqual(['drop 10.0.0.9:9']);
  });

  test('a DNAT ends the nat chain, and other tables go on', () => {
    const node = tracer({
      nat: '-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.9:9\n-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.8:8',
      filter: '-A FORWARD -d 10.0.0.9/32 -j DROP',
    });
    expect(ends(node, fromPod)).toEqual(['drop 10.0.0.9:9']);
  });

  test('raw and mangle are walked, and marks are carried from table to table', () => {
    const node = tracer({
      raw: marks('PREROUTING', '0x1'),
      mangle: ['PREROUTING', 'FORWARD', 'POSTROUTING']
        .map((chain, index) => marks(chain, `0x${2 << index}`))
        .join('\n'),
      nat: '-A POSTROUTING -m mark --mark 0xf -j MASQUERADE',
    });
    const [outcome] = node.trace({ ...fromPod, mark: 0x10 });
    expect(outcome).toMatchObject({ mark: 0x1f, masqueraded: false });
    expect(node.trace(fromPod)[0]).toMatchObject({ mark: 0xf, masqueraded: true });
  });

  test('ACCEPT ends one table at one hook only', () => {
    const node = tracer({ mangle: '-A FORWARD -j ACCEPT', filter: '-A FORWARD -j DROP' });
    expect(ends(node, fromPod)).toEqual(['drop 10.96.0.10:80']);
  });
});

describe('matches', () => {
  /** Whether a rule with these matches in FORWARD (or another chain) drops the packet; undefined for undecided. */
  function matched(
    body: string,
    packet: Packet,
    rules: Rules = {},
    node: Partial<TracedNode> = {},
  ): boolean | undefined {
    const chain = packet.from === 'local' ? 'OUTPUT' : 'FORWARD';
    const [outcome] = tracer({ ...rules, filter: `-A ${chain} ${body} -j DROP` }, node).trace(packet);
    return outcome?.undecided === true ? undefined : outcome?.verdict === 'drop';
  }

  test.each<[string, Partial<Packet>, boolean | undefined]>([
    ['-s 10.244.0.0/16', {}, true],
    ['! -s 10.244.0.0/16', {}, false],
    ['-s 10.244.0.4/32', {}, false],
    ['-d 10.96.0.10/32', {}, true],
    ['! -d 10.96.0.10/32', {}, false],
    ['-i cali123', {}, true],
    ['-i cali12', {}, false],
    ['-i cali+', {}, true],
    ['! -i cali+', {}, false],
    ['-i eth+', {}, false],
    ['-p tcp', {}, true],
    ['-p udp', {}, false],
    ['! -p udp', {}, true],
    ['-p tcp -m tcp --dport 80', {}, true],
    ['-p tcp -m tcp --dport 81:90', {}, false],
    ['-p tcp -m tcp --dport 70:80', {}, true],
    ['-p tcp -m tcp ! --dport 80', {}, false],
    ['-p udp -m udp --dport 80', {}, false],
    ['-p tcp -m tcp --sport 40000', {}, true],
    ['-p tcp -m tcp --sport 1:1024', {}, false],
    ['-p sctp -m sctp --dport 80', { protocol: 'sctp' }, true],
    ['-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN', {}, true],
    ['-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN', { tcpFlags: ['SYN', 'ACK'] }, false],
    ['-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN', { connection: { state: 'ESTABLISHED' } }, false],
    ['-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN', { tcpFlags: ['ACK'] }, true],
    ['-p tcp -m tcp --tcp-flags SYN,ACK NONE', { tcpFlags: ['FIN'] }, true],
    ['-p icmp -m icmp --icmp-type 8', { protocol: 'icmp', icmp: { type: 8, code: 0 } }, true],
    ['-p icmp -m icmp --icmp-type 3/4', { protocol: 'icmp', icmp: { type: 3, code: 3 } }, false],
    ['-p icmp -m icmp --icmp-type 8', {}, false],
    ['-m comment --comment "drop it"', {}, true],
    ['-m conntrack --ctstate NEW', {}, true],
    ['-m conntrack ! --ctstate NEW', {}, false],
    ['-m conntrack --ctstate RELATED,ESTABLISHED', {}, false],
    ['-m conntrack --ctstate RELATED,ESTABLISHED', { connection: { state: 'RELATED' } }, true],
    ['-m conntrack --ctstate INVALID', { connection: { state: 'INVALID' } }, true],
    ['-m conntrack --ctstate UNTRACKED', { connection: { state: 'UNTRACKED' } }, true],
    ['-m conntrack --ctstate DNAT', {}, false],
    ['-m conntrack --ctstate DNAT', { connection: { state: 'ESTABLISHED', dnat: {} } }, true],
    ['-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT', {}, true],
    ['-m conntrack --ctstate SNAT', { connection: { state: 'ESTABLISHED', snat: true } }, true],
    ['-m conntrack --ctstate SNAT', { connection: { state: 'ESTABLISHED' } }, false],
    ['-m mark --mark 0x4000/0x4000', { mark: 0xc000 }, true],
    ['-m mark --mark 0x4000', { mark: 0xc000 }, false],
    ['-m mark ! --mark 0x80000000/0x80000000', { mark: 0x80000000 }, false],
    ['-m addrtype --src-type LOCAL', {}, false],
    ['-m addrtype --src-type LOCAL', { source: '192.168.0.1' }, true],
    ['-m addrtype ! --dst-type LOCAL', {}, true],
    ['-m statistic --mode random --probability 1.00000000000', {}, true],
    ['-m statistic --mode random --probability 0.00000000000', {}, false],
    ['-m recent --set --name A --mask 255.255.255.255 --rsource', {}, true],
    ['-m recent --update --seconds 60 --name A --mask 255.255.255.255 --rsource', {}, false],
    ['-m limit --limit 5/sec', {}, undefined],
    ['-p udp -m limit --limit 5/sec', {}, false],
    ['-m multiport ! --dports 80', {}, undefined],
    ['-p gre', {}, undefined],
    ['-o eth0', {}, undefined],
  ])('%s', (body, changes, expected) => {
    expect(matched(body, { ...fromPod, ...changes })).toBe(expected);
  });

  test('what the packet does not say is undecided where a rule asks for it', () => {
    const { inInterface: _interface, sourcePort: _port, ...vague } = fromPod;
    expect(matched('-i eth0', vague)).toBeUndefined();
    expect(matched('! -i eth0', vague)).toBeUndefined();
    expect(matched('-p tcp -m tcp --sport 80', vague)).toBeUndefined();
    expect(matched('-p udp -m udp --sport 80', vague)).toBe(false);
    expect(matched('-p icmp -m icmp --icmp-type 8', { ...vague, protocol: 'icmp' })).toBeUndefined();
  });

  test('interfaces: none on the way in for what the node sends, the routed one on the way out', () => {
    const outInterface = (destination: string): string =>
      destination.startsWith('10.96.') ? 'eth0' : 'eth1';
    expect(matched('! -i cali+', fromNode)).toBe(true);
    expect(matched('-i cali+', fromNode)).toBe(false);
    expect(matched('-o eth0', fromNode, {}, { outInterface })).toBe(true);
    expect(matched('-o eth+', fromPod, {}, { outInterface })).toBe(true);
    expect(matched('-o lo', { ...fromNode, destination: '127.0.0.1' })).toBe(true);
    const nat =
      '-A PREROUTING -j DNAT --to-destination 10.0.0.9:9\n-A OUTPUT -j DNAT --to-destination 10.0.0.9:9';
    expect(matched('-o eth1', fromPod, { nat }, { outInterface })).toBe(true);
    // The kernel chose the way out before OUTPUT.
    expect(matched('-o eth0', fromNode, { nat }, { outInterface })).toBe(true);
  });

  test('the source of a local packet is LOCAL', () => {
    expect(matched('-m addrtype --src-type LOCAL', fromNode)).toBe(true);
    expect(matched('-m addrtype --src-type LOCAL', { ...fromNode, source: '127.0.0.1' })).toBe(true);
  });

  test('the raw table is too early for connection states', () => {
    const node = tracer({
      raw: '-A PREROUTING -m conntrack --ctstate NEW -j DROP\n-A PREROUTING -m conntrack --ctstate INVALID -j MARK --set-xmark 0x1/0x1',
    });
    expect(node.trace(fromPod)[0]).toMatchObject({ verdict: 'accept', mark: 1 });
  });

  const sets = `
create IP hash:ip family inet hashsize 1024 maxelem 65536
add IP 10.244.0.5
create NET hash:net family inet hashsize 1024 maxelem 65536
add NET 10.244.0.0/24
add NET 10.96.0.10
create ALL hash:net family inet hashsize 1024 maxelem 65536
add ALL 0.0.0.0/1
add ALL 128.0.0.0/1
create IPPORT hash:ip,port family inet hashsize 1024 maxelem 65536
add IPPORT 10.96.0.10,tcp:80
create NETPORT hash:net,port family inet hashsize 1024 maxelem 65536
add NETPORT 0.0.0.0/1,tcp:80
create PAIR hash:ip,port,ip family inet hashsize 1024 maxelem 65536
add PAIR 10.244.0.5,tcp:80,10.96.0.10
create RANGES hash:ip,port,net family inet hashsize 1024 maxelem 65536
add RANGES 10.96.0.10,tcp:80,10.244.0.0/16
create SIX hash:ip family inet6 hashsize 1024 maxelem 65536
add SIX fd00::1`;

  test.each<[string, Partial<Packet>, boolean | undefined]>([
    ['IP src', {}, true],
    ['IP dst', {}, false],
    ['NET src', {}, true],
    ['NET src', { source: '10.244.1.5' }, false],
    ['NET dst', {}, true],
    ['ALL src', { source: '200.0.0.1' }, true],
    ['IPPORT dst,dst', {}, true],
    ['IPPORT dst,dst', { protocol: 'udp' }, false],
    ['IPPORT dst,dst', { destinationPort: 81 }, false],
    ['IPPORT dst,src', {}, false],
    ['IPPORT dst,dst', { protocol: 'icmp' }, false],
    ['NETPORT dst,dst', {}, true],
    ['NETPORT dst,dst', { destination: '200.0.0.1' }, false],
    ['NETPORT dst,dst', { protocol: 'sctp' }, false],
    ['PAIR src,dst,dst', {}, true],
    ['PAIR src,dst,dst', { source: '10.244.0.6' }, false],
    ['PAIR dst,dst,src', {}, false],
    ['RANGES dst,dst,src', {}, true],
    ['RANGES dst,dst,src', { source: '10.245.0.1' }, false],
    ['SIX src', {}, false],
    ['GONE src', {}, undefined],
    ['IPPORT dst', {}, undefined],
  ])('-m set --match-set %s', (arguments_, changes, expected) => {
    const packet = { ...fromPod, ...changes };
    expect(matched(`-m set --match-set ${arguments_}`, packet, { sets })).toBe(expected);
    const negated = expected === undefined ? undefined : !expected;
    expect(matched(`-m set ! --match-set ${arguments_}`, packet, { sets })).toBe(negated);
  });
});

describe('chance', () => {
  test('outcomes that are equal are one, with the steps of the likeliest', () => {
    const node = tracer({
      filter: `
        -A FORWARD -m statistic --mode random --probability 0.25000000000 -j A
        -A FORWARD -m statistic --mode random --probability 0.50000000000 -j DROP
        -A A -j DROP`,
    });
    const outcomes = node.trace(fromPod);
    expect(outcomes.map(inShort)).toEqual(['accept 10.96.0.10:80', 'drop 10.96.0.10:80']);
    expect(outcomes.map((outcome) => outcome.probability)).toEqual([0.375, 0.625]);
    expect(rulesMet(outcomes[1])).toEqual(['FORWARD filter FORWARD 2']);
  });

  test('many rules that chance decides do not multiply', () => {
    const rule = '-A FORWARD -m statistic --mode random --probability 0.50000000000 -j NOTHING';
    const node = tracer({ filter: ['-N NOTHING', ...Array.from({ length: 200 }, () => rule)].join('\n') });
    const outcomes = node.trace(fromPod);
    expect(outcomes).toHaveLength(1);
    expect(sum(outcomes)).toBeCloseTo(1, 12);
  });

  test('a Service with 1,000 endpoints in groups gives each its share', () => {
    const groups = 16;
    const size = 63;
    const probability = (left: number): string =>
      left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(11)}`;
    const lines = ['-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-A'];
    for (let group = 0; group < groups; group += 1) {
      lines.push(`-A KUBE-SVC-A${probability(groups - group)} -j KUBE-SVC-G${group}`);
      for (let index = 0; index < size; index += 1) {
        lines.push(
          `-A KUBE-SVC-G${group} -p tcp${probability(size - index)} -j DNAT --to-destination 10.1.${group}.${index}:80`,
        );
      }
    }
    const outcomes = tracer({ nat: lines.join('\n') }).trace(fromPod);
    expect(outcomes).toHaveLength(groups * size);
    expect(sum(outcomes)).toBeCloseTo(1, 9);
    for (const outcome of outcomes) expect(outcome.probability).toBeCloseTo(1 / (groups * size), 9);
  });
});

describe('targets', () => {
  test('one that Weir does not know is undecided and passed over', () => {
    const [outcome] = tracer({ nat: '-A PREROUTING -p tcp -j REDIRECT --to-ports 8080' }).trace(fromPod);
    expect(outcome).toMatchObject({ verdict: 'accept', undecided: true, destination: '10.96.0.10' });
    expect(outcome?.steps[0]?.undecided).toContain('REDIRECT');
  });

  test('logging does not make anything undecided, not even behind a match that Weir does not know', () => {
    const filter =
      '-A FORWARD -m limit --limit 5/sec -j LOG --log-prefix "x "\n-A FORWARD -j LOG\n-A FORWARD -j DROP';
    const [outcome] = tracer({ filter }).trace(fromPod);
    expect(outcome).toMatchObject({ verdict: 'drop', undecided: false });
    expect(rulesMet(outcome)).toEqual(['FORWARD filter FORWARD 2', 'FORWARD filter FORWARD 3']);
  });

  test('SNAT counts as masquerading', () => {
    const node = tracer({ nat: '-A POSTROUTING -s 10.244.0.0/16 -j SNAT --to-source 192.168.0.1' });
    expect(ends(node, fromPod)).toEqual(['accept 10.96.0.10:80 masqueraded']);
  });

  test('DNAT to a bare address keeps the port, and to a range is undecided', () => {
    const dnat = (to: string): readonly string[] =>
      ends(tracer({ nat: `-A PREROUTING -p tcp -j DNAT --to-destination ${to}` }), fromPod);
    expect(dnat('10.0.0.9')).toEqual(['accept 10.0.0.9:80']);
    expect(dnat('10.0.0.9:81')).toEqual(['accept 10.0.0.9:81']);
    expect(dnat('10.0.0.1-10.0.0.9')).toEqual(['accept 10.96.0.10:80 undecided']);
    expect(dnat('10.0.0.9:81-90')).toEqual(['accept 10.96.0.10:80 undecided']);
  });

  test('--set-xmark clears the mask and toggles the value', () => {
    const node = tracer({ mangle: '-A FORWARD -j MARK --set-xmark 0x80000001/0x80000003' });
    expect(node.trace({ ...fromPod, mark: 0xf })[0]?.mark).toBe(0x8000000d);
  });
});

describe('addresses', () => {
  test('of another family, or that are none, are refused', () => {
    const node = tracer({});
    expect(() => node.trace({ ...fromPod, source: 'fd00::1' })).toThrow(RangeError);
    expect(() => node.trace({ ...fromPod, destination: '10.0.0' })).toThrow(RangeError);
  });
});
