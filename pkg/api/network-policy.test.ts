import { describe, expect, it } from 'vitest';
import { decoded, problemsOf, wire } from '../../test/support/wire-objects.ts';
import { decodeObject } from './decode.ts';

type Json = Readonly<Record<string, unknown>>;

const everything = { matchLabels: {}, matchExpressions: [] };
const both = ['Ingress', 'Egress'];

function policy(spec: Json) {
  return decoded('NetworkPolicy', { spec });
}

/** The one ingress rule. */
function rule(raw: unknown) {
  const { object, problems } = policy({ ingress: [raw] });
  return { rule: object.ingress[0], problems };
}

function peers(...from: readonly unknown[]) {
  const result = rule({ from });
  return { peers: result.rule?.peers, problems: result.problems };
}

function ports(...list: readonly unknown[]) {
  const result = rule({ ports: list });
  return { ports: result.rule?.ports, problems: result.problems };
}

describe('a NetworkPolicy', () => {
  it('keeps everything that is said', () => {
    const { object, problems } = policy({
      podSelector: {
        matchLabels: { app: 'web' },
        matchExpressions: [
          { key: 'tier', operator: 'In', values: ['a', 'b'] },
          { key: 'canary', operator: 'DoesNotExist' },
        ],
      },
      policyTypes: ['Egress', 'Ingress'],
      ingress: [
        { from: [{ podSelector: { matchLabels: { app: 'db' } } }], ports: [{ protocol: 'UDP', port: 53 }] },
      ],
      egress: [{ to: [{ ipBlock: { cidr: 'FD00::/16', except: ['fd00:0:1::/48'] } }] }],
    });
    expect(problems).toEqual([]);
    expect(object).toEqual({
      kind: 'NetworkPolicy',
      namespace: 'shop',
      name: 'web',
      podSelector: {
        matchLabels: { app: 'web' },
        matchExpressions: [
          { key: 'tier', operator: 'In', values: ['a', 'b'] },
          { key: 'canary', operator: 'DoesNotExist' },
        ],
      },
      policyTypes: both,
      ingress: [
        {
          peers: [
            {
              kind: 'pods',
              namespaceSelector: undefined,
              podSelector: { matchLabels: { app: 'db' }, matchExpressions: [] },
            },
          ],
          ports: [{ kind: 'range', protocol: 'UDP', first: 53, last: 53 }],
        },
      ],
      egress: [
        { peers: [{ kind: 'ipBlock', cidr: 'fd00::/16', except: ['fd00:0:1::/48'] }], ports: undefined },
      ],
    });
  });

  it.each([
    ['nothing said', {}, ['Ingress']],
    ['an egress rule', { egress: [{}] }, both],
    ['an empty egress, which does not count', { egress: [] }, ['Ingress']],
    ['an empty list', { policyTypes: [], egress: [{}] }, both],
    ['Egress only', { policyTypes: ['Egress'] }, ['Egress']],
    ['Ingress twice', { policyTypes: ['Ingress', 'Ingress'] }, ['Ingress']],
  ])('fills in its types as the API server does: %s', (_case, spec, types) => {
    const { object, problems } = policy(spec);
    expect(object.policyTypes).toEqual(types);
    expect(object.podSelector).toEqual(everything);
    expect(problems).toEqual([]);
  });

  it.each([
    ['an unknown type', { policyTypes: ['Ingress', 'egress'] }, 'error spec.policyTypes[1]'],
    ['a type that is no string', { policyTypes: [1] }, 'error spec.policyTypes[0]'],
    ['types that are no list', { policyTypes: 'Ingress' }, 'error spec.policyTypes'],
    ['an egress that is no list', { egress: { to: [] } }, 'error spec.egress'],
  ])('counts for both directions with %s', (_case, spec, problem) => {
    const { object, problems } = policy(spec);
    expect(object.policyTypes).toEqual(both);
    expect(problems).toEqual([problem]);
  });

  it('drops the rules of a direction that it does not have', () => {
    const { object, problems } = policy({ policyTypes: ['Ingress'], egress: [{}], ingress: [{}] });
    expect(object).toMatchObject({ ingress: [{ peers: undefined, ports: undefined }], egress: [] });
    expect(problems).toEqual(['warning spec.egress']);
  });

  it.each([
    ['no spec', undefined],
    ['a spec that is a list', []],
    ['a spec that is text', 'deny'],
  ])('closes its whole namespace with %s', (_case, spec) => {
    const result = decodeObject(wire('NetworkPolicy', { spec }));
    expect(result).toMatchObject({
      outcome: 'object',
      object: { podSelector: everything, policyTypes: both, ingress: [], egress: [] },
    });
    expect(problemsOf(result)).toEqual(['error spec']);
  });

  it.each([
    ['text', 'app=web', ''],
    ['labels that are no strings', { matchLabels: { app: 1 } }, '.matchLabels.app'],
    ['labels that are a list', { matchLabels: ['app'] }, '.matchLabels'],
    ['a misspelt field', { matchlabels: { app: 'web' } }, '.matchlabels'],
    ['expressions that are no list', { matchExpressions: {} }, '.matchExpressions'],
    ['an expression that is no object', { matchExpressions: ['x'] }, '.matchExpressions[0]'],
    [
      'an unknown operator',
      { matchExpressions: [{ key: 'a', operator: 'Gt', values: ['1'] }] },
      '.matchExpressions[0].operator',
    ],
    ['no operator', { matchExpressions: [{ key: 'a' }] }, '.matchExpressions[0].operator'],
    ['no key', { matchExpressions: [{ operator: 'Exists' }] }, '.matchExpressions[0].key'],
    [
      'In without values',
      { matchExpressions: [{ key: 'a', operator: 'In' }] },
      '.matchExpressions[0].values',
    ],
    [
      'NotIn without values',
      { matchExpressions: [{ key: 'a', operator: 'NotIn', values: [] }] },
      '.matchExpressions[0].values',
    ],
    [
      'Exists with values',
      { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['x'] }] },
      '.matchExpressions[0].values',
    ],
    [
      'a value that is no string',
      { matchExpressions: [{ key: 'a', operator: 'In', values: ['x', 1] }] },
      '.matchExpressions[0].values[1]',
    ],
    [
      'a misspelt field in an expression',
      { matchExpressions: [{ key: 'a', operator: 'In', values: ['x'], value: 'y' }] },
      '.matchExpressions[0].value',
    ],
  ])('selects the whole namespace when its podSelector is unreadable: %s', (_case, podSelector, where) => {
    const { object, problems } = policy({ podSelector });
    expect(object.podSelector).toEqual(everything);
    expect(problems).toEqual([`error spec.podSelector${where}`]);
  });

  it('warns of fields of the spec that it does not know', () => {
    expect(policy({ podselector: { matchLabels: {} } }).problems).toEqual(['warning spec.podselector']);
  });
});

describe('a rule', () => {
  it.each([
    ['nothing', {}],
    ['empty lists', { from: [], ports: [] }],
    ['null', { from: null, ports: null }],
  ])('allows everybody with %s', (_case, raw) => {
    expect(rule(raw)).toEqual({ rule: { peers: undefined, ports: undefined }, problems: [] });
  });

  it.each([
    ['is null', null, ''],
    ['is text', 'all', ''],
    ['is a list', [], ''],
    ['has a misspelt field', { form: [{ podSelector: {} }] }, '.form'],
    ['has the field of the other direction', { to: [{ podSelector: {} }] }, '.to'],
  ])('is left out when it %s', (_case, raw, where) => {
    expect(rule(raw)).toEqual({ rule: undefined, problems: [`error spec.ingress[0]${where}`] });
  });

  it('allows nobody when its peers are no list', () => {
    expect(rule({ from: { podSelector: {} } })).toEqual({
      rule: { peers: [], ports: undefined },
      problems: ['error spec.ingress[0].from'],
    });
  });

  it('allows no port when its ports are no list', () => {
    expect(rule({ ports: 80 })).toEqual({
      rule: { peers: undefined, ports: [] },
      problems: ['error spec.ingress[0].ports'],
    });
  });

  it('leaves the other rules alone', () => {
    const { object } = policy({ ingress: [null, { ports: [{ port: 80 }] }] });
    expect(object.ingress).toHaveLength(1);
  });
});

describe('a peer', () => {
  it.each([
    [
      'podSelector',
      { podSelector: {} },
      { kind: 'pods', podSelector: everything, namespaceSelector: undefined },
    ],
    [
      'namespaceSelector',
      { namespaceSelector: {} },
      { kind: 'pods', podSelector: undefined, namespaceSelector: everything },
    ],
    [
      'both',
      { podSelector: {}, namespaceSelector: {} },
      { kind: 'pods', podSelector: everything, namespaceSelector: everything },
    ],
    [
      'a null selector, which is none',
      { podSelector: null, namespaceSelector: {} },
      { kind: 'pods', podSelector: undefined, namespaceSelector: everything },
    ],
    ['ipBlock', { ipBlock: { cidr: '0.0.0.0/0' } }, { kind: 'ipBlock', cidr: '0.0.0.0/0', except: [] }],
  ])('may have %s', (_case, raw, peer) => {
    expect(peers(raw)).toEqual({ peers: [peer], problems: [] });
  });

  it.each([
    ['nothing', {}, ''],
    ['a misspelt field', { podSelector: {}, namespaceselector: {} }, '.namespaceselector'],
    [
      'an unreadable podSelector',
      { podSelector: { matchLabels: { a: 1 } }, namespaceSelector: {} },
      '.podSelector.matchLabels.a',
    ],
    ['an unreadable namespaceSelector', { podSelector: {}, namespaceSelector: 'x' }, '.namespaceSelector'],
    ['ipBlock and a selector', { ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} }, '.ipBlock'],
    ['ipBlock that is text', { ipBlock: '10.0.0.0/8' }, '.ipBlock'],
    ['ipBlock without cidr', { ipBlock: {} }, '.ipBlock.cidr'],
    ['cidr with leading zeros', { ipBlock: { cidr: '010.0.0.0/8' } }, '.ipBlock.cidr'],
    ['cidr that is an address', { ipBlock: { cidr: '10.0.0.1' } }, '.ipBlock.cidr'],
    [
      'unreadable exception',
      { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/33'] } },
      '.ipBlock.except[0]',
    ],
    [
      'exceptions that are no list',
      { ipBlock: { cidr: '10.0.0.0/8', except: '10.1.0.0/16' } },
      '.ipBlock.except',
    ],
    [
      'exception elsewhere',
      { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '11.0.0.0/16'] } },
      '.ipBlock.except[1]',
    ],
    [
      'exception of the other family',
      { ipBlock: { cidr: '10.0.0.0/8', except: ['fd00::/8'] } },
      '.ipBlock.except[0]',
    ],
    [
      'exception as large as the block',
      { ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.0.0/8'] } },
      '.ipBlock.except[0]',
    ],
    ['misspelt exception', { ipBlock: { cidr: '10.0.0.0/8', expect: ['10.1.0.0/16'] } }, '.ipBlock.expect'],
    ['no shape', 'everybody', ''],
  ])('is left out with %s, and the others stay', (_case, raw, where) => {
    const good = { podSelector: {} };
    const result = peers(raw, good);
    expect(result.peers).toEqual([{ kind: 'pods', podSelector: everything, namespaceSelector: undefined }]);
    expect(result.problems).toEqual([`error spec.ingress[0].from[0]${where}`]);
  });

  it('that is the only one and unreadable leaves nobody, not everybody', () => {
    expect(peers({}).peers).toEqual([]);
  });

  it('may have host bits set, with a warning', () => {
    const result = peers({ ipBlock: { cidr: '10.0.0.5/24', except: ['10.0.0.130/25'] } });
    expect(result.peers).toEqual([{ kind: 'ipBlock', cidr: '10.0.0.0/24', except: ['10.0.0.128/25'] }]);
    expect(result.problems).toEqual([
      'warning spec.ingress[0].from[0].ipBlock.cidr',
      'warning spec.ingress[0].from[0].ipBlock.except[0]',
    ]);
  });
});

describe('a policy port', () => {
  it.each([
    ['nothing', {}, { kind: 'any', protocol: 'TCP' }],
    ['a protocol', { protocol: 'UDP' }, { kind: 'any', protocol: 'UDP' }],
    ['a number', { port: 80 }, { kind: 'range', protocol: 'TCP', first: 80, last: 80 }],
    [
      'a range',
      { protocol: 'SCTP', port: 80, endPort: 90 },
      { kind: 'range', protocol: 'SCTP', first: 80, last: 90 },
    ],
    ['a range of one', { port: 80, endPort: 80 }, { kind: 'range', protocol: 'TCP', first: 80, last: 80 }],
    ['a name', { port: 'http' }, { kind: 'named', protocol: 'TCP', name: 'http' }],
  ])('may have %s', (_case, raw, port) => {
    expect(ports(raw)).toEqual({ ports: [port], problems: [] });
  });

  it.each([
    ['protocol', { protocol: 'ICMP', port: 80 }, '.protocol'],
    ['number 0', { port: 0 }, '.port'],
    ['number 65536', { port: 65_536 }, '.port'],
    ['number in quotes', { port: '80' }, '.port'],
    ['name of 16 characters', { port: 'abcdefghijklmnop' }, '.port'],
    ['name with two hyphens', { port: 'a--b' }, '.port'],
    ['flag as port', { port: true }, '.port'],
    ['endPort below port', { port: 80, endPort: 79 }, '.endPort'],
    ['endPort without port', { endPort: 90 }, '.endPort'],
    ['endPort with a name', { port: 'http', endPort: 90 }, '.endPort'],
    ['endPort 65536', { port: 80, endPort: 65_536 }, '.endPort'],
    ['field', { port: 80, endport: 90 }, '.endport'],
    ['shape', 80, ''],
  ])('is left out for a bad %s, and the others stay', (_case, raw, where) => {
    const result = ports(raw, { port: 443 });
    expect(result.ports).toEqual([{ kind: 'range', protocol: 'TCP', first: 443, last: 443 }]);
    expect(result.problems).toEqual([`error spec.ingress[0].ports[0]${where}`]);
  });

  it('that is the only one and unreadable leaves no port, not every port', () => {
    expect(ports({ port: 0 }).ports).toEqual([]);
  });
});
