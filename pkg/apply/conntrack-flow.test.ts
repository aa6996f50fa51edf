import { expect, test } from 'vitest';
import { parseFlow } from './conntrack-flow.ts';

// Lines as conntrack 1.4.7 prints them.
const throughService =
  'tcp      6 86397 ESTABLISHED src=10.0.0.1 dst=10.96.0.1 sport=1000 dport=80 src=10.0.0.2 dst=192.0.2.7 sport=8080 dport=31000 [ASSURED] mark=0 use=1';
const counted =
  'udp      17 29 src=fd00::1 dst=fd00::9 sport=1001 dport=53 packets=3 bytes=120 [UNREPLIED] src=fd00::9 dst=fd00::1 sport=53 dport=1001 packets=0 bytes=0 mark=0 secctx=system_u:object_r:x_t:s0 zone=5 delta-time=7 use=1';
const ping =
  'icmp     1 29 src=10.0.0.1 dst=10.0.0.9 type=8 code=0 id=77 src=10.0.0.9 dst=10.0.0.1 type=0 code=0 id=77 mark=0 use=1';
const nameless =
  'unknown  50 999 src=10.0.0.1 dst=10.0.0.9 [UNREPLIED] src=10.0.0.9 dst=10.0.0.1 mark=0 use=1';
const offloaded =
  'tcp      6 src=10.0.0.1 dst=10.0.0.9 sport=1 dport=2 src=10.0.0.9 dst=10.0.0.1 sport=2 dport=1 [OFFLOAD] mark=0 use=2';

test('tells the Service that was asked for from the endpoint that answers, and the client from its masquerade', () => {
  expect(parseFlow(throughService, 'IPv4')).toEqual({
    family: 'IPv4',
    protocol: 6,
    state: 'ESTABLISHED',
    original: { source: '10.0.0.1', destination: '10.96.0.1', sourcePort: 1000, destinationPort: 80 },
    reply: { source: '10.0.0.2', destination: '192.0.2.7', sourcePort: 8080, destinationPort: 31_000 },
  });
});

test('passes over counters, flags, labels and zones', () => {
  expect(parseFlow(counted, 'IPv6')).toEqual({
    family: 'IPv6',
    protocol: 17,
    state: undefined,
    original: { source: 'fd00::1', destination: 'fd00::9', sourcePort: 1001, destinationPort: 53 },
    reply: { source: 'fd00::9', destination: 'fd00::1', sourcePort: 53, destinationPort: 1001 },
  });
});

test('gives addresses in their canonical form, however the tool spells them', () => {
  const line =
    'udp      17 29 src=::0.1.0.5 dst=::10.9.8.7 sport=1 dport=53 [UNREPLIED] src=::ffff:10.0.0.1 dst=1::2:3:4:5:6:7 sport=53 dport=1 mark=0 use=1';
  expect(parseFlow(line, 'IPv6')).toMatchObject({
    original: { source: '::1:5', destination: '::a09:807' },
    reply: { source: '::ffff:10.0.0.1', destination: '1:0:2:3:4:5:6:7' },
  });
});

test.each([
  ['ICMP', ping, 1],
  ['a protocol that the tool has no name for', nameless, 50],
])('reads %s, which has no ports', (_case, line, protocol) => {
  expect(parseFlow(line, 'IPv4')).toEqual({
    family: 'IPv4',
    protocol,
    state: undefined,
    original: { source: '10.0.0.1', destination: '10.0.0.9' },
    reply: { source: '10.0.0.9', destination: '10.0.0.1' },
  });
});

test('reads a connection that a flow table carries, which has neither timeout nor state', () => {
  expect(parseFlow(offloaded, 'IPv4')).toMatchObject({
    protocol: 6,
    state: undefined,
    reply: { sourcePort: 2 },
  });
});

test.each([
  '',
  'conntrack v1.4.7 (conntrack-tools): 2 flow entries have been shown.',
  'tcp      6 86397 ESTABLISHED src=10.0.0.1 dst=10.0.0.9 sport=1 dport=2',
])('takes %j for no connection', (line) => {
  expect(parseFlow(line, 'IPv4')).toBeUndefined();
});
