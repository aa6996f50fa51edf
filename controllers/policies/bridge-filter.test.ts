import type { NetworkInterfaceInfo } from 'node:os';
import { expect, test } from 'vitest';
import { pod } from '../../test/support/policy-world.ts';
import { BridgeFilter } from './bridge-filter.ts';

const problem = 'bridge-nf-call-iptables could not be set to 1';

function node(addresses: Readonly<Record<string, string>>, pods = [pod('shop/web', ['10.244.1.10'])]) {
  const lines: string[] = [];
  const setUps: (readonly string[])[] = [];
  const filter = new BridgeFilter({
    setUp: () => Promise.resolve(setUps.shift() ?? []),
    localPods: () => pods,
    interfaces: () =>
      Object.fromEntries(
        Object.entries(addresses).map(([device, cidr]) => [device, [{ cidr } as NetworkInterfaceInfo]]),
      ),
    log: { error: (line) => lines.push(`error ${line}`), info: (line) => lines.push(`info ${line}`) },
    isOther: (device) => device.startsWith('eth'),
  });
  return { filter, lines, setUps };
}

test('tells once that pods on a bridge are not held, and once that they are again', async () => {
  const { filter, lines, setUps } = node({ cni0: '10.244.1.1/24', lo: '127.0.0.1/8' });
  setUps.push([problem], [problem], []);
  expect([await filter.ensure(), await filter.ensure(), await filter.ensure()]).toEqual([false, false, true]);
  expect(lines).toEqual([
    `error not ready, policies don't hold between pods on cni0: ${problem}`,
    'info policies hold between pods on one bridge again',
  ]);
});

test.each([
  ['the pods are routed', { eth0: '172.18.0.11/24' }, undefined],
  ['the pods are in the network of a card that is no bridge', { eth0: '10.244.1.1/16' }, undefined],
  [
    'only pods in the network of the node are there',
    { cni0: '10.244.1.1/24' },
    [pod('kube-system/proxy', ['10.244.1.1'], { hostNetwork: true })],
  ],
])('has nothing to do where %s', async (_, addresses, pods) => {
  const { filter, lines, setUps } = node(addresses, pods);
  setUps.push([problem]);
  expect(await filter.ensure()).toBe(true);
  expect(lines).toEqual([]);
});
