import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PolicyNode, policyOptions } from '../../../test/support/policy-node.ts';
import { judge, namedPorts, namespace, pod, policy } from '../../../test/support/policy-world.ts';
import { randomPolicyCase } from '../../../test/support/random-policy-world.ts';
import { type ApiObject, leaveOut, type Origin } from '../../api/index.ts';
import { describeElement, type KernelElement, type KernelSnapshot } from '../../kernel/index.ts';
import { evaluate, type PolicyWorld } from '../decide/index.ts';

const guard = { ranges: ['10.0.0.0/16'] };

function nodeWith(world: PolicyWorld): PolicyNode {
  const node = new PolicyNode(policyOptions('IPv4', { guard }));
  node.become(world);
  return node;
}

const inWords = ({ kind, namespace, name, field, value }: Origin): string =>
  `${kind} ${namespace}/${name} ${field} ${value}`.trimEnd();

function elementsOf({ tables, sets }: KernelSnapshot): readonly KernelElement[] {
  const elements: KernelElement[] = [];
  for (const [chain, rules] of tables.get('filter')?.chains ?? []) {
    elements.push({ kind: 'chain', table: 'filter', chain });
    for (const rule of rules === '' ? [] : rules.split('\n'))
      elements.push({ kind: 'rule', table: 'filter', chain, rule });
  }
  for (const [set, { members }] of sets) {
    elements.push({ kind: 'set', set });
    for (const member of members) elements.push({ kind: 'member', set, member });
  }
  return elements;
}

function leftOut(world: PolicyWorld, origins: readonly Origin[]): PolicyWorld {
  const without = <Kind extends ApiObject>(object: Kind): Kind =>
    origins.reduce((left, origin) => (leaveOut(left, origin) as Kind | undefined) ?? left, object);
  return { ...world, policies: world.policies.map(without), pods: world.pods.map(without) };
}

const shop: PolicyWorld = {
  policies: [
    policy('shop/web', {
      podSelector: { matchLabels: { app: 'web' } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        { from: [{ podSelector: { matchLabels: { app: 'api' } } }], ports: [{ port: 8080 }] },
        { from: [{ namespaceSelector: {} }], ports: [{ port: 'http' }] },
      ],
      egress: [{ to: [{ ipBlock: { cidr: '192.0.2.0/24' } }] }],
    }),
    policy('shop/also-web', {
      podSelector: { matchLabels: { app: 'web' } },
      ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.0/24' } }] }],
    }),
  ],
  pods: [
    pod('shop/web', ['10.0.0.1'], { namedPorts: namedPorts('http=TCP/8081') }),
    pod('shop/api', ['10.1.0.2'], { nodeName: 'node-2' }),
  ],
  namespaces: [namespace('shop')],
};

describe('what policies and pods wrote', () => {
  const node = nodeWith(shop);
  const elements = elementsOf(node.kernel());

  /** The origins of the elements that a text describes so, hashes left out. */
  function originsOf(description: RegExp): readonly string[] {
    const found = elements.filter((element) => description.test(describeElement(element)));
    expect(found.map(describeElement)).not.toEqual([]);
    return [...new Set(found.flatMap(node.rules.originFinder()).map(inWords))].toSorted();
  }

  test.each<[RegExp, readonly string[]]>([
    [
      /^filter chain WEIR-INGRESS-[A-Z2-7]{15}$/,
      ['NetworkPolicy shop/also-web spec.podSelector', 'NetworkPolicy shop/web spec.podSelector'],
    ],
    [
      /rule of filter chain WEIR-INGRESS-[A-Z2-7]{15}: .*--dport 8080 .*-j RETURN$/,
      ['NetworkPolicy shop/web spec.ingress'],
    ],
    [/rule of filter chain WEIR-EGRESS-[A-Z2-7]{15}: .*-j RETURN$/, ['NetworkPolicy shop/web spec.egress']],
    [
      /rule of filter chain WEIR-EGRESS-[A-Z2-7]{15}: .*-j DROP$/,
      ['NetworkPolicy shop/web spec.podSelector'],
    ],
    [
      /rule of filter chain WEIR-INGRESS-1-0: .*-j WEIR-INGRESS-[A-Z2-7]{15}$/,
      ['NetworkPolicy shop/also-web spec.podSelector', 'NetworkPolicy shop/web spec.podSelector'],
    ],
    [/^set WEIR-4-PODS-/, ['NetworkPolicy shop/web spec.ingress']],
    [/^set WEIR-4-NETS-/, ['NetworkPolicy shop/also-web spec.ingress', 'NetworkPolicy shop/web spec.egress']],
    [
      /^member 192\.0\.2\.0\/24 of set WEIR-4-NETS-/,
      [
        'NetworkPolicy shop/also-web spec.ingress 192.0.2.0/24',
        'NetworkPolicy shop/web spec.egress 192.0.2.0/24',
      ],
    ],
    [/^member 10\.1\.0\.2 of set WEIR-4-PODS-/, ['Pod shop/api status.podIPs 10.1.0.2']],
    [/^member 10\.0\.0\.1,tcp:8081 of set WEIR-4-PORTS-/, ['Pod shop/web status.podIPs 10.0.0.1']],
    [/^member 10\.0\.0\.1 of set WEIR-4-INGRESS$/, ['Pod shop/web status.podIPs 10.0.0.1']],
    [/^member 10\.0\.0\.1 of set WEIR-4-EGRESS-[A-Z2-7]{15}$/, ['Pod shop/web status.podIPs 10.0.0.1']],
    [/^member 10\.0\.0\.1 of set WEIR-4-INGRESS-1-0$/, ['Pod shop/web status.podIPs 10.0.0.1']],
    [/^member 10\.0\.0\.1 of set WEIR-4-KNOWN$/, ['Pod shop/web status.podIPs 10.0.0.1']],
    [/rule of filter chain WEIR-FORWARD/, []],
  ])('%s comes from the field that says it', (description, expected) => {
    expect(originsOf(description)).toEqual(expected);
  });

  test('a policy that is left out closes the pods that it selects, and no others', () => {
    expect(judge(shop, 'shop/api to shop/web TCP/8080')).toMatchObject({ allowed: true });
    const origin = {
      kind: 'NetworkPolicy',
      namespace: 'shop',
      name: 'web',
      field: 'spec.ingress',
      value: '',
    } as const;
    const after = leftOut(shop, [origin]);
    expect(judge(after, 'shop/api to shop/web TCP/8080')).toMatchObject({ allowed: false });
    expect(judge(after, 'shop/web to 192.0.2.7 TCP/80')).toMatchObject({ allowed: false });
    expect(judge(after, '192.0.2.7 to shop/web TCP/80')).toMatchObject({ allowed: true });
    expect(judge(after, 'shop/web to shop/api TCP/80')).toMatchObject({ allowed: false });
    expect(judge(after, '192.0.2.7 to shop/api TCP/80')).toMatchObject({ allowed: true });
  });
});

describe('in any world', () => {
  test('every member and every rule that lets something through has an origin, and is gone when that is left out', () => {
    fc.assert(
      fc.property(randomPolicyCase, fc.nat(), ({ world }, pick) => {
        const node = nodeWith(world);
        const candidates = elementsOf(node.kernel()).filter(
          (element) =>
            element.kind === 'member' ||
            (element.kind === 'rule' &&
              element.chain !== 'WEIR-FORWARD' &&
              element.rule.endsWith('-j RETURN')),
        );
        const element = candidates[pick % candidates.length];
        if (element === undefined) return;
        const origins = node.rules.originFinder()(element);
        expect([describeElement(element), origins.length > 0]).toEqual([describeElement(element), true]);
        const after = elementsOf(nodeWith(leftOut(world, origins)).kernel()).map(describeElement);
        expect(after).not.toContain(describeElement(element));
      }),
    );
  });

  test('leaving out what a policy says opens nothing', () => {
    fc.assert(
      fc.property(randomPolicyCase, ({ world, packets }) => {
        const origins = world.policies.map(
          ({ namespace, name }): Origin => ({
            kind: 'NetworkPolicy',
            namespace,
            name,
            field: 'spec.ingress',
            value: '',
          }),
        );
        for (const origin of origins) {
          const after = leftOut(world, [origin]);
          const opened = packets.filter(
            (packet) => evaluate(after, packet).allowed && !evaluate(world, packet).allowed,
          );
          expect(opened).toEqual([]);
        }
      }),
    );
  });
});
