import { describe, expect, test } from 'vitest';
import { PolicyNode, policyOptions } from '../../../test/support/policy-node.ts';
import { namedPorts, namespace, pod, policy } from '../../../test/support/policy-world.ts';
import type { Pod } from '../../api/index.ts';
import { isEmptyPlan, type KernelSnapshot, type Outcome, type Plan, setName } from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import type { PolicyWorld } from '../decide/index.ts';
import type { PolicyRulesOptions } from './policy-rules.ts';

const web = pod('shop/web', ['10.0.0.1', 'fd00::1'], {
  namedPorts: namedPorts('http=TCP/8080', 'http=UDP/8081'),
});
const api = pod('shop/api', ['10.0.0.2', 'fd00::2'], {
  nodeName: 'node-2',
  namedPorts: namedPorts('grpc=TCP/9000'),
});
const probe = pod('ops/probe', ['10.0.0.3', 'fd00::3']);
const shop = namespace('shop', { team: 'blue' });
const ops = namespace('ops', { team: 'red' });

function worldOf(policies: PolicyWorld['policies'], changes: Partial<PolicyWorld> = {}): PolicyWorld {
  return { policies, pods: [web, api, probe], namespaces: [shop, ops], ...changes };
}

function nodeWith(
  world: PolicyWorld,
  family: Family = 'IPv4',
  options: Partial<PolicyRulesOptions> = {},
): PolicyNode {
  const node = new PolicyNode(policyOptions(family, options));
  node.become(world);
  return node;
}

/** Names end in hashes, which say nothing to a reader: each becomes the number of its first appearance. */
function numbered(text: string): string {
  const hashes: string[] = [];
  return text.replaceAll(/-([A-Z2-7]{15,16})\b/gu, (_, hash: string) => {
    if (!hashes.includes(hash)) hashes.push(hash);
    return `-#${hashes.indexOf(hash) + 1}`;
  });
}

/** The filter table as `iptables-save` shows it, then the members of the sets. */
function show(kernel: KernelSnapshot, ...chains: readonly RegExp[]): string {
  const isShown = (name: string): boolean => chains.length === 0 || chains.some((one) => one.test(name));
  const table = kernel.tables.get('filter');
  const lines: string[] = [];
  for (const [name, rules] of [...(table?.builtins ?? []), ...(table?.chains ?? [])]) {
    const bodies = typeof rules === 'string' ? rules.split('\n') : rules;
    if (isShown(name)) lines.push(...bodies.map((rule) => `-A ${name} ${rule}`.trimEnd()));
  }
  for (const [name, { spec, members }] of kernel.sets)
    if (isShown(name)) lines.push(`${name} ${spec.type} ${[...members].join(' ')}`.trimEnd());
  return numbered(lines.join('\n'));
}

const text = (strings: TemplateStringsArray): string =>
  (strings[0] ?? '')
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .join('\n');

function written(plan: Plan): readonly string[] {
  return plan.writeChains.map(({ name }) => numbered(name));
}

const typical = policy('shop/web', {
  podSelector: { matchLabels: { app: 'web' } },
  policyTypes: ['Ingress', 'Egress'],
  ingress: [
    {
      from: [{ podSelector: { matchLabels: { app: 'api' } } }],
      ports: [{ port: 8080 }, { port: 9000, endPort: 9010, protocol: 'UDP' }],
    },
    { from: [{ namespaceSelector: { matchLabels: { team: 'red' } } }], ports: [{ port: 'http' }] },
  ],
  egress: [
    { to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['128.0.0.0/1', '64.0.0.0/2'] } }] },
    { to: [{ ipBlock: { cidr: '::/0' } }, { ipBlock: { cidr: '10.0.0.7/32' } }], ports: [{ port: 443 }] },
    { ports: [{ port: 'grpc' }, { protocol: 'SCTP' }] },
  ],
});
const denyAll = policy('shop/deny-all', { policyTypes: ['Ingress', 'Egress'] });
const web8080 = {
  source: '10.0.0.2',
  destination: '10.0.0.1',
  protocol: 'TCP',
  destinationPort: 8080,
} as const;

describe('the rules of a typical policy', () => {
  test('in IPv4', () => {
    expect(show(nodeWith(worldOf([typical])).kernel())).toBe(
      text`
      -A FORWARD -m comment --comment "weir network policy" -j WEIR-FORWARD
      -A WEIR-EGRESS -m set --match-set WEIR-4-EGRESS-1-0 src -j WEIR-EGRESS-1-0
      -A WEIR-EGRESS-1-0 -m set --match-set WEIR-4-EGRESS-#1 src -j WEIR-EGRESS-#1
      -A WEIR-EGRESS-#1 -m set --match-set WEIR-4-NETS-#2 dst -j RETURN
      -A WEIR-EGRESS-#1 -p sctp -j RETURN
      -A WEIR-EGRESS-#1 -p tcp -m set --match-set WEIR-4-PORTS-#3 dst,dst -j RETURN
      -A WEIR-EGRESS-#1 -p tcp -m tcp --dport 443 -m set --match-set WEIR-4-NETS-#4 dst -j RETURN
      -A WEIR-EGRESS-#1 -j DROP
      -A WEIR-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
      -A WEIR-FORWARD -m set --match-set WEIR-4-EGRESS src -j WEIR-EGRESS
      -A WEIR-FORWARD -m set --match-set WEIR-4-INGRESS dst -j WEIR-INGRESS
      -A WEIR-INGRESS -m set --match-set WEIR-4-INGRESS-1-0 dst -j WEIR-INGRESS-1-0
      -A WEIR-INGRESS-1-0 -m set --match-set WEIR-4-INGRESS-#5 dst -j WEIR-INGRESS-#5
      -A WEIR-INGRESS-#5 -p tcp -m set --match-set WEIR-4-PORTS-#6 dst,dst -m set --match-set WEIR-4-PODS-#7 src -j RETURN
      -A WEIR-INGRESS-#5 -p tcp -m tcp --dport 8080 -m set --match-set WEIR-4-PODS-#8 src -j RETURN
      -A WEIR-INGRESS-#5 -p udp -m udp --dport 9000:9010 -m set --match-set WEIR-4-PODS-#8 src -j RETURN
      -A WEIR-INGRESS-#5 -j DROP
      WEIR-4-EGRESS hash:ip 10.0.0.1
      WEIR-4-EGRESS-1-0 hash:ip 10.0.0.1
      WEIR-4-EGRESS-#1 hash:ip 10.0.0.1
      WEIR-4-INGRESS hash:ip 10.0.0.1
      WEIR-4-INGRESS-1-0 hash:ip 10.0.0.1
      WEIR-4-INGRESS-#5 hash:ip 10.0.0.1
      WEIR-4-NETS-#4 hash:net 10.0.0.7
      WEIR-4-NETS-#2 hash:net 0.0.0.0/2
      WEIR-4-PODS-#7 hash:ip 10.0.0.3
      WEIR-4-PODS-#8 hash:ip 10.0.0.2
      WEIR-4-PORTS-#3 hash:ip,port 10.0.0.2,tcp:9000
      WEIR-4-PORTS-#6 hash:ip,port 10.0.0.1,tcp:8080
      `,
    );
  });

  test('in IPv6, with denial told', () => {
    expect(show(nodeWith(worldOf([typical]), 'IPv6', { deny: 'reject' }).kernel())).toBe(
      text`
      -A FORWARD -m comment --comment "weir network policy" -j WEIR-FORWARD
      -A WEIR-EGRESS -m set --match-set WEIR-6-EGRESS-1-0 src -j WEIR-EGRESS-1-0
      -A WEIR-EGRESS-1-0 -m set --match-set WEIR-6-EGRESS-#1 src -j WEIR-EGRESS-#1
      -A WEIR-EGRESS-#1 -p sctp -j RETURN
      -A WEIR-EGRESS-#1 -p tcp -m set --match-set WEIR-6-PORTS-#2 dst,dst -j RETURN
      -A WEIR-EGRESS-#1 -p tcp -m tcp --dport 443 -m set --match-set WEIR-6-NETS-#3 dst -j RETURN
      -A WEIR-EGRESS-#1 -p tcp -j REJECT --reject-with tcp-reset
      -A WEIR-EGRESS-#1 -j REJECT --reject-with icmp6-adm-prohibited
      -A WEIR-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
      -A WEIR-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 130 -j RETURN
      -A WEIR-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 131 -j RETURN
      -A WEIR-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 132 -j RETURN
      -A WEIR-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 133 -j RETURN
      -A WEIR-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 134 -j RETURN
      -A WEIR-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j RETURN
      -A WEIR-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j RETURN
      -A WEIR-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 137 -j RETURN
      -A WEIR-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 143 -j RETURN
      -A WEIR-FORWARD -s fe80::/10 -j DROP
      -A WEIR-FORWARD -d fe80::/10 -j DROP
      -A WEIR-FORWARD -m set --match-set WEIR-6-EGRESS src -j WEIR-EGRESS
      -A WEIR-FORWARD -m set --match-set WEIR-6-INGRESS dst -j WEIR-INGRESS
      -A WEIR-INGRESS -m set --match-set WEIR-6-INGRESS-1-0 dst -j WEIR-INGRESS-1-0
      -A WEIR-INGRESS-1-0 -m set --match-set WEIR-6-INGRESS-#4 dst -j WEIR-INGRESS-#4
      -A WEIR-INGRESS-#4 -p tcp -m set --match-set WEIR-6-PORTS-#5 dst,dst -m set --match-set WEIR-6-PODS-#6 src -j RETURN
      -A WEIR-INGRESS-#4 -p tcp -m tcp --dport 8080 -m set --match-set WEIR-6-PODS-#7 src -j RETURN
      -A WEIR-INGRESS-#4 -p udp -m udp --dport 9000:9010 -m set --match-set WEIR-6-PODS-#7 src -j RETURN
      -A WEIR-INGRESS-#4 -p tcp -j REJECT --reject-with tcp-reset
      -A WEIR-INGRESS-#4 -j REJECT --reject-with icmp6-adm-prohibited
      WEIR-6-EGRESS hash:ip fd00::1
      WEIR-6-EGRESS-1-0 hash:ip fd00::1
      WEIR-6-EGRESS-#1 hash:ip fd00::1
      WEIR-6-INGRESS hash:ip fd00::1
      WEIR-6-INGRESS-1-0 hash:ip fd00::1
      WEIR-6-INGRESS-#4 hash:ip fd00::1
      WEIR-6-NETS-#3 hash:net 8000::/1 ::/1
      WEIR-6-PODS-#6 hash:ip fd00::3
      WEIR-6-PODS-#7 hash:ip fd00::2
      WEIR-6-PORTS-#2 hash:ip,port fd00::2,tcp:9000
      WEIR-6-PORTS-#5 hash:ip,port fd00::1,tcp:8080
      `,
    );
  });

  test('are named after their policies when somebody asks', () => {
    const { rules } = nodeWith(worldOf([typical, denyAll]));
    const owners = [...rules.policiesOfChain()].map(([chain, policies]) => [numbered(chain), policies]);
    expect(owners).toEqual([
      ['WEIR-EGRESS-#1', ['shop/deny-all', 'shop/web']],
      ['WEIR-INGRESS-#1', ['shop/deny-all', 'shop/web']],
    ]);
  });
});

describe('the chain of a profile', () => {
  const profile = (...policies: PolicyWorld['policies']): string =>
    show(nodeWith(worldOf(policies)).kernel(), /^WEIR-INGRESS-[A-Z2-7]{15}$/u);

  test('says once what several policies allow, in one order whoever came first', () => {
    const dns = { ports: [{ port: 53, protocol: 'UDP' }] };
    const one = policy('shop/one', { ingress: [dns, { ports: [{ port: 53 }, { port: 80 }] }] });
    const two = policy('shop/two', { ingress: [{ ports: [{ port: 80 }] }, dns] });
    expect(profile(one, two)).toBe(
      text`
      -A WEIR-INGRESS-#1 -p tcp -m tcp --dport 53 -j RETURN
      -A WEIR-INGRESS-#1 -p tcp -m tcp --dport 80 -j RETURN
      -A WEIR-INGRESS-#1 -p udp -m udp --dport 53 -j RETURN
      -A WEIR-INGRESS-#1 -j DROP
      `,
    );
    expect(profile(two, one)).toBe(profile(one, two));
  });

  test('is one rule when a policy allows everything', () => {
    expect(profile(denyAll, policy('shop/open', { ingress: [{}] }))).toBe('-A WEIR-INGRESS-#1 -j RETURN');
  });

  test('allows nothing for a rule that names addresses of the other family only', () => {
    const other = policy('shop/six', { ingress: [{ from: [{ ipBlock: { cidr: 'fd00::/8' } }] }] });
    expect(profile(other)).toBe('-A WEIR-INGRESS-#1 -j DROP');
  });
});

describe('traffic that no policy judges', () => {
  const connection = (state: 'ESTABLISHED' | 'RELATED' | 'NEW') =>
    ({ from: 'outside', ...ends, connection: { state } }) as const;
  const ends = { source: '10.0.0.2', destination: '10.0.0.1', protocol: 'tcp', destinationPort: 80 } as const;

  test('is that of known connections and errors about them', () => {
    const node = nodeWith(worldOf([denyAll]));
    expect(node.trace(connection('ESTABLISHED')).verdict).toBe('accept');
    expect(node.trace(connection('RELATED')).verdict).toBe('accept');
    expect(node.trace(connection('NEW')).verdict).toBe('drop');
  });

  test('is that of pods that nobody isolates', () => {
    const node = nodeWith(worldOf([denyAll]));
    const toProbe = node.trace({ ...connection('NEW'), destination: '10.0.0.3' });
    expect(toProbe.verdict).toBe('accept');
    expect(toProbe.steps.map(({ chain }) => chain)).toEqual(['FORWARD']);
  });

  test('is neighbour discovery, but nothing else between link-local addresses', () => {
    const node = nodeWith(worldOf([denyAll]), 'IPv6');
    const icmp = (type: number, source: string, destination: string) =>
      node.trace({ from: 'outside', protocol: 'ipv6-icmp', source, destination, icmp: { type, code: 0 } })
        .verdict;
    expect(
      [130, 131, 132, 133, 134, 135, 136, 137, 143].map((type) => icmp(type, 'fe80::1', 'fd00::1')),
    ).toEqual(Array.from({ length: 9 }, () => 'accept'));
    expect(icmp(128, 'fe80::1', 'fe80::2')).toBe('drop');
    expect(icmp(128, 'fd00::3', 'fe80::2')).toBe('drop');
    expect(icmp(128, 'fe80::1', 'fd00::3')).toBe('drop');
    expect(icmp(128, 'fd00::3', 'fd00::9')).toBe('accept');
  });
});

describe('cutting established connections', () => {
  const node = nodeWith(
    worldOf([policy('shop/in', { podSelector: { matchLabels: { app: 'web' } }, ingress: [{}] })]),
    'IPv4',
    {
      established: 'cut',
    },
  );
  const tcp = (source: string, destination: string, ...tcpFlags: readonly string[]): Outcome =>
    node.trace({
      from: 'outside',
      protocol: 'tcp',
      source,
      destination,
      sourcePort: 4000,
      destinationPort: 80,
      tcpFlags,
    });

  test('drops TCP that goes on in the middle, from either side of an isolated pod', () => {
    expect(tcp('10.0.0.2', '10.0.0.1', 'ACK').verdict).toBe('drop');
    expect(tcp('10.0.0.1', '10.0.0.2', 'ACK', 'PSH').verdict).toBe('drop');
    expect(tcp('10.0.0.1', '10.0.0.2', 'SYN', 'ACK').verdict).toBe('drop');
  });

  test('leaves new connections and the traffic of others alone', () => {
    expect(tcp('10.0.0.2', '10.0.0.1', 'SYN').verdict).toBe('accept');
    expect(tcp('10.0.0.2', '10.0.0.3', 'ACK').verdict).toBe('accept');
  });
});

describe('addresses of the node’s range', () => {
  const guard = { ranges: ['10.0.0.0/24'] };
  const far = pod('shop/api', ['10.0.1.2', 'fd00:0:0:1::2'], { nodeName: 'node-2' });
  const pods = [web, far, probe];
  const syn = (source: string, destination: string) =>
    ({ from: 'outside', protocol: 'tcp', source, destination, destinationPort: 80 }) as const;
  const verdicts = (node: PolicyNode, ...ips: readonly string[]): readonly string[] =>
    ips.flatMap((ip) => [node.trace(syn('192.0.2.1', ip)).verdict, node.trace(syn(ip, '192.0.2.1')).verdict]);
  const guardedNode = (world: PolicyWorld, unowned: readonly string[] = []): PolicyNode => {
    const node = new PolicyNode(policyOptions('IPv4', { guard }));
    node.become(world, unowned);
    return node;
  };

  test('are closed, silently, until a pod of the node owns them', () => {
    const node = nodeWith(worldOf([typical], { pods }), 'IPv4', { guard, deny: 'reject' });
    expect(verdicts(node, '10.0.0.9')).toEqual(['drop', 'drop']);
    expect(verdicts(node, '10.0.0.3')).toEqual(['accept', 'accept']);
    node.become(worldOf([typical], { pods: [...pods, pod('ops/new', ['10.0.0.9'])] }));
    expect(verdicts(node, '10.0.0.9')).toEqual(['accept', 'accept']);
  });

  test('are closed by these rules', () => {
    expect(
      show(
        guardedNode(worldOf([policy('other/idle', {})], { pods }), ['10.9.0.9']).kernel(),
        /FORWARD|WEIR-4-/,
      ),
    ).toBe(
      text`
      -A FORWARD -m comment --comment "weir network policy" -j WEIR-FORWARD
      -A WEIR-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
      -A WEIR-FORWARD -s 10.0.0.0/24 -m set ! --match-set WEIR-4-KNOWN src -j DROP
      -A WEIR-FORWARD -d 10.0.0.0/24 -m set ! --match-set WEIR-4-KNOWN dst -j DROP
      -A WEIR-FORWARD -m set --match-set WEIR-4-CLOSED src -j DROP
      -A WEIR-FORWARD -m set --match-set WEIR-4-CLOSED dst -j DROP
      -A WEIR-FORWARD -m set --match-set WEIR-4-EGRESS src -j WEIR-EGRESS
      -A WEIR-FORWARD -m set --match-set WEIR-4-INGRESS dst -j WEIR-INGRESS
      WEIR-4-CLOSED hash:ip 10.9.0.9
      WEIR-4-EGRESS hash:ip
      WEIR-4-INGRESS hash:ip
      WEIR-4-KNOWN hash:ip 10.0.0.1 10.0.0.3
      `,
    );
  });

  test('are known last, so that a new pod’s policies hold before it talks', () => {
    const node = guardedNode(worldOf([denyAll], { pods }));
    const plan = node.become(worldOf([denyAll], { pods: [...pods, pod('shop/new', ['10.0.0.9'])] }));
    const order = plan.addMembers.map(({ set, last }) => [numbered(set), last === true]);
    expect(order).toEqual([
      ['WEIR-4-EGRESS', false],
      ['WEIR-4-EGRESS-1-0', false],
      ['WEIR-4-EGRESS-#1', false],
      ['WEIR-4-INGRESS', false],
      ['WEIR-4-INGRESS-1-0', false],
      ['WEIR-4-INGRESS-#1', false],
      ['WEIR-4-KNOWN', true],
    ]);
  });

  test('are all known before the first policy closes the others', () => {
    const node = guardedNode(worldOf([], { pods }));
    const { addMembers } = node.become(worldOf([typical], { pods }));
    expect(addMembers.filter(({ set }) => set === 'WEIR-4-KNOWN')).toEqual([
      { set: 'WEIR-4-KNOWN', members: ['10.0.0.1', '10.0.0.3'] },
    ]);
  });

  test('are open again when the guard is off', () => {
    const node = guardedNode(worldOf([typical], { pods }), ['10.9.0.9']);
    expect(verdicts(node, '10.9.0.9')).toEqual(['drop', 'drop']);
    node.rules.setOptions(policyOptions('IPv4'));
    node.sync();
    expect(verdicts(node, '10.0.0.9', '10.9.0.9')).toEqual(['accept', 'accept', 'accept', 'accept']);
    expect([...node.kernel().sets.keys()].filter((name) => /KNOWN|CLOSED/.test(name))).toEqual([]);
  });

  describe('that pods do not follow', () => {
    const inside = pod('shop/inside', ['10.0.0.200'], { nodeName: 'node-2' });
    const outside = pod('shop/outside', ['10.7.0.5']);
    const open = ['accept', 'accept'];

    test.each([
      ['a pod of another node has one', inside],
      ['a pod without a node has one', pod('shop/inside', ['10.0.0.200'], { nodeName: undefined })],
      ['a pod of another node that ends has one', { ...inside, terminating: true }],
      ['a pod of this node has another', outside],
    ])('are open, where %s', (_, stray) => {
      const node = guardedNode(worldOf([denyAll], { pods: [...pods, stray] }));
      expect(verdicts(node, '10.0.0.200', '10.0.0.201')).toEqual([...open, ...open]);
      expect(node.rules.rangeMismatch()).toMatchObject({ family: 'IPv4', ranges: guard.ranges });
    });

    test.each([
      ['has completed', { ...inside, phase: 'Failed' as const }],
      ['is on the network of its node', { ...inside, hostNetwork: true }],
      [
        'has one of the other family only',
        { ...inside, addresses: [{ family: 'IPv6' as const, ip: 'fd00::200' }] },
      ],
    ])('are closed, where the pod that does not %s', (_, stray) => {
      const node = guardedNode(worldOf([denyAll], { pods: [...pods, stray] }));
      expect(verdicts(node, '10.0.0.200')).toEqual(['drop', 'drop']);
      expect(node.rules.rangeMismatch()).toBeUndefined();
    });

    test('are closed one by one, where the runtime gave them to unknown pods', () => {
      const strays = worldOf([denyAll], { pods: [...pods, inside, outside] });
      const node = guardedNode(strays, ['10.0.0.77', '10.7.0.77']);
      const ips = ['10.0.0.77', '10.7.0.77'] as const;
      expect(verdicts(node, ...ips)).toEqual(['drop', 'drop', 'drop', 'drop']);
      expect(ips.map((ip) => node.rules.isClosed(ip))).toEqual([true, true]);
      const known = pod('ops/new', ['10.0.0.77']);
      const { addMembers, removeMembers } = node.become({ ...strays, pods: [...strays.pods, known] }, [
        '10.7.0.77',
      ]);
      // What holds the pod comes before what lets it talk.
      expect(addMembers.every(({ last }) => last !== true)).toBe(true);
      expect(removeMembers).toEqual([{ set: 'WEIR-4-CLOSED', members: ['10.0.0.77'] }]);
      expect(verdicts(node, ...ips)).toEqual([...open, 'drop', 'drop']);
    });

    test('are named, first by name, and closed again when they are followed', () => {
      const others = [inside, pod('ops/early', ['10.0.0.7'], { nodeName: 'node-3' }), outside];
      const node = guardedNode(worldOf([denyAll], { pods: [...pods, ...others] }));
      expect(node.rules.rangeMismatch()).toEqual({
        family: 'IPv4',
        ranges: guard.ranges,
        inside: { pod: 'ops/early', nodeName: 'node-3', ip: '10.0.0.7' },
        outside: { pod: 'shop/outside', nodeName: 'node-1', ip: '10.7.0.5' },
      });
      node.become(worldOf([denyAll], { pods: [...pods, inside] }));
      expect(node.rules.rangeMismatch()?.inside?.pod).toBe('shop/inside');
      expect(node.rules.rangeMismatch()?.outside).toBeUndefined();
      node.become(worldOf([denyAll], { pods }));
      expect(node.rules.rangeMismatch()).toBeUndefined();
      expect(verdicts(node, '10.0.0.200')).toEqual(['drop', 'drop']);
      expect(show(node.kernel())).toEqual(show(guardedNode(worldOf([denyAll], { pods })).kernel()));
    });

    test('are others with other ranges and another node name', () => {
      const node = guardedNode(worldOf([denyAll], { pods: [...pods, inside] }));
      node.rules.setOptions(policyOptions('IPv4', { guard: { ranges: ['10.0.0.0/26'] } }));
      node.sync();
      expect(node.rules.rangeMismatch()).toBeUndefined();
      expect(verdicts(node, '10.0.0.9', '10.0.0.200')).toEqual(['drop', 'drop', ...open]);
      node.rules.setOptions(
        policyOptions('IPv4', { guard: { ranges: ['10.0.0.0/26'] }, nodeName: 'node-2' }),
      );
      node.sync();
      expect(node.rules.rangeMismatch()).toMatchObject({
        inside: { pod: 'ops/probe' },
        outside: { pod: 'shop/api' },
      });
      node.rules.setOptions(policyOptions('IPv4', { guard: { ranges: [] } }));
      node.sync();
      expect(node.rules.rangeMismatch()).toBeUndefined();
      expect(verdicts(node, '10.0.0.9')).toEqual(open);
    });
  });

  test('that nobody names are not closed, but what the runtime gave to unknown pods is', () => {
    const node = new PolicyNode(policyOptions('IPv4', { guard: { ranges: [] } }));
    node.become(worldOf([denyAll]), ['10.0.0.77']);
    expect(verdicts(node, '10.0.0.77', '10.0.0.78')).toEqual(['drop', 'drop', 'accept', 'accept']);
    expect(node.rules.rangeMismatch()).toBeUndefined();
    node.become(worldOf([]), ['10.0.0.77']);
    expect(verdicts(node, '10.0.0.77')).toEqual(['accept', 'accept']);
    expect(node.rules.isClosed('10.0.0.77')).toBe(false);
  });

  test('of ten thousand pods elsewhere take no room, and their changes nothing', () => {
    const many = Array.from({ length: 10_000 }, (_, index) =>
      pod(`shop/far-${index}`, [`10.1.${index >> 8}.${index & 255}`], {
        nodeName: `node-${2 + (index % 50)}`,
      }),
    );
    const node = guardedNode(worldOf([denyAll], { pods: [...pods, ...many] }));
    expect(node.kernel().sets.get(setName('WEIR-4-KNOWN'))?.members.size).toBe(2);
    expect(isEmptyPlan(node.become(worldOf([denyAll], { pods: [...pods, ...many.slice(1)] })))).toBe(true);
  });
});

describe('which pods count', () => {
  const isDropped = (node: PolicyNode): boolean => node.judge(web8080).verdict === 'drop';

  test.each([
    ['on another node', { nodeName: 'node-2' }, false],
    ['on the host network', { hostNetwork: true }, false],
    ['completed', { phase: 'Succeeded' }, false],
    ['failed', { phase: 'Failed' }, false],
    ['without an address', { addresses: [] }, false],
    ['terminating', { terminating: true }, true],
    ['pending', { phase: 'Pending' }, true],
  ] as const)('a pod %s', (_, changes, isIsolated) => {
    const changed: Pod = { ...web, ...changes };
    expect(isDropped(nodeWith(worldOf([denyAll], { pods: [changed, api] })))).toBe(isIsolated);
    const node = nodeWith(worldOf([denyAll]));
    node.become(worldOf([denyAll], { pods: [changed, api] }));
    expect(isDropped(node)).toBe(isIsolated);
  });

  test('an address stays isolated when its next pod is reported before the last one is gone', () => {
    const node = nodeWith(worldOf([denyAll]));
    const heir = pod('shop/heir', ['10.0.0.1']);
    node.become(worldOf([denyAll], { pods: [web, heir, api] }));
    expect(isEmptyPlan(node.become(worldOf([denyAll], { pods: [heir, api] })))).toBe(true);
    expect(isDropped(node)).toBe(true);
  });

  test('both of two pods at one address must allow', () => {
    const forWeb = policy('shop/for-web', { podSelector: { matchLabels: { app: 'web' } }, ingress: [{}] });
    const forHeir = policy('shop/for-heir', { podSelector: { matchLabels: { app: 'heir' } } });
    const heir = pod('shop/heir', ['10.0.0.1']);
    expect(isDropped(nodeWith(worldOf([forWeb, forHeir])))).toBe(false);
    expect(isDropped(nodeWith(worldOf([forWeb, forHeir], { pods: [web, heir, api] })))).toBe(true);
  });

  test('all are looked at again when the node turns out to have another name', () => {
    const node = nodeWith(worldOf([policy('shop/in', {})]), 'IPv4', { nodeName: 'node-2' });
    expect(isDropped(node)).toBe(false);
    node.rules.setOptions(policyOptions('IPv4'));
    node.sync();
    expect(isDropped(node)).toBe(true);
  });
});

describe('a change costs what it changes', () => {
  const others = [
    pod('shop/web-2', ['10.0.0.4'], { labels: { app: 'web' } }),
    pod('shop/cache', ['10.0.0.5']),
  ];
  const cachePolicy = policy('shop/cache', {
    podSelector: { matchLabels: { app: 'cache' } },
    ingress: [
      {
        from: [
          {
            namespaceSelector: { matchLabels: { team: 'red' } },
            podSelector: { matchLabels: { app: 'probe' } },
          },
        ],
      },
    ],
  });
  const policies = [typical, cachePolicy];
  const pods = [web, api, probe, ...others];
  const start = (): PolicyNode => nodeWith(worldOf(policies, { pods }));
  const relabelled = (one: Pod, labels: Pod['labels']): readonly Pod[] =>
    pods.map((each) => (each === one ? { ...each, labels } : each));

  test('a peer that changes its labels touches sets only', () => {
    const plan = start().become(worldOf(policies, { pods: relabelled(api, { app: 'other' }) }));
    expect({ ...plan, removeMembers: [] }).toEqual(start().sync());
    expect(plan.removeMembers.map(({ set, members }) => [numbered(set), members])).toEqual([
      ['WEIR-4-PODS-#1', ['10.0.0.2']],
    ]);
  });

  test('an isolated pod that comes, goes or moves to a profile that others have touches sets only', () => {
    const node = start();
    const [first, second] = [pod('shop/a', ['10.0.0.6'], { labels: { app: 'web' } }), { app: 'cache' }];
    for (const next of [[...pods, first], [...pods, { ...first, labels: second }], pods]) {
      const plan = node.become(worldOf(policies, { pods: next }));
      expect(plan).toMatchObject({
        createSets: [],
        writeChains: [],
        deleteChains: [],
        destroySets: [],
        jumps: [],
      });
      expect(isEmptyPlan(plan)).toBe(false);
    }
  });

  test('the first pod of a profile writes its chain and its group, and the last takes them away', () => {
    const node = start();
    const next = relabelled(web, { app: 'cache', tier: 'x' });
    const tier = policy('shop/tier', { podSelector: { matchLabels: { tier: 'x' } } });
    expect(
      node.become(
        worldOf([...policies, tier], {
          pods,
        }),
      ).writeChains,
    ).toEqual([]);
    const came = node.become(
      worldOf([...policies, tier], {
        pods: next,
      }),
    );
    expect(written(came)).toEqual(['WEIR-INGRESS-#1', 'WEIR-INGRESS-1-0']);
    const went = node.become(worldOf([...policies, tier], { pods }));
    expect(written(went)).toEqual(['WEIR-INGRESS-1-0']);
    expect(went.deleteChains.map(({ name }) => numbered(name))).toEqual(['WEIR-INGRESS-#1']);
  });

  test('a policy writes the profiles that contain it and no others, and members of no set but its own', () => {
    const node = start();
    const changed = policy('shop/cache', {
      podSelector: { matchLabels: { app: 'cache' } },
      ingress: [{ from: [{ podSelector: {} }] }],
    });
    const plan = node.become(worldOf([typical, changed], { pods }));
    expect(written(plan)).toEqual(['WEIR-INGRESS-#1']);
    expect(node.rules.policiesOfChain().get(plan.writeChains[0]?.name ?? ('' as never))).toEqual([
      'shop/cache',
    ]);
    expect(plan.createSets.map(({ name }) => name)).toEqual(plan.addMembers.map(({ set }) => set));
    expect(plan.destroySets).toHaveLength(1);
    expect(plan.removeMembers).toEqual([]);
  });

  test('a namespace that changes its labels touches the sets that mean it', () => {
    const node = start();
    const plan = node.become(
      worldOf(policies, { pods, namespaces: [shop, namespace('ops', { team: 'green' })] }),
    );
    expect(plan).toMatchObject({
      createSets: [],
      addMembers: [],
      writeChains: [],
      deleteChains: [],
      destroySets: [],
    });
    expect(plan.removeMembers.map(({ members }) => members)).toEqual([['10.0.0.3'], ['10.0.0.3']]);
    expect(
      isEmptyPlan(
        node.become(worldOf(policies, { pods, namespaces: [shop, namespace('ops', { team: 'lime' })] })),
      ),
    ).toBe(true);
  });

  test('a pod is held by its new policies before anybody’s rules mean it', () => {
    const node = start();
    const moved = { ...api, nodeName: 'node-1', labels: { app: 'cache' } };
    node.become(worldOf(policies, { pods: [web, moved, probe, ...others] }));
    const plan = node.become(
      worldOf(policies, { pods: [web, { ...moved, labels: api.labels }, probe, ...others] }),
    );
    expect(plan.addMembers.map(({ set, last = false }) => [numbered(set), last])).toEqual([
      ['WEIR-4-PODS-#1', true],
    ]);
    const back = node.become(
      worldOf(policies, { pods: [web, { ...moved, labels: web.labels }, probe, ...others] }),
    );
    expect(back.addMembers.every(({ last = false }) => !last)).toBe(true);
    expect(back.addMembers.length).toBeGreaterThan(0);
  });

  test('the sets of a new rule are full before the rule is there', () => {
    const plan = start().become(
      worldOf([...policies, policy('shop/new', { ingress: [{ from: [{ podSelector: {} }] }] })], { pods }),
    );
    const { addMembers } = plan;
    expect(addMembers.filter(({ set }) => set.includes('PODS'))).toHaveLength(1);
    expect(addMembers.every(({ last = false }) => !last)).toBe(true);
  });

  test('policies that mean the same peers share a set', () => {
    const twin = policy('shop/twin', {
      podSelector: { matchLabels: { app: 'cache' } },
      ingress: [
        { from: [{ podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['api'] }] } }] },
      ],
    });
    const peerSets = (node: PolicyNode): readonly string[] =>
      [...node.kernel().sets.keys()].filter((name) => name.startsWith('WEIR-4-PODS-'));
    const node = start();
    const before = peerSets(node);
    node.become(worldOf([...policies, twin], { pods }));
    expect(peerSets(node)).toEqual(before);
    node.become(worldOf([twin], { pods }));
    expect(peerSets(node)).toHaveLength(1);
    expect(before).toEqual(expect.arrayContaining([...peerSets(node)]));
    node.become(worldOf([denyAll], { pods }));
    expect(peerSets(node)).toEqual([]);
  });
});

describe('nothing is left', () => {
  test.each(['IPv4', 'IPv6'] as const)(
    'in %s when the last policy goes, and nothing was there before the first',
    (family) => {
      const guard = { ranges: family === 'IPv4' ? ['10.0.0.0/24'] : ['fd00::/64'] };
      const node = new PolicyNode(policyOptions(family, { guard }));
      expect(isEmptyPlan(node.become(worldOf([])))).toBe(true);
      node.become(worldOf([typical, denyAll]));
      node.become(worldOf([]));
      expect(show(node.kernel())).toBe('');
      expect(node.kernel().sets.size).toBe(0);
      expect(node.rules.policiesOfChain().size).toBe(0);
    },
  );

  test('of the rules of an agent whose policies went while it was away', () => {
    const before = nodeWith(worldOf([typical, denyAll]));
    const after = new PolicyNode(policyOptions('IPv4'), before.kernel());
    after.become(worldOf([]));
    expect(show(after.kernel())).toBe('');
    expect(after.kernel().sets.size).toBe(0);
  });
});

describe('names', () => {
  const long = (end: string): string => 'x'.repeat(252) + end;
  const cache = pod('shop/cache', ['10.0.0.5', 'fd00::5']);
  const egress = [
    {
      to: [{ podSelector: { matchLabels: { app: 'cache' } } }, { ipBlock: { cidr: '::/0' } }],
      ports: [{ port: 80 }, { port: 'metrics' }],
    },
  ];
  const policyTypes = ['Ingress', 'Egress'];
  const open = policy(`shop/${long('a')}`, {
    podSelector: { matchLabels: { app: 'web' } },
    policyTypes,
    ingress: [{}],
    egress,
  });
  const closed = policy(`shop/${long('b')}`, {
    podSelector: { matchLabels: { app: 'cache' } },
    policyTypes,
    egress,
  });

  test.each([
    ['IPv4', '10.0.0.'],
    ['IPv6', 'fd00::'],
  ] as const)(
    'in %s fit the kernel and keep policies apart whose names differ at the end only',
    (family, net) => {
      const node = nodeWith(worldOf([open, closed], { pods: [web, cache] }), family);
      const { tables, sets } = node.kernel();
      const chains = [...(tables.get('filter')?.chains.keys() ?? [])];
      expect(Math.max(...chains.map((name) => name.length))).toBeLessThanOrEqual(28);
      expect(Math.max(...Array.from(sets.keys(), (name) => name.length))).toBeLessThanOrEqual(31);
      const verdictAt = (host: number) =>
        node.judge({ ...web8080, source: `${net}9`, destination: `${net}${host}` }).verdict;
      expect([verdictAt(1), verdictAt(5)]).toEqual(['accept', 'drop']);
    },
  );
});

describe('many profiles', () => {
  const many = (count: number): PolicyWorld => {
    const names = Array.from({ length: count }, (_, index) => `pod-${index}`);
    return {
      policies: names.map((name, index) =>
        policy(`shop/${name}`, {
          podSelector: { matchLabels: { app: name } },
          ingress: [{ ports: [{ port: 1000 + index }] }],
        }),
      ),
      pods: names.map((name, index) => pod(`shop/${name}`, [`10.0.1.${index + 1}`])),
      namespaces: [shop],
    };
  };
  const packetTo = (index: number, port: number) =>
    ({
      source: '10.0.0.2',
      destination: `10.0.1.${index + 1}`,
      protocol: 'TCP',
      destinationPort: port,
    }) as const;
  /** Rules with a set that a packet to this pod meets. */
  const lookUps = (node: PolicyNode, index: number): number => {
    const { steps } = node.judge(packetTo(index, 1));
    return steps
      .filter(({ text }) => text.includes('--match-set'))
      .reduce((sum, step) => sum + step.index, 0);
  };

  test('cost a packet about twenty look-ups', () => {
    const node = nodeWith(many(110));
    const counts = Array.from({ length: 110 }, (_, index) => lookUps(node, index));
    expect(counts.reduce((a, b) => a + b, 0) / counts.length).toBeLessThan(20);
    expect(Math.max(...counts)).toBeLessThan(36);
  });

  test('are judged each by its own, however they are divided into groups', () => {
    const node = new PolicyNode(policyOptions('IPv4'));
    for (const count of [1, 8, 9, 40, 70, 33, 5, 0, 20]) {
      node.become(many(count));
      for (let index = 0; index < count; index += 1) {
        expect(node.judge(packetTo(index, 1000 + index)).verdict).toBe('accept');
        expect(node.judge(packetTo(index, 1001 + index)).verdict).toBe('drop');
      }
    }
  });

  test('stay in their groups when one more comes and goes', () => {
    const node = nodeWith(many(40));
    for (const count of [41, 40, 39]) {
      const plan = node.become(many(count));
      expect(plan.writeChains.length + plan.deleteChains.length).toBe(2);
    }
  });

  test('are divided anew beside the groups that packets still use', () => {
    const node = nodeWith(many(8));
    const { writeChains, createSets, deleteChains } = node.become(many(9));
    const groups = writeChains.filter(({ name }) => /-\d+-\d+$/u.test(name));
    expect(groups.map(({ name, isNew }) => [name, isNew])).toEqual([
      ['WEIR-INGRESS-2-0', true],
      ['WEIR-INGRESS-2-1', true],
    ]);
    expect(createSets.map(({ name }) => name)).toContain('WEIR-4-INGRESS-2-0');
    expect(deleteChains.map(({ name }) => name)).toEqual(['WEIR-INGRESS-1-0']);
  });

  test('are found as they were left, though there were more of them once', () => {
    const node = nodeWith(many(20));
    node.become(many(10));
    expect([...node.kernel().sets.keys()]).toContain('WEIR-4-INGRESS-4-0');
    const next = new PolicyNode(policyOptions('IPv4'), node.kernel());
    expect(isEmptyPlan(next.become(many(10)))).toBe(true);
  });
});

describe('the ways into the policies', () => {
  const builtins = (node: PolicyNode, builtin: string): readonly string[] =>
    node.kernel().tables.get('filter')?.builtins.get(builtin) ?? [];

  test('beside a kube-proxy, what IPVS sends on through OUTPUT is judged, what the node itself sends is not', () => {
    const node = nodeWith(worldOf([typical]), 'IPv4', { besideProxy: true });
    expect(builtins(node, 'FORWARD')).toEqual(['-m comment --comment "weir network policy" -j WEIR-FORWARD']);
    expect(builtins(node, 'OUTPUT')).toEqual([
      '-m comment --comment "weir network policy" -m addrtype ! --src-type LOCAL -j WEIR-FORWARD',
    ]);
    node.become(worldOf([]));
    expect([...builtins(node, 'FORWARD'), ...builtins(node, 'OUTPUT')]).toEqual([]);
  });

  test('where Weir routes Services itself, FORWARD sees all of them', () => {
    const alone = nodeWith(worldOf([typical]), 'IPv4', { besideProxy: true });
    const node = new PolicyNode(policyOptions('IPv4'), alone.kernel());
    node.become(worldOf([typical]));
    expect(builtins(node, 'OUTPUT')).toEqual([]);
    expect(builtins(node, 'FORWARD')).toHaveLength(1);
  });
});
