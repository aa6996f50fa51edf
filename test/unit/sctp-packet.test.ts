import { describe, expect, test } from 'vitest';
import { crc32c, decodeSctp, encodeSctp, newTag, type SctpPacket } from '../support/agent/sctp-packet.ts';

const ports = { sourcePort: 20_001, destinationPort: 80 };
const packets: readonly SctpPacket[] = [
  { kind: 'init', ...ports, tag: 7 },
  { kind: 'init-ack', ...ports, verificationTag: 7, tag: 0xffff_ffff, text: '{"name":"pöd"}' },
  { kind: 'abort', ...ports, verificationTag: 9 },
];

// RFC 3720 appendix B.4 lists these.
test.each([
  ['32 zeros', new Uint8Array(32), 0x8a91_36aa],
  ['32 bytes of ones', new Uint8Array(32).fill(0xff), 0x62a8_ab43],
  ['rising bytes', Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd_794e],
])('the checksum of %s is that of the standard', (_, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
});

describe.each(packets)('a packet of kind $kind', (packet) => {
  test('survives the wire', () => {
    const bytes = encodeSctp(packet);
    expect(bytes.length % 4).toBe(0);
    expect(decodeSctp(bytes)).toEqual(packet);
  });

  test('is not taken when a bit has changed', () => {
    const bytes = encodeSctp(packet);
    bytes.writeUInt8(bytes.readUInt8(1) ^ 1, 1);
    expect(decodeSctp(bytes)).toBeUndefined();
  });
});

test('an INIT carries no verification tag, which connection tracking insists on', () => {
  expect(encodeSctp({ kind: 'init', ...ports, tag: newTag() }).readUInt32BE(4)).toBe(0);
});
