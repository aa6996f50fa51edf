import { describe, expect, test } from 'vitest';
import { chainName } from '../../kernel/index.ts';
import { DispatchTree } from './dispatch-tree.ts';
import { Frontends } from './frontends.ts';
import type { Frontend } from './service-fragment.ts';

function trees(): {
  readonly frontends: Frontends;
  readonly addresses: () => string;
  readonly nodePorts: () => string;
} {
  const make = (): DispatchTree =>
    new DispatchTree({ chainOf: () => chainName('T'), matchesOf: () => [], wasSplit: () => false });
  const [addresses, nodePorts] = [make(), make()];
  let [addressRules, nodePortRules] = ['', ''];
  return {
    frontends: new Frontends('IPv4', addresses, nodePorts),
    addresses: () => (addressRules = addresses.update()?.rootRules ?? addressRules),
    nodePorts: () => (nodePortRules = nodePorts.update()?.rootRules ?? nodePortRules),
  };
}

function frontend(target: string, isClusterIP = false): Frontend {
  return { ip: '192.0.2.1', protocol: 'TCP', port: 80, target: chainName(target), isClusterIP };
}

/** All orders of a list. */
function orders<Item>(list: readonly Item[]): readonly (readonly Item[])[] {
  if (list.length < 2) return [list];
  return list.flatMap((item, index) => orders(list.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

describe('Frontends', () => {
  test('gives an address to the Service that claims it', () => {
    const { frontends, addresses } = trees();
    frontends.claimAddress('a/x', frontend('EXT-X'));
    expect(addresses()).toBe('-d 192.0.2.1/32 -p tcp -m tcp --dport 80 -j EXT-X');
    expect(frontends.conflicts()).toEqual([]);
  });

  test('gives an address that several claim to the first by name, in whatever order they come', () => {
    for (const order of orders(['a/x', 'b/y', 'c/z'])) {
      const { frontends, addresses } = trees();
      for (const owner of order) frontends.claimAddress(owner, frontend(`EXT-${owner.slice(2)}`));
      expect(addresses()).toBe('-d 192.0.2.1/32 -p tcp -m tcp --dport 80 -j EXT-x');
      expect(frontends.conflicts()).toEqual([
        { holder: 'a/x', loser: 'b/y', what: 'TCP 192.0.2.1:80' },
        { holder: 'a/x', loser: 'c/z', what: 'TCP 192.0.2.1:80' },
      ]);
    }
  });

  test('lets nobody take a cluster IP from its Service by naming it as external IP', () => {
    for (const order of orders(['a/thief', 'default/kubernetes'])) {
      const { frontends, addresses } = trees();
      for (const owner of order) {
        const isOwner = owner === 'default/kubernetes';
        frontends.claimAddress(owner, frontend(isOwner ? 'SVC-OWNER' : 'EXT-THIEF', isOwner));
      }
      expect(addresses()).toMatch(/ -j SVC-OWNER$/u);
      expect(frontends.conflicts()).toEqual([
        { holder: 'default/kubernetes', loser: 'a/thief', what: 'TCP 192.0.2.1:80' },
      ]);
    }
  });

  test('passes an address on to the next when its holder lets go', () => {
    const { frontends, addresses } = trees();
    frontends.claimAddress('a/x', frontend('EXT-X'));
    frontends.claimAddress('b/y', frontend('EXT-Y'));
    frontends.releaseAddress('a/x', frontend('EXT-X'));
    expect(addresses()).toMatch(/ -j EXT-Y$/u);
    expect(frontends.conflicts()).toEqual([]);
    frontends.releaseAddress('b/y', frontend('EXT-Y'));
    expect(addresses()).toBe('');
  });

  test('leaves a holder alone when a loser lets go', () => {
    const { frontends, addresses } = trees();
    frontends.claimAddress('a/x', frontend('EXT-X'));
    frontends.claimAddress('b/y', frontend('EXT-Y'));
    frontends.releaseAddress('b/y', frontend('EXT-Y'));
    expect(addresses()).toMatch(/ -j EXT-X$/u);
    expect(frontends.conflicts()).toEqual([]);
  });

  test('takes a second claim of the same Service for a change of mind', () => {
    const { frontends, addresses } = trees();
    frontends.claimAddress('a/x', frontend('EXT-X'));
    frontends.claimAddress('a/x', frontend('FW-X'));
    expect(addresses()).toMatch(/ -j FW-X$/u);
    expect(frontends.conflicts()).toEqual([]);
  });

  test('keeps ports and protocols of one address apart', () => {
    const { frontends, addresses } = trees();
    frontends.claimAddress('a/x', frontend('A'));
    frontends.claimAddress('b/x', { ...frontend('B'), protocol: 'UDP' });
    frontends.claimAddress('c/x', { ...frontend('C'), port: 81 });
    expect(addresses().split('\n')).toHaveLength(3);
    expect(frontends.conflicts()).toEqual([]);
  });

  test('does the same for node ports', () => {
    for (const order of orders(['a/x', 'b/y'])) {
      const { frontends, nodePorts } = trees();
      for (const owner of order) {
        frontends.claimNodePort(owner, {
          protocol: 'UDP',
          port: 30_053,
          target: chainName(`EXT-${owner.slice(2)}`),
        });
      }
      expect(nodePorts()).toBe('-p udp -m udp --dport 30053 -j EXT-x');
      expect(frontends.conflicts()).toEqual([{ holder: 'a/x', loser: 'b/y', what: 'UDP node port 30053' }]);
      frontends.releaseNodePort('a/x', { protocol: 'UDP', port: 30_053 });
      expect(nodePorts()).toBe('-p udp -m udp --dport 30053 -j EXT-y');
    }
  });
});
