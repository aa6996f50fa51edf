import { expect, test } from 'vitest';
import { BuiltinChains } from '../kernel/index.ts';
import { canaryState, filterCanary, natCanary } from './canary-rules.ts';

test('the canary of nat is answered at another port, but for the first packet', () => {
  expect(natCanary('IPv4')).toEqual({
    jump: {
      table: 'nat',
      builtin: 'OUTPUT',
      rule: '-s 127.0.0.1/32 -d 127.0.0.1/32 -o lo -p udp -m comment --comment "weir canary" -m udp --dport 10249 -j WEIR-CANARY',
      target: 'WEIR-CANARY',
      position: 'reachable',
    },
    rules:
      '-m statistic --mode nth --every 2147483647 --packet 0 -j RETURN\n-p udp -j DNAT --to-destination 127.0.0.1:10256',
  });
  expect(natCanary('IPv6').jump.rule).toBe(
    '-s ::1/128 -d ::1/128 -o lo -p udp -m comment --comment "weir canary" -m udp --dport 10249 -j WEIR-CANARY',
  );
  expect(natCanary('IPv6').rules).toMatch(/\n-p udp -j DNAT --to-destination \[::1\]:10256$/);
});

test('the canary of filter is dropped on its way to itself, but for the first packet', () => {
  expect(filterCanary('IPv6')).toEqual({
    jump: {
      table: 'filter',
      builtin: 'OUTPUT',
      rule: '-s ::1/128 -d ::1/128 -o lo -p udp -m comment --comment "weir canary" -m udp --sport 10256 --dport 10256 -j WEIR-CANARY',
      target: 'WEIR-CANARY',
      position: 'reachable',
    },
    rules: '-m statistic --mode nth --every 2147483647 --packet 0 -j RETURN\n-j DROP',
  });
});

test('the canary goes in behind the ways into the policies, which are first', () => {
  const builtins = new BuiltinChains();
  const first = '-m comment --comment "weir network policy" -j WEIR-FORWARD';
  builtins.replaceChain('filter', 'OUTPUT', [first, '-j KUBE-FIREWALL']);
  expect(canaryState('IPv4', ['filter'], builtins).plan().jumps).toMatchObject([{ kind: 'insert', at: 2 }]);
});
