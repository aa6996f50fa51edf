import { describe, expect, it } from 'vitest';
import { namedPorts, namespace, pod, policy } from '../../../test/support/policy-world.ts';
import { type HintWorld, policyHints } from './policy-hints.ts';

const web = pod('shop/web', ['10.0.0.1'], { namedPorts: namedPorts('http=TCP/8080') });
const api = pod('shop/api', ['10.0.0.2']);
const dns = pod('kube-system/coredns', ['10.0.9.1'], {
  labels: { 'k8s-app': 'kube-dns' },
  namedPorts: namedPorts('dns=UDP/1053'),
});
const namespaces = [namespace('shop'), namespace('kube-system')];
const isolated = { podSelector: {}, policyTypes: ['Egress'] };
const toDNS = (ports: unknown, app = 'kube-dns') => ({
  to: [
    {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
      podSelector: { matchLabels: { 'k8s-app': app } },
    },
  ],
  ports,
});

/** Hints as `namespace/name field: message`. */
function hints(specs: Readonly<Record<string, unknown>>, world: Partial<HintWorld> = {}): readonly string[] {
  const policies = Object.entries(specs).map(([path, spec]) => policy(path, spec));
  const found = policyHints({
    policies,
    pods: [web, api],
    namespaces,
    serviceRanges: ['10.96.0.0/12', 'fd96::/108'],
    ...world,
  });
  expect(found.every(({ severity, kind }) => severity === 'hint' && kind === 'NetworkPolicy')).toBe(true);
  return found.map(({ namespace, name, field, message }) => `${namespace}/${name} ${field}: ${message}`);
}

describe('pods without DNS', () => {
  it('are named with the policy that isolates them and what to add', () => {
    expect(hints({ 'shop/deny': isolated })).toEqual([
      'shop/deny spec.egress: leaves 2 pods (api and others) without DNS: no policy allows egress to UDP port 53; add an egress rule to ' +
        'namespaceSelector {kubernetes.io/metadata.name: kube-system} with podSelector {k8s-app: kube-dns}, ports UDP 53 and TCP 53',
    ]);
  });

  it('are put down to the policy that denies, not to one beside it that allows something', () => {
    const allow = { ...isolated, egress: [{ ports: [{ port: 443 }] }] };
    expect(hints({ 'shop/allow': allow, 'shop/deny': isolated })).toEqual([
      expect.stringMatching(/^shop\/deny spec\.egress: leaves 2 pods/),
    ]);
    expect(hints({ 'shop/allow': allow })).toEqual([
      expect.stringMatching(/^shop\/allow spec\.egress: leaves 2 pods/),
    ]);
  });

  it.each([
    ['UDP 53 to the DNS pods', toDNS([{ protocol: 'UDP', port: 53 }])],
    ['everything to everybody', {}],
    ['UDP to everybody', { ports: [{ protocol: 'UDP' }] }],
    ['a range of UDP that holds 53', { ports: [{ protocol: 'UDP', port: 50, endPort: 60 }] }],
    [
      'a resolver outside',
      { to: [{ ipBlock: { cidr: '192.0.2.53/32' } }], ports: [{ protocol: 'UDP', port: 53 }] },
    ],
  ])('are none when a rule of any policy allows %s', (_, rule) => {
    expect(hints({ 'shop/deny': isolated, 'shop/dns': { ...isolated, egress: [rule] } })).toEqual([]);
  });

  it('are none under ingress isolation', () => {
    expect(hints({ 'shop/deny': { podSelector: {} } })).toEqual([]);
  });

  it('are found by trying the DNS pods where these are known, at the port they listen on', () => {
    const pods = [web, dns];
    const egressTo = (rule: unknown) => hints({ 'shop/out': { ...isolated, egress: [rule] } }, { pods });
    expect(
      egressTo(
        toDNS([
          { protocol: 'UDP', port: 1053 },
          { protocol: 'UDP', port: 53 },
        ]),
      ),
    ).toEqual([]);
    expect(egressTo(toDNS([{ protocol: 'UDP', port: 'dns' }]))).toEqual([]);
    expect(egressTo(toDNS(undefined))).toEqual([]);
    expect(egressTo(toDNS(undefined, 'dns'))).toEqual([
      expect.stringMatching(/^shop\/out spec\.egress: leaves pod web without DNS/),
    ]);
    expect(egressTo(toDNS([{ port: 53 }]))).toEqual([expect.stringMatching(/without DNS/)]);
  });
});

describe('a policy that selects no pod', () => {
  it('is named, and nothing else is said about it', () => {
    expect(
      hints({
        'shop/none': {
          podSelector: { matchLabels: { app: 'wbe' } },
          ingress: [{ ports: [{ port: 'nothing' }] }],
        },
      }),
    ).toEqual(['shop/none spec.podSelector: selects no pod in namespace shop']);
  });

  it('is told apart from one that selects pods which policies do not apply to', () => {
    const pods = [{ ...web, hostNetwork: true }, api];
    expect(hints({ 'shop/host': { podSelector: { matchLabels: { app: 'web' } } } }, { pods })).toEqual([
      'shop/host spec.podSelector: selects only pods that policies do not apply to: 1 with hostNetwork, completed or without an address yet',
    ]);
  });
});

describe('a port name that no pod has', () => {
  it('is told for ingress of the selected pods', () => {
    const ingress = [{}, { ports: [{ port: 'http' }, { port: 'htpp' }, { port: 'http', protocol: 'UDP' }] }];
    expect(hints({ 'shop/p': { podSelector: {}, ingress } })).toEqual([
      'shop/p spec.ingress[1].ports[1].port: no pod that the policy selects has a TCP port named "htpp", so this port allows nothing',
      'shop/p spec.ingress[1].ports[2].port: no pod that the policy selects has a UDP port named "http", so this port allows nothing',
    ]);
  });

  it('is told for egress of the destinations', () => {
    const to = (app: string) => ({
      to: [{ podSelector: { matchLabels: { app } } }],
      ports: [{ port: 'http' }],
    });
    const egress = [
      to('web'),
      to('api'),
      { ports: [{ port: 'http' }] },
      { ports: [{ protocol: 'UDP', port: 53 }] },
    ];
    expect(hints({ 'shop/p': { ...isolated, egress } })).toEqual([
      'shop/p spec.egress[1].ports[0].port: no pod among the destinations of this rule has a TCP port named "http", so this port allows nothing',
    ]);
  });
});

describe('a block of Service addresses', () => {
  const dnsRule = { ports: [{ protocol: 'UDP', port: 53 }] };
  const block = (cidr: string, except: readonly string[] = []) => ({
    'shop/p': { ...isolated, egress: [dnsRule, { to: [{ ipBlock: { cidr, except } }] }] },
  });
  const told = (field: string, cidr: string) => [
    `shop/p spec.egress[1].to[0].ipBlock.${field}: ${cidr} covers Service addresses (10.96.0.0/12), which a policy never sees: ` +
      'it judges traffic by the address of the pod behind the Service; select the pods instead',
  ];

  it('is told, whether it is the range, a part of it or more', () => {
    expect(hints(block('10.96.0.0/12'))).toEqual(told('cidr', '10.96.0.0/12'));
    expect(hints(block('10.96.0.10/32'))).toEqual(told('cidr', '10.96.0.10/32'));
    expect(hints(block('10.64.0.0/10'))).toEqual(told('cidr', '10.64.0.0/10'));
  });

  it('is told of an exception too', () => {
    expect(hints(block('0.0.0.0/0', ['10.96.0.0/12']))).toEqual(told('except[0]', '10.96.0.0/12'));
  });

  it('is not told of a block that holds pods too, of everything, of other addresses, or without known ranges', () => {
    expect(hints(block('10.0.0.0/8'))).toEqual([]);
    expect(hints(block('0.0.0.0/0'))).toEqual([]);
    expect(hints(block('::/0'))).toEqual([expect.stringContaining('has an IPv6 address')]);
    expect(hints(block('192.0.2.0/24'))).toEqual([]);
    expect(hints(block('10.96.0.0/12'), { serviceRanges: [] })).toEqual([]);
  });
});

describe('a block of a family that no selected pod has', () => {
  const both = {
    podSelector: {},
    ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.0/24' } }, { ipBlock: { cidr: '2001:db8::/32' } }] }],
  };

  it('is told', () => {
    expect(hints({ 'shop/p': both })).toEqual([
      'shop/p spec.ingress[0].from[1].ipBlock.cidr: no pod that the policy selects has an IPv6 address, so 2001:db8::/32 matches nothing',
    ]);
  });

  it('is not told when one of them has it', () => {
    expect(hints({ 'shop/p': both }, { pods: [web, pod('shop/dual', ['10.0.0.5', 'fd00::5'])] })).toEqual([]);
  });
});

describe('hints', () => {
  it('stand in order of namespace, name and field', () => {
    const world = {
      pods: [web, pod('bank/vault', ['10.0.1.1'])],
      namespaces: [...namespaces, namespace('bank')],
    };
    const none = { podSelector: { matchLabels: { app: 'none' } } };
    const found = hints(
      { 'shop/b': none, 'shop/a': { ...isolated, egress: [{ ports: [{ port: 'x' }] }] }, 'bank/z': none },
      world,
    );
    expect(found.map((text) => text.split(':')[0])).toEqual([
      'bank/z spec.podSelector',
      'shop/a spec.egress',
      'shop/a spec.egress[0].ports[0].port',
      'shop/b spec.podSelector',
    ]);
  });
});
