import { expect, test } from 'vitest';
import type { Node } from '../../pkg/api/index.ts';
import { recordedLog } from '../../test/support/recorded-log.ts';
import { checkNode, type NodeCheckConfig, type NodeCheckOptions, nodeProblems } from './node-checks.ts';

const config: NodeCheckConfig = {
  parts: ['policies', 'services'],
  bindAddress: '0.0.0.0',
  detectLocalMode: 'ClusterCIDR',
  clusterCidr: ['10.244.0.0/16'],
  nodeportAddresses: ['primary'],
  iptablesLocalhostNodeports: true,
  healthzBindAddress: '0.0.0.0:10256',
  metricsBindAddress: '127.0.0.1:10249',
};
const node: Node = {
  kind: 'Node',
  namespace: '',
  uid: '',
  name: 'node-a',
  addresses: ['192.0.2.7'],
  podCIDRs: ['10.244.1.0/24'],
  zone: undefined,
  beingDeleted: false,
  toBeDeletedTaint: false,
};
const ipv6Node = { ...node, addresses: ['2001:db8::7'], podCIDRs: ['fd00:1::/64'] };

interface Changes extends Partial<NodeCheckConfig> {
  readonly node?: Node | undefined;
  readonly families?: NodeCheckOptions['families'];
}

/** `severity message` of each problem. */
function problems({ node: one = node, families = ['IPv4', 'IPv6'], ...changes }: Changes): readonly string[] {
  return nodeProblems({ config: { ...config, ...changes }, node: one, families }).map(
    ({ severity, message }) => `${severity} ${message}`,
  );
}

test('nothing is said of what fits', () => {
  expect(problems({})).toEqual([]);
  expect(problems({ families: ['IPv4'] })).toEqual([]);
});

test.each([
  ['a CIDR of the other family beside the primary address', ['fd00::/64', 'primary']],
  ['localhost', ['localhost']],
  ['all', ['all']],
  ['localhost and a CIDR of the other family', ['localhost', 'fd00::/64']],
])('nothing is said of node ports on %s', (_case, nodeportAddresses) => {
  expect(problems({ nodeportAddresses, clusterCidr: ['10.244.0.0/16', 'fd00::/48'] })).toEqual([]);
});

const cases: readonly [string, Changes, RegExp][] = [
  ['node ports on every address', { nodeportAddresses: [] }, /^advice node ports answer on every address/],
  [
    'node port ranges of the other family',
    { nodeportAddresses: ['2001:db8::/64'] },
    /^warning .*IPv4, but --nodeport-addresses has only IPv6 ranges/,
  ],
  [
    'node port ranges of one family on a dual-stack node',
    { nodeportAddresses: ['192.0.2.0/24'], node: { ...node, addresses: ['192.0.2.7', '2001:db8::7'] } },
    /^warning .*dual-stack.*IPv6 node ports answer on every address/,
  ],
  [
    'the primary address of a node that has it in one of two families',
    { clusterCidr: ['10.244.0.0/16', 'fd00::/48'] },
    /^warning .*dual-stack.*IPv6 node ports answer on every address/,
  ],
  [
    'the primary address of a node that has none',
    { node: { ...node, addresses: [] } },
    /^warning --nodeport-addresses: the Node has no address, so node ports answer on every address/,
  ],
  [
    'loopback addresses that are switched off',
    { nodeportAddresses: ['primary', 'localhost'], iptablesLocalhostNodeports: false },
    /^warning .*loopback addresses.*--iptables-localhost-nodeports=false/,
  ],
  [
    'cluster CIDRs of the other family',
    { clusterCidr: ['fd00::/48'] },
    /^warning .*IPv4, but --cluster-cidr has only IPv6 ranges/,
  ],
  [
    'cluster CIDRs of the only other family',
    { clusterCidr: ['fd00::/48'], families: ['IPv4'] },
    /^fatal .*--cluster-cidr has only IPv6 ranges/,
  ],
  [
    'cluster CIDRs of the other family that are not used',
    { clusterCidr: ['fd00::/48'], families: ['IPv4'], detectLocalMode: 'BridgeInterface' },
    /^warning .*--cluster-cidr/,
  ],
  [
    'pod CIDRs of the other family',
    { node: { ...node, podCIDRs: ['fd00:1::/64'] } },
    /^warning .*spec\.podCIDRs has only IPv6 ranges/,
  ],
  [
    'pod CIDRs of the other family that pods are told by',
    { node: { ...node, podCIDRs: ['fd00:1::/64'] }, detectLocalMode: 'NodeCIDR' },
    /^fatal .*spec\.podCIDRs has only IPv6 ranges.*NodeCIDR/,
  ],
  [
    'a server on the other family',
    { families: ['IPv4'], metricsBindAddress: '[::1]:10249' },
    /^warning the node has IPv4 only, but --metrics-bind-address is \[::1\]:10249/,
  ],
  ['a family that the node can not do', { families: ['IPv4'], node: ipv6Node }, /^fatal no support for IPv6/],
  [
    'a bind address of a family that the node can not do',
    { families: ['IPv6'], bindAddress: '192.0.2.7', node: ipv6Node },
    /^fatal no support for IPv4/,
  ],
];

test.each(cases)('%s: one word', (_case, changes, line) => {
  const found = problems(changes);
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(line);
});

test('an IPv6 node is measured by its own family', () => {
  expect(problems({ node: ipv6Node, clusterCidr: ['fd00::/48'] })).toEqual([]);
  expect(problems({ node: ipv6Node, bindAddress: '::', clusterCidr: ['fd00::/48'] })).toEqual([]);
  expect(problems({ node: ipv6Node, bindAddress: '192.0.2.7', clusterCidr: ['fd00::/48'] })).toHaveLength(2);
});

test('advice is for debugging, warnings are for everybody, and the fatal ends it', () => {
  const log = recordedLog();
  const changed = { ...config, nodeportAddresses: [], clusterCidr: ['fd00::/48'] };
  checkNode({ config: changed, node, families: ['IPv4', 'IPv6'] }, log);
  expect(log.lines.map((line) => line.split(' ')[0])).toEqual(['DEBUG', 'WARN']);
  expect(() => checkNode({ config: changed, node, families: ['IPv4'] }, log)).toThrow(
    expect.objectContaining({ code: 'WEIR_BAD_FLAG' }) as Error,
  );
});

test('policies alone are not checked for what concerns Services', () => {
  const services = { nodeportAddresses: [], clusterCidr: ['fd00::/48'] } as const;
  expect(problems(services)).not.toEqual([]);
  expect(problems({ ...services, parts: ['policies'] })).toEqual([]);
  expect(problems({ parts: ['policies'], families: ['IPv6'] })).toEqual([
    expect.stringMatching(/^fatal no support for IPv4/),
  ]);
});
