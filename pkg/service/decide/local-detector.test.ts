import { describe, expect, test } from 'vitest';
import { type DetectLocalOptions, type LocalDetector, localDetector } from './local-detector.ts';

const options: DetectLocalOptions = {
  detectLocalMode: 'ClusterCIDR',
  clusterCIDRs: ['10.244.0.0/16', '10.245.0.0/16', 'fd00:10:244::/56'],
  bridgeInterface: 'cbr0',
  interfaceNamePrefix: 'cali',
};
const podCIDRs = ['10.244.3.0/24', 'fd00:10:244:3::/64', 'fd00:10:244:4::/64'];
const cidr = (text: string): LocalDetector => ({ kind: 'cidr', cidr: text });

describe('localDetector', () => {
  test.each<[string, Partial<DetectLocalOptions>, LocalDetector | undefined, LocalDetector | undefined]>([
    ['ClusterCIDR: the first CIDR of the family', {}, cidr('10.244.0.0/16'), cidr('fd00:10:244::/56')],
    [
      'ClusterCIDR: in canonical text, as the kernel prints it',
      { clusterCIDRs: ['10.244.1.2/16', 'FD00:10:0:0::/56'] },
      cidr('10.244.0.0/16'),
      cidr('fd00:10::/56'),
    ],
    [
      'ClusterCIDR: none for a family without',
      { clusterCIDRs: ['10.0.0.0/8'] },
      cidr('10.0.0.0/8'),
      undefined,
    ],
    [
      'ClusterCIDR: none for a range of all addresses, which tells nobody apart',
      { clusterCIDRs: ['10.1.2.3/0', '::/0'] },
      undefined,
      undefined,
    ],
    ['ClusterCIDR: none without any', { clusterCIDRs: [] }, undefined, undefined],
    [
      "NodeCIDR: the first of the node's pod CIDRs of the family",
      { detectLocalMode: 'NodeCIDR' },
      cidr('10.244.3.0/24'),
      cidr('fd00:10:244:3::/64'),
    ],
    [
      'BridgeInterface: the same for both families',
      { detectLocalMode: 'BridgeInterface' },
      { kind: 'bridge', name: 'cbr0' },
      { kind: 'bridge', name: 'cbr0' },
    ],
    [
      'BridgeInterface: none without a name',
      { detectLocalMode: 'BridgeInterface', bridgeInterface: '' },
      undefined,
      undefined,
    ],
    [
      'InterfaceNamePrefix: the same for both families',
      { detectLocalMode: 'InterfaceNamePrefix' },
      { kind: 'interface-prefix', prefix: 'cali' },
      { kind: 'interface-prefix', prefix: 'cali' },
    ],
    [
      'InterfaceNamePrefix: none with an empty prefix, which all interfaces have',
      { detectLocalMode: 'InterfaceNamePrefix', interfaceNamePrefix: '' },
      undefined,
      undefined,
    ],
  ])('%s', (_, changes, v4, v6) => {
    const all = { ...options, ...changes };
    expect(localDetector(all, podCIDRs, 'IPv4')).toEqual(v4);
    expect(localDetector(all, podCIDRs, 'IPv6')).toEqual(v6);
  });

  test('NodeCIDR: none for a range of all addresses', () => {
    const byNode: DetectLocalOptions = { ...options, detectLocalMode: 'NodeCIDR' };
    expect(localDetector(byNode, ['0.0.0.0/0', '::/0'], 'IPv4')).toBeUndefined();
    expect(localDetector(byNode, ['0.0.0.0/0', '::/0'], 'IPv6')).toBeUndefined();
  });

  test('NodeCIDR: none before the node has its pod CIDRs', () => {
    expect(localDetector({ ...options, detectLocalMode: 'NodeCIDR' }, [], 'IPv4')).toBeUndefined();
  });
});
