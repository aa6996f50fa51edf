import { describe, expect, it } from 'vitest';
import { judge, namedPorts, namespace, pod, policy } from '../../../test/support/policy-world.ts';
import type { Pod } from '../../api/index.ts';
import type { PolicyWorld } from './evaluate.ts';

/** The lines of a table `connection → allowed` that the evaluator contradicts. */
function contradicted(world: PolicyWorld, table: Readonly<Record<string, boolean>>): readonly string[] {
  return Object.entries(table)
    .filter(([connection, allowed]) => judge(world, connection).allowed !== allowed)
    .map(([connection, allowed]) => `${connection} should be ${allowed ? 'allowed' : 'denied'}`);
}

const namespaces = [
  namespace('shop', { team: 'a' }),
  namespace('bank', { team: 'b' }),
  namespace('kube-system'),
];
const web = pod('shop/web', ['10.0.0.1', 'fd00::1'], { labels: { app: 'web', tier: 'front' } });
const api = pod('shop/api', ['10.0.0.2', 'fd00::2'], { labels: { app: 'api', tier: 'back' } });
const bare = pod('shop/bare', ['10.0.0.3'], { labels: {} });
const teller = pod('bank/teller', ['10.0.1.1'], { labels: { app: 'web' } });
const vault = pod('bank/vault', ['10.0.1.2'], { labels: { app: 'vault' } });
const pods: readonly Pod[] = [web, api, bare, teller, vault];
const outside = '203.0.113.7';

function worldOf(spec: unknown, extra: Partial<PolicyWorld> = {}): PolicyWorld {
  return { policies: [policy('shop/policy', spec)], pods, namespaces, ...extra };
}

describe('isolation', () => {
  it('leaves everything open without policies', () => {
    expect(
      contradicted(
        { policies: [], pods, namespaces },
        {
          'shop/web shop/api TCP/80': true,
          [`${outside} shop/api UDP/53`]: true,
          'shop/web shop/api ICMP': true,
        },
      ),
    ).toEqual([]);
  });

  it('closes one direction of the selected pods only', () => {
    expect(
      contradicted(worldOf({ podSelector: { matchLabels: { app: 'api' } } }), {
        'shop/web shop/api TCP/80': false,
        [`${outside} shop/api SCTP/80`]: false,
        'shop/web shop/api ICMP': false,
        'shop/api shop/web TCP/80': true,
        'shop/web shop/bare TCP/80': true,
        'bank/teller bank/vault TCP/80': true,
      }),
    ).toEqual([]);
  });

  it('closes both families of a dual-stack pod by a policy that names only one', () => {
    expect(
      contradicted(worldOf({ podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }] }), {
        [`${outside} shop/api TCP/80`]: true,
        '2001:db8::7 fd00::2 TCP/80': false,
        'fd00::1 fd00::2 TCP/80': false,
      }),
    ).toEqual([]);
  });

  it('needs both halves', () => {
    const deny = { podSelector: { matchLabels: { app: 'api' } }, policyTypes: ['Ingress'] };
    const verdict = judge(worldOf(deny), 'shop/web shop/api TCP/80');
    expect(verdict).toEqual({
      allowed: false,
      ingress: { outcome: 'denied', policies: ['shop/policy'] },
      egress: { outcome: 'open' },
    });
  });

  it('takes the union of all policies and says which rules allowed', () => {
    const from = (app: string) => ({ from: [{ podSelector: { matchLabels: { app } } }] });
    const world = worldOf(
      {},
      {
        policies: [
          policy('shop/b', { ingress: [from('nobody'), from('web'), {}] }),
          policy('shop/a', { ingress: [from('web')] }),
          policy('shop/deny', {}),
          policy('bank/a', { ingress: [{}] }),
        ],
      },
    );
    expect(judge(world, 'shop/web shop/api TCP/80').ingress).toEqual({
      outcome: 'allowed',
      rules: [
        { policy: 'shop/a', direction: 'Ingress', index: 0 },
        { policy: 'shop/b', direction: 'Ingress', index: 1 },
        { policy: 'shop/b', direction: 'Ingress', index: 2 },
      ],
    });
  });

  it('names every policy that isolates, in order, when none allows', () => {
    const world = worldOf(
      {},
      {
        policies: [
          policy('shop/b', {}),
          policy('shop/a', {}),
          policy('shop/out', { policyTypes: ['Egress'] }),
        ],
      },
    );
    expect(judge(world, `${outside} shop/api TCP/80`).ingress).toEqual({
      outcome: 'denied',
      policies: ['shop/a', 'shop/b'],
    });
    expect(judge(world, `shop/api ${outside} TCP/80`).egress).toEqual({
      outcome: 'denied',
      policies: ['shop/out'],
    });
  });

  it('judges a pod that reaches itself through a Service like any other', () => {
    expect(contradicted(worldOf({ podSelector: {} }), { 'shop/api shop/api TCP/80': false })).toEqual([]);
    expect(
      contradicted(worldOf({ podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] }), {
        'shop/api shop/api TCP/80': true,
      }),
    ).toEqual([]);
  });
});

describe('policyTypes as the API server fills them in', () => {
  it.each([
    ['nothing given', {}, [false, true]],
    ['egress: []', { egress: [] }, [false, true]],
    ['an egress rule', { egress: [{ to: [{ ipBlock: { cidr: '192.0.2.0/24' } }] }] }, [false, false]],
    ['only Egress, with ingress rules', { policyTypes: ['Egress'], ingress: [{}] }, [true, false]],
    ['only Ingress, with egress rules', { policyTypes: ['Ingress'], egress: [{}] }, [false, true]],
    ['Ingress twice', { policyTypes: ['Ingress', 'Ingress'] }, [false, true]],
    ['both, empty', { policyTypes: ['Ingress', 'Egress'] }, [false, false]],
    ['a type that does not exist', { policyTypes: ['Inress'] }, [false, false]],
  ] as const)('%s', (_, spec, [ingress, egress]) => {
    expect(
      contradicted(worldOf(spec), {
        [`${outside} shop/api TCP/80`]: ingress,
        [`shop/api ${outside} TCP/80`]: egress,
      }),
    ).toEqual([]);
  });

  it('isolates the whole namespace without a podSelector, or with one that can not be read', () => {
    expect(
      contradicted(worldOf({ policyTypes: ['Ingress'] }), {
        [`${outside} shop/bare TCP/80`]: false,
        [`${outside} bank/vault TCP/80`]: true,
      }),
    ).toEqual([]);
    expect(
      contradicted(worldOf({ podSelector: { matchExpressions: [{ key: 'app', operator: 'Is' }] } }), {
        [`${outside} shop/bare TCP/80`]: false,
      }),
    ).toEqual([]);
  });
});

describe('selectors', () => {
  const selecting = (podSelector: unknown) => {
    const world = worldOf({ podSelector, policyTypes: ['Ingress'] });
    return ['web', 'api', 'bare'].filter((name) => !judge(world, `${outside} shop/${name} TCP/80`).allowed);
  };

  it.each([
    ['the empty selector', {}, ['web', 'api', 'bare']],
    ['In', { matchExpressions: [{ key: 'app', operator: 'In', values: ['api', 'db'] }] }, ['api']],
    [
      'NotIn, also without the key',
      { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['api'] }] },
      ['web', 'bare'],
    ],
    ['Exists', { matchExpressions: [{ key: 'tier', operator: 'Exists' }] }, ['web', 'api']],
    ['DoesNotExist', { matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] }, ['bare']],
    ['every pair of matchLabels', { matchLabels: { app: 'web', tier: 'back' } }, []],
    [
      'both forms together',
      { matchLabels: { tier: 'front' }, matchExpressions: [{ key: 'app', operator: 'Exists' }] },
      ['web'],
    ],
  ])('%s', (_, selector, expected) => {
    expect(selecting(selector)).toEqual(expected);
  });
});

describe('peers', () => {
  const sources = ['shop/web', 'shop/api', 'shop/bare', 'bank/teller', 'bank/vault', outside];
  const target = { matchLabels: { app: 'api' } };
  const allowedSources = (from: unknown) => {
    const world = worldOf({ podSelector: target, ingress: [{ from }] });
    return sources.filter((source) => judge(world, `${source} shop/api TCP/80`).allowed);
  };
  const inShop = ['shop/web', 'shop/api', 'shop/bare'];
  const everywhere = [...inShop, 'bank/teller', 'bank/vault'];

  it.each([
    ['no list: everybody', undefined, sources],
    ['an empty list: everybody', [], sources],
    ['podSelector alone: own namespace', [{ podSelector: { matchLabels: { app: 'web' } } }], ['shop/web']],
    ['empty podSelector: all of the own namespace', [{ podSelector: {} }], inShop],
    [
      'namespaceSelector alone: all pods there',
      [{ namespaceSelector: { matchLabels: { team: 'b' } } }],
      ['bank/teller', 'bank/vault'],
    ],
    ['empty namespaceSelector: all pods, nobody else', [{ namespaceSelector: {} }], everywhere],
    ['both empty: the same', [{ namespaceSelector: {}, podSelector: {} }], everywhere],
    [
      'both in one: and',
      [{ namespaceSelector: { matchLabels: { team: 'b' } }, podSelector: { matchLabels: { app: 'web' } } }],
      ['bank/teller'],
    ],
    [
      'two elements: or',
      [
        { namespaceSelector: { matchLabels: { team: 'b' } } },
        { podSelector: { matchLabels: { app: 'web' } } },
      ],
      ['shop/web', 'bank/teller', 'bank/vault'],
    ],
    [
      'the label every namespace has',
      [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'bank' } } }],
      ['bank/teller', 'bank/vault'],
    ],
    [
      'NotIn on a namespace without the label',
      [{ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['b'] }] } }],
      inShop,
    ],
    ['an unreadable peer: nobody', [{}], []],
    [
      'an unreadable peer beside a good one: the good one',
      [{ podSelector: 'web' }, { podSelector: { matchLabels: { app: 'web' } } }],
      ['shop/web'],
    ],
  ])('%s', (_, from, expected) => {
    expect(allowedSources(from)).toEqual(expected);
  });

  it('uses every rule, each with its own peers and ports', () => {
    const rule = (app: string, port: number) => ({
      from: [{ podSelector: { matchLabels: { app } } }],
      ports: [{ port }],
    });
    expect(
      contradicted(
        worldOf({ podSelector: target, ingress: [rule('web', 80), rule('bare', 90), rule('api', 100)] }),
        {
          'shop/web shop/api TCP/80': true,
          'shop/web shop/api TCP/100': false,
          'shop/api shop/api TCP/100': true,
          'shop/api shop/api TCP/80': false,
        },
      ),
    ).toEqual([]);
    const to = (app: string, port: number) => ({
      to: [{ podSelector: { matchLabels: { app } } }],
      ports: [{ port }],
    });
    expect(
      contradicted(
        worldOf({ podSelector: {}, policyTypes: ['Egress'], egress: [to('web', 80), to('api', 90)] }),
        {
          'shop/bare shop/web TCP/80': true,
          'shop/bare shop/api TCP/80': false,
          'shop/bare shop/api TCP/90': true,
          'shop/bare shop/web TCP/90': false,
        },
      ),
    ).toEqual([]);
  });

  it('means no pod of a namespace that is not known by any selector', () => {
    const world = worldOf(
      { podSelector: target, ingress: [{ from: [{ namespaceSelector: {} }] }] },
      { namespaces: [namespace('shop')] },
    );
    expect(
      contradicted(world, { 'shop/web shop/api TCP/80': true, 'bank/vault shop/api TCP/80': false }),
    ).toEqual([]);
  });
});

describe('ipBlock', () => {
  const allowedFrom = (sources: readonly string[], from: unknown) => {
    const world = worldOf({ podSelector: {}, ingress: [{ from }] });
    return sources.filter(
      (source) => judge(world, `${source} ${source.includes(':') ? 'fd00::2' : '10.0.0.2'} TCP/80`).allowed,
    );
  };
  const some = ['10.0.0.1', '10.0.1.1', '10.0.1.2', '198.51.100.9', outside, 'fd00::1', '2001:db8::9'];

  it.each([
    ['pods too', [{ ipBlock: { cidr: '10.0.1.0/24' } }], ['10.0.1.1', '10.0.1.2']],
    [
      'a part excepted',
      [{ ipBlock: { cidr: '10.0.0.0/16', except: ['10.0.1.0/31'] } }],
      ['10.0.0.1', '10.0.1.2'],
    ],
    [
      'everything of IPv4 only',
      [{ ipBlock: { cidr: '0.0.0.0/0' } }],
      ['10.0.0.1', '10.0.1.1', '10.0.1.2', '198.51.100.9', outside],
    ],
    [
      'everything of IPv4 with a hole',
      [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } }],
      ['198.51.100.9', outside],
    ],
    ['everything of IPv6 only', [{ ipBlock: { cidr: '::/0' } }], ['fd00::1', '2001:db8::9']],
    ['one address', [{ ipBlock: { cidr: '203.0.113.7/32' } }], [outside]],
    ['host bits set', [{ ipBlock: { cidr: '10.0.1.77/24' } }], ['10.0.1.1', '10.0.1.2']],
    [
      'holes that are those of their own block',
      [
        { ipBlock: { cidr: '10.0.0.0/16', except: ['10.0.1.0/24'] } },
        { ipBlock: { cidr: '10.0.1.0/24', except: ['10.0.1.2/32'] } },
      ],
      ['10.0.0.1', '10.0.1.1'],
    ],
    [
      'both families in one rule',
      [{ ipBlock: { cidr: '10.0.0.0/24' } }, { ipBlock: { cidr: '2001:db8::/32' } }],
      ['10.0.0.1', '2001:db8::9'],
    ],
    [
      'nothing where the hole can not be read',
      [{ ipBlock: { cidr: '10.0.0.0/16', except: ['10.0.1'] } }],
      [],
    ],
    ['nothing where the block can not be read', [{ ipBlock: { cidr: '010.0.0.0/8' } }], []],
  ])('matches %s', (_, from, expected) => {
    expect(allowedFrom(some, from)).toEqual(expected);
  });

  it('does not make a denial of an exception: another policy may allow it', () => {
    const block = (cidr: string, except: readonly string[] = []) => ({
      podSelector: {},
      egress: [{ to: [{ ipBlock: { cidr, except } }] }],
      policyTypes: ['Egress'],
    });
    const wide = policy('shop/wide', block('10.0.0.0/8', ['10.0.1.1/32']));
    const one = policy('shop/one', block('10.0.1.1/32'));
    expect(
      contradicted(worldOf({}, { policies: [wide] }), {
        'shop/web bank/teller TCP/80': false,
        'shop/web bank/vault TCP/80': true,
      }),
    ).toEqual([]);
    expect(
      contradicted(worldOf({}, { policies: [wide, one] }), { 'shop/web bank/teller TCP/80': true }),
    ).toEqual([]);
  });
});

describe('ports', () => {
  const allowedPorts = (ports: unknown) => {
    const world = worldOf({ podSelector: {}, ingress: [{ ports }] });
    const tried = ['TCP/1', 'TCP/80', 'TCP/81', 'TCP/90', 'TCP/65535', 'UDP/80', 'SCTP/80', 'ICMP'];
    return tried.filter((what) => judge(world, `${outside} shop/api ${what}`).allowed);
  };

  it.each([
    [
      'none: everything',
      undefined,
      ['TCP/1', 'TCP/80', 'TCP/81', 'TCP/90', 'TCP/65535', 'UDP/80', 'SCTP/80', 'ICMP'],
    ],
    [
      'an empty list: everything',
      [],
      ['TCP/1', 'TCP/80', 'TCP/81', 'TCP/90', 'TCP/65535', 'UDP/80', 'SCTP/80', 'ICMP'],
    ],
    ['{}: all of TCP', [{}], ['TCP/1', 'TCP/80', 'TCP/81', 'TCP/90', 'TCP/65535']],
    ['protocol alone', [{ protocol: 'UDP' }], ['UDP/80']],
    ['SCTP is not TCP', [{ protocol: 'SCTP', port: 80 }], ['SCTP/80']],
    ['number alone: TCP', [{ port: 80 }], ['TCP/80']],
    ['several', [{ port: 80 }, { port: 90 }, { port: 80, protocol: 'UDP' }], ['TCP/80', 'TCP/90', 'UDP/80']],
    ['a range with both ends', [{ port: 80, endPort: 90 }], ['TCP/80', 'TCP/81', 'TCP/90']],
    ['a range of one', [{ port: 80, endPort: 80 }], ['TCP/80']],
    ['the whole range', [{ port: 1, endPort: 65535 }], ['TCP/1', 'TCP/80', 'TCP/81', 'TCP/90', 'TCP/65535']],
    [
      'overlapping ranges',
      [
        { port: 79, endPort: 81 },
        { port: 80, endPort: 90 },
      ],
      ['TCP/80', 'TCP/81', 'TCP/90'],
    ],
    ['a range that runs backwards: nothing', [{ port: 90, endPort: 80 }], []],
    ['a name that no pod has: nothing', [{ port: 'web' }], []],
    ['an unknown protocol: nothing', [{ port: 80, protocol: 'DCCP' }], []],
  ])('%s', (_, ports, expected) => {
    expect(allowedPorts(ports)).toEqual(expected);
  });
});

describe('named ports', () => {
  const one = pod('shop/one', ['10.0.0.11'], {
    namedPorts: namedPorts('web=TCP/8080', 'dns=UDP/53', 'dns=TCP/5353'),
  });
  const two = pod('shop/two', ['10.0.0.12'], { namedPorts: namedPorts('web=TCP/9090', 'web=TCP/9091') });
  const far = pod('bank/far', ['10.0.1.11'], { namedPorts: namedPorts('web=TCP/7070') });
  const client = pod('shop/client', ['10.0.0.13'], { namedPorts: namedPorts('web=TCP/6060') });
  const named = { pods: [one, two, far, client], namespaces };
  const ingress = (...ports: readonly unknown[]) => ({
    ...named,
    policies: [policy('shop/policy', { podSelector: {}, ingress: [{ ports }] })],
  });
  const egress = (rule: unknown) => ({
    ...named,
    policies: [policy('shop/policy', { podSelector: {}, egress: [rule], policyTypes: ['Egress'] })],
  });

  it('mean on each selected pod what that pod calls so, every number of it', () => {
    expect(
      contradicted(ingress({ port: 'web' }), {
        'bank/far shop/one TCP/8080': true,
        'bank/far shop/one TCP/9090': false,
        'bank/far shop/two TCP/9090': true,
        'bank/far shop/two TCP/9091': true,
        'bank/far shop/two TCP/8080': false,
        // The client's own port of the name is nobody's destination here.
        'shop/client shop/one TCP/6060': false,
        'bank/far shop/one UDP/8080': false,
      }),
    ).toEqual([]);
  });

  it('keep protocols of one name apart', () => {
    expect(
      contradicted(ingress({ port: 'dns', protocol: 'UDP' }), {
        'bank/far shop/one UDP/53': true,
        'bank/far shop/one TCP/53': false,
        'bank/far shop/one TCP/5353': false,
        'bank/far shop/one UDP/5353': false,
      }),
    ).toEqual([]);
  });

  it('isolate when no pod has them', () => {
    expect(contradicted(ingress({ port: 'nothing' }), { 'bank/far shop/one TCP/8080': false })).toEqual([]);
  });

  it('mean for egress the ports of any pod of the name when no peers are given', () => {
    expect(
      contradicted(egress({ ports: [{ port: 'web' }] }), {
        'shop/client shop/one TCP/8080': true,
        'shop/client bank/far TCP/7070': true,
        'shop/client bank/far TCP/8080': false,
        'shop/client shop/one TCP/6060': false,
        [`shop/client ${outside} TCP/8080`]: false,
      }),
    ).toEqual([]);
  });

  it('mean for egress the ports of the peers', () => {
    expect(
      contradicted(
        egress({ to: [{ podSelector: { matchLabels: { app: 'one' } } }], ports: [{ port: 'web' }] }),
        {
          'shop/client shop/one TCP/8080': true,
          'shop/client shop/two TCP/9090': false,
          'shop/client bank/far TCP/7070': false,
        },
      ),
    ).toEqual([]);
  });

  it('mean for a block the pods within it', () => {
    expect(
      contradicted(
        egress({
          to: [{ ipBlock: { cidr: '10.0.0.0/24', except: ['10.0.0.12/32'] } }],
          ports: [{ port: 'web' }],
        }),
        {
          'shop/client shop/one TCP/8080': true,
          'shop/client shop/two TCP/9090': false,
          'shop/client bank/far TCP/7070': false,
          'shop/client 10.0.0.99 TCP/8080': false,
        },
      ),
    ).toEqual([]);
  });
});

describe('which pods count', () => {
  const closed = { podSelector: {}, policyTypes: ['Ingress', 'Egress'] };
  const fromWeb = {
    podSelector: { matchLabels: { app: 'api' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }],
  };
  const withWeb = (rest: Partial<Pod>) => [{ ...web, ...rest }, api];

  it('ignores hostNetwork pods: they are isolated by nothing, and no selector means them', () => {
    const host = { pods: withWeb({ hostNetwork: true }) };
    expect(
      contradicted(worldOf(closed, host), {
        [`${outside} 10.0.0.1 TCP/80`]: true,
        [`10.0.0.1 ${outside} TCP/80`]: true,
      }),
    ).toEqual([]);
    expect(contradicted(worldOf(fromWeb, host), { '10.0.0.1 shop/api TCP/80': false })).toEqual([]);
    expect(
      contradicted(
        worldOf({ podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.1/32' } }] }] }, host),
        {
          '10.0.0.1 shop/api TCP/80': true,
        },
      ),
    ).toEqual([]);
  });

  it.each(['Succeeded', 'Failed'] as const)('ignores a pod that is %s', (phase) => {
    expect(
      contradicted(worldOf(closed, { pods: withWeb({ phase }) }), { [`${outside} 10.0.0.1 TCP/80`]: true }),
    ).toEqual([]);
    expect(
      contradicted(worldOf(fromWeb, { pods: withWeb({ phase }) }), { '10.0.0.1 shop/api TCP/80': false }),
    ).toEqual([]);
  });

  it.each([
    ['terminating', { terminating: true }],
    ['pending with an address', { phase: 'Pending', ready: false }],
    ['of unknown phase', { phase: 'Unknown' }],
  ] as const)('keeps a pod that is %s, in both roles', (_, rest) => {
    expect(
      contradicted(worldOf(closed, { pods: withWeb(rest) }), { [`${outside} 10.0.0.1 TCP/80`]: false }),
    ).toEqual([]);
    expect(
      contradicted(worldOf(fromWeb, { pods: withWeb(rest) }), { '10.0.0.1 shop/api TCP/80': true }),
    ).toEqual([]);
  });

  it('gives the address of a completed pod to the pod that has it now', () => {
    const job = pod('shop/job', ['10.0.0.1'], { phase: 'Succeeded', labels: { app: 'job' } });
    const world = worldOf({ podSelector: { matchLabels: { app: 'job' } } }, { pods: [job, web, api] });
    expect(contradicted(world, { 'shop/api shop/web TCP/80': true })).toEqual([]);
    expect(
      contradicted(worldOf({ podSelector: { matchLabels: { app: 'web' } } }, { pods: [job, web, api] }), {
        'shop/api shop/web TCP/80': false,
      }),
    ).toEqual([]);
  });

  it('holds a packet to the policies of both pods while two have its address', () => {
    const old = pod('shop/old', ['10.0.0.1'], { terminating: true, labels: { app: 'old' } });
    const shared = { pods: [old, web, api] };
    expect(
      contradicted(worldOf({ podSelector: { matchLabels: { app: 'old' } } }, shared), {
        'shop/api 10.0.0.1 TCP/80': false,
      }),
    ).toEqual([]);
    expect(
      contradicted(worldOf({ podSelector: { matchLabels: { app: 'web' } } }, shared), {
        'shop/api 10.0.0.1 TCP/80': false,
      }),
    ).toEqual([]);
    expect(
      contradicted(
        worldOf(
          {
            podSelector: { matchLabels: { app: 'api' } },
            ingress: [{ from: [{ podSelector: { matchLabels: { app: 'old' } } }] }],
          },
          shared,
        ),
        {
          '10.0.0.1 shop/api TCP/80': true,
        },
      ),
    ).toEqual([]);
  });

  it('judges a pod by its new address only, and not at all without one', () => {
    expect(
      contradicted(worldOf(closed, { pods: withWeb({ addresses: [{ family: 'IPv4', ip: '10.0.0.9' }] }) }), {
        '10.0.0.1 10.0.0.1 TCP/80': true,
        '203.0.113.7 10.0.0.9 TCP/80': false,
      }),
    ).toEqual([]);
    expect(
      contradicted(worldOf(closed, { pods: withWeb({ addresses: [] }) }), {
        '203.0.113.7 10.0.0.1 TCP/80': true,
      }),
    ).toEqual([]);
  });
});

describe('names', () => {
  it('keeps policies apart whose long names differ at the end only', () => {
    const long = `${'a'.repeat(63)}.`.repeat(3) + 'b'.repeat(60);
    const world = worldOf(
      {},
      {
        policies: [
          policy(`shop/${long}1`, {}),
          policy(`shop/${long}2`, { ingress: [{ ports: [{ port: 80 }] }] }),
        ],
      },
    );
    expect(judge(world, `${outside} shop/api TCP/80`).ingress).toEqual({
      outcome: 'allowed',
      rules: [{ policy: `shop/${long}2`, direction: 'Ingress', index: 0 }],
    });
  });

  it('does not let a policy reach into another namespace, even one that is gone', () => {
    expect(
      contradicted(worldOf({}, { policies: [policy('gone/policy', {})] }), {
        'shop/web shop/api TCP/80': true,
        'shop/web bank/vault TCP/80': true,
      }),
    ).toEqual([]);
  });
});
