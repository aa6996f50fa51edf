import { networkInterfaces } from 'node:os';
import { describe, expect, test } from 'vitest';
import { ipv4Addresses, ipv6Addresses } from './address-files.ts';
import { createInterfaceAddresses, interfaceAddresses } from './interface-addresses.ts';

/** Of a node with a link that is down, one without carrier, a second address, a peer, an address on lo, and local routes. */
const fibTrie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.0.0.0/8 2 0 2
        |-- 10.5.0.1
           /32 host LOCAL
        |-- 10.5.0.2
           /32 link UNICAST
        |-- 10.77.0.0
           /16 universe UNICAST
           /24 host LOCAL
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.168.7.0/24 2 0 1
        +-- 192.168.7.0/30 2 0 2
           |-- 192.168.7.0
              /24 link UNICAST
              /32 host LOCAL
           |-- 192.168.7.1
              /32 host LOCAL
        |-- 192.168.7.255
           /32 link BROADCAST
Local:
  |-- 127.0.0.1
     /32 host LOCAL
`;

const ifInet6 = `fd00000a000000000000000000000001 06 40 00 82       v0
fe8000000000000040268bfffe1cef7b 09 40 20 80       p0
00000000000000000000000000000001 01 80 10 80       lo
`;

test('takes the IPv4 addresses that the kernel delivers locally, whatever else a prefix has', () => {
  expect([...new Set(ipv4Addresses(fibTrie))]).toEqual([
    '10.5.0.1',
    '127.0.0.1',
    '192.168.7.0',
    '192.168.7.1',
  ]);
});

test('takes all IPv6 addresses, canonical', () => {
  expect(ipv6Addresses(ifInet6)).toEqual(['fd00:a::1', 'fe80::4026:8bff:fe1c:ef7b', '::1']);
});

test.each(['', '\n', 'nonsense\n', '|-- \n   /32 host LOCA'])('takes nothing from %j', (text) => {
  expect([...ipv4Addresses(text), ...ipv6Addresses(text)]).toEqual([]);
});

describe('the addresses of the interfaces', () => {
  const running = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address),
  );

  test('are of both families, each once, sorted', () => {
    const read = (name: string): string => (name === 'fib_trie' ? fibTrie : ifInet6);
    expect(interfaceAddresses(read)).toEqual([
      '10.5.0.1',
      '127.0.0.1',
      '192.168.7.0',
      '192.168.7.1',
      '::1',
      'fd00:a::1',
      'fe80::4026:8bff:fe1c:ef7b',
    ]);
  });

  test('hold at least those that Node.js knows, on this machine', () => {
    expect(interfaceAddresses()).toEqual(expect.arrayContaining(running));
  });

  test.each(['fib_trie', 'if_inet6'])('are what Node.js knows where there is no %s', (missing) => {
    const read = (name: string): string | undefined =>
      name === missing ? undefined : name === 'fib_trie' ? fibTrie : ifInet6;
    const found = interfaceAddresses(read);
    expect(found).toEqual(expect.arrayContaining(running));
    expect(found).toContain(missing === 'fib_trie' ? 'fd00:a::1' : '10.5.0.1');
  });
});

describe('for whoever asks often', () => {
  function asker(readMs: number) {
    let now = 0;
    let reads = 0;
    const ask = createInterfaceAddresses({ now: () => now }, () => {
      now += readMs;
      reads += 1;
      return [`192.168.0.${reads}`];
    });
    return { ask, pass: (ms: number) => (now += ms) };
  }

  test('reading takes a hundredth of the time', () => {
    const { ask, pass } = asker(10);
    expect(ask()).toEqual(['192.168.0.1']);
    pass(999);
    expect(ask()).toEqual(['192.168.0.1']);
    pass(1);
    expect(ask()).toEqual(['192.168.0.2']);
  });

  test('no answer is older than half a minute', () => {
    const { ask, pass } = asker(1000);
    ask();
    pass(29_999);
    expect(ask()).toEqual(['192.168.0.1']);
    pass(1);
    expect(ask()).toEqual(['192.168.0.2']);
  });
});
