import { expect, test } from 'vitest';
import type { Node } from '../../pkg/api/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { nodeDiagnostics } from './node-diagnostic.ts';
import { nodeView } from './node-view.ts';

const node: Node = {
  kind: 'Node',
  namespace: '',
  uid: '',
  name: 'node-1',
  addresses: ['192.168.0.2', '192.168.0.3', 'fd00::2'],
  podCIDRs: ['10.244.1.0/24'],
  zone: 'a',
  beingDeleted: false,
  toBeDeletedTaint: false,
};

test('takes the first address of each family, zone and pod ranges from the Node', () => {
  expect(nodeView('node-1', node, ['127.0.0.1'])).toEqual({
    topology: { nodeName: 'node-1', zone: 'a' },
    podCIDRs: ['10.244.1.0/24'],
    nodeIPs: { IPv4: '192.168.0.2', IPv6: 'fd00::2' },
    interfaceAddresses: ['127.0.0.1'],
  });
});

test.each([
  ['192.168.0.9', { IPv4: '192.168.0.9', IPv6: 'fd00::2' }],
  ['fd00::9', { IPv4: '192.168.0.2', IPv6: 'fd00::9' }],
  ['0.0.0.0', { IPv4: '192.168.0.2', IPv6: 'fd00::2' }],
  ['::', { IPv4: '192.168.0.2', IPv6: 'fd00::2' }],
])('puts the bind address %s before the addresses of its family', (bindAddress, nodeIPs) => {
  expect(nodeView('node-1', node, [], bindAddress).nodeIPs).toEqual(nodeIPs);
});

test('does without a Node', () => {
  expect(nodeView('node-1', undefined, ['127.0.0.1'])).toEqual({
    topology: { nodeName: 'node-1', zone: undefined },
    podCIDRs: [],
    nodeIPs: {},
    interfaceAddresses: ['127.0.0.1'],
  });
});

test('warns of a Node that is not there, and names those that are', () => {
  const store = new Store();
  const message = (): string | undefined => nodeDiagnostics(store, 'node-1')[0]?.message;
  expect(message()).toContain('(no Node at all)');
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) store.upsert({ ...node, name });
  expect(message()).toContain('(only a, b, c, d, e and 2 more)');
  store.upsert(node);
  expect(message()).toBeUndefined();
});
