import { describe, expect, test } from 'vitest';
import { service } from '../../../test/support/service-objects.ts';
import { type Match, nameHash, parseRule } from '../../kernel/index.ts';
import { type RoutedPort, routedPorts } from '../decide/routed-port.ts';
import type { ServiceEndpoint } from '../decide/service-endpoints.ts';
import { type Balanced, balance } from './load-balancing.ts';

function port(affinitySeconds?: number): RoutedPort {
  const [first] = routedPorts(service({ affinitySeconds }), 'IPv4');
  if (first === undefined) throw new Error('no port');
  return first;
}

function endpoints(count: number): readonly ServiceEndpoint[] {
  return Array.from({ length: count }, (_, index) => {
    const ip = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
    return {
      ip,
      port: 8080,
      address: `${ip}:8080`,
      ready: true,
      serving: true,
      terminating: false,
      isLocal: false,
      zoneHints: [],
      nodeHints: [],
    };
  });
}

/** How probable each endpoint is for a client that is new, computed from the rules as the kernel reads them. */
function distribution({ rules, groups }: Balanced): ReadonlyMap<string, number> {
  const chosen = new Map<string, number>();
  const visit = (bodies: readonly string[], incoming: number): void => {
    let left = incoming;
    for (const body of bodies) {
      const { matches, target } = parseRule(body);
      if (matches.some((match) => match.kind === 'recent' && match.operation === 'update')) continue;
      const random = matches.find(
        (match): match is Extract<Match, { kind: 'statistic' }> => match.kind === 'statistic',
      );
      const taken = left * (random === undefined ? 1 : random.probability / 2 ** 31);
      left -= taken;
      if (target.kind === 'dnat') chosen.set(target.to, (chosen.get(target.to) ?? 0) + taken);
      else if (target.kind === 'jump') visit(groupRules(groups, target.chain), taken);
    }
    expect(left).toBeCloseTo(0, 9);
  };
  visit(rules, 1);
  return chosen;
}

function groupRules(groups: Balanced['groups'], name: string): readonly string[] {
  const group = groups.find((one) => one.name === name);
  if (group === undefined) throw new Error(`no chain ${name}`);
  return group.rules.split('\n');
}

describe('balance', () => {
  test.each([1, 2, 3, 7, 63, 64, 65, 100, 128, 129, 1000, 2048, 10_000])(
    'gives each of %i endpoints the same share',
    (count) => {
      const shares = distribution(balance('SVC', port(), endpoints(count)));
      expect(shares.size).toBe(count);
      // The kernel rounds each probability to 2^-31, some of which multiply.
      for (const share of shares.values()) expect(share * count).toBeCloseTo(1, 4);
    },
  );

  test('up to 64 endpoints stand in the chain itself, more in groups', () => {
    expect(balance('SVC', port(), endpoints(64)).groups).toEqual([]);
    expect(balance('SVC', port(), endpoints(65)).groups).toHaveLength(2);
    expect(balance('SVC', port(), endpoints(1000)).groups).toHaveLength(16);
  });

  test('a packet walks no long list, however many endpoints there are', () => {
    const { rules, groups } = balance('SVC', port(), endpoints(10_000));
    const longest = Math.max(...groups.map((group) => group.rules.split('\n').length));
    expect(rules.length + longest).toBeLessThan(400);
  });

  test('an endpoint that goes rewrites the weights and its own group', () => {
    const before = balance('SVC', port(), endpoints(200));
    const after = balance('SVC', port(), endpoints(200).toSpliced(77, 1));
    const changed = after.groups.filter((group) => !before.groups.some((old) => old.rules === group.rules));
    expect(changed).toHaveLength(1);
  });

  test('a client with affinity is looked for in every list before one is chosen for it', () => {
    const [one, other] = ['10.180.0.1', '10.180.0.2'].map((ip) => ({
      ...(endpoints(1)[0] as ServiceEndpoint),
      ip,
      port: 80,
      address: `${ip}:80`,
    }));
    if (one === undefined || other === undefined) throw new Error('no endpoints');
    const { rules } = balance('SVC', port(60), [one, other]);
    // kube-proxy's name for the chain of this endpoint, which is the name of its list.
    const list = '--name KUBE-SEP-SXIVWICOYRO3J4NJ --mask 255.255.255.255 --rsource';
    const otherList = `--name KUBE-SEP-${nameHash('ns1/svc1:p80tcp10.180.0.2:80')} --mask 255.255.255.255 --rsource`;
    expect(rules).toEqual([
      `-p tcp -m recent --update --seconds 60 --reap ${list} -j DNAT --to-destination 10.180.0.1:80`,
      `-p tcp -m recent --update --seconds 60 --reap ${otherList} -j DNAT --to-destination 10.180.0.2:80`,
      `-p tcp -m statistic --mode random --probability 0.50000000000 -m recent --set ${list} -j DNAT --to-destination 10.180.0.1:80`,
      `-p tcp -m recent --set ${otherList} -j DNAT --to-destination 10.180.0.2:80`,
    ]);
  });

  test('with affinity and groups, all lists are asked before any group', () => {
    const { rules, groups } = balance('SVC', port(60), endpoints(100));
    expect(rules.slice(0, 100).every((rule) => rule.includes('--update'))).toBe(true);
    expect(rules.slice(100).every((rule) => / -j KUBE-SVC-g|^-j KUBE-SVC-g/u.test(rule))).toBe(true);
    expect(groups.flatMap((group) => group.rules.split('\n')).every((rule) => rule.includes('--set'))).toBe(
      true,
    );
  });
});
