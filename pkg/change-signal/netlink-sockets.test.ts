import { expect, test } from 'vitest';
import { parseNetlinkSockets } from './netlink-sockets.ts';

test('reads the sockets of /proc/net/netlink', () => {
  const text = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
00000000d22903c9 0   0          00000000 0        0        0     2        0        4
000000006c53f4dc 12  3489401583 00000040 212928   0        0     2        169      242884
`;
  expect(parseNetlinkSockets(text)).toEqual([
    { inode: '4', protocol: 0, groups: 0, unread: 0, drops: 0 },
    { inode: '242884', protocol: 12, groups: 0x40, unread: 212_928, drops: 169 },
  ]);
});

test('finds none in a text that says something else', () => {
  expect(parseNetlinkSockets('')).toEqual([]);
  expect(parseNetlinkSockets('sk Eth\nnonsense')).toEqual([]);
});
