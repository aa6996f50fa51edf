import { expect, test } from 'vitest';
import { parseVirtualServers } from './ipvs.ts';

// As ip_vs_ctl.c prints it; the kernels that run the tests have no IPVS.
const table = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:01BB rr 
  -> C0A80001:192B      Masq    1      3          2         
  -> C0A80002:192B      Masq    0      1          0         
UDP  0A60000A:0035 rr 
  -> 0AF40003:0035      Masq    1      0          9         
TCP  0A600C07:0050 rr persistent 10800 FFFFFFFF
FWM  00000005 wlc 
  -> C0A80009:0050      Route   1      7          0         
SCTP 0A600C08:0009 rr 
TCP  [fd00:0010:0096:0000:0000:0000:0000:0001]:01BB rr 
  -> [fd00:0010:0244:0000:0000:0000:0000:0005]:192B      Masq    1      2          0         
`;

test('reads virtual servers with their established connections', () => {
  const servers = parseVirtualServers(table);
  expect(servers.map(({ option, socket, connections }) => `${option} ${socket} ${connections}`)).toEqual([
    '-t 10.96.0.1:443 4',
    '-u 10.96.0.10:53 0',
    '-t 10.96.12.7:80 0',
    '--sctp-service 10.96.12.8:9 0',
    '-t [fd00:10:96::1]:443 2',
  ]);
  expect(servers.at(-1)?.address).toBe('fd00:10:96::1');
});

test('finds none where there are none', () => {
  expect(parseVirtualServers('')).toEqual([]);
  expect(parseVirtualServers(table.split('\n').slice(0, 3).join('\n'))).toEqual([]);
});
