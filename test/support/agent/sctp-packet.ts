import { randomBytes } from 'node:crypto';

/**
 * The few SCTP packets (RFC 9260) that it takes to ask and to answer whether an association could be made. Written by
 * hand because kernels for containers often come without SCTP sockets; netfilter tracks and translates it all the same.
 */
export type SctpPacket =
  | {
      readonly kind: 'init';
      readonly sourcePort: number;
      readonly destinationPort: number;
      readonly tag: number;
    }
  | {
      readonly kind: 'init-ack';
      readonly sourcePort: number;
      readonly destinationPort: number;
      /** The tag of the INIT that is answered. */
      readonly verificationTag: number;
      readonly tag: number;
      /** Goes as the state cookie. */
      readonly text: string;
    }
  | {
      readonly kind: 'abort';
      readonly sourcePort: number;
      readonly destinationPort: number;
      readonly verificationTag: number;
    };

const chunkTypes = { init: 1, 'init-ack': 2, abort: 6 } as const;
const commonHeaderLength = 12;
/** Chunk header, initiate tag, receiver window, streams out and in, first TSN. */
const initLength = 20;
const stateCookie = 7;
const receiverWindow = 65_536;
/** RFC 9260 §3.3.7: an ABORT whose sender does not know its own tag carries the tag of the other side. */
const tagReflected = 1;

/** A tag as both sides choose it: random and never 0. */
export function newTag(): number {
  return (randomBytes(4).readUInt32BE() | 1) >>> 0;
}

export function encodeSctp(packet: SctpPacket): Buffer {
  const verificationTag = packet.kind === 'init' ? 0 : packet.verificationTag;
  const header = Buffer.alloc(commonHeaderLength);
  header.writeUInt16BE(packet.sourcePort, 0);
  header.writeUInt16BE(packet.destinationPort, 2);
  header.writeUInt32BE(verificationTag, 4);
  const bytes = Buffer.concat([header, encodeChunk(packet)]);
  bytes.writeUInt32LE(crc32c(bytes), 8);
  return bytes;
}

/** `undefined` for packets of other kinds, cut ones, and such whose checksum is wrong. */
export function decodeSctp(bytes: Buffer): SctpPacket | undefined {
  if (bytes.length < commonHeaderLength + 4) return undefined;
  const unsigned = Buffer.from(bytes);
  unsigned.writeUInt32LE(0, 8);
  if (crc32c(unsigned) !== bytes.readUInt32LE(8)) return undefined;
  const ports = { sourcePort: bytes.readUInt16BE(0), destinationPort: bytes.readUInt16BE(2) };
  const verificationTag = bytes.readUInt32BE(4);
  const chunk = bytes.subarray(
    commonHeaderLength,
    commonHeaderLength + bytes.readUInt16BE(commonHeaderLength + 2),
  );
  const type = chunk[0];
  if (type === chunkTypes.abort) return { kind: 'abort', ...ports, verificationTag };
  if (chunk.length < initLength) return undefined;
  const tag = chunk.readUInt32BE(4);
  if (type === chunkTypes.init) return { kind: 'init', ...ports, tag };
  if (type === chunkTypes['init-ack'])
    return { kind: 'init-ack', ...ports, verificationTag, tag, text: cookieOf(chunk) };
  return undefined;
}

function encodeChunk(packet: SctpPacket): Buffer {
  if (packet.kind === 'abort') return Buffer.from([chunkTypes.abort, tagReflected, 0, 4]);
  const cookie = packet.kind === 'init-ack' ? encodeCookie(packet.text) : Buffer.alloc(0);
  const chunk = Buffer.alloc(initLength);
  chunk.writeUInt8(chunkTypes[packet.kind], 0);
  chunk.writeUInt16BE(initLength + cookie.length, 2);
  chunk.writeUInt32BE(packet.tag, 4);
  chunk.writeUInt32BE(receiverWindow, 8);
  chunk.writeUInt16BE(1, 12);
  chunk.writeUInt16BE(1, 14);
  chunk.writeUInt32BE(packet.tag, 16);
  return Buffer.concat([chunk, cookie]);
}

/** Padded with spaces to whole words, which JSON does not mind. */
function encodeCookie(text: string): Buffer {
  const value = Buffer.from(
    text.padEnd(Math.ceil(Buffer.byteLength(text) / 4) * 4 + text.length - Buffer.byteLength(text)),
  );
  const header = Buffer.alloc(4);
  header.writeUInt16BE(stateCookie, 0);
  header.writeUInt16BE(4 + value.length, 2);
  return Buffer.concat([header, value]);
}

function cookieOf(chunk: Buffer): string {
  let offset = initLength;
  while (offset + 4 <= chunk.length) {
    const length = chunk.readUInt16BE(offset + 2);
    if (length < 4) return '';
    if (chunk.readUInt16BE(offset) === stateCookie)
      return chunk.toString('utf8', offset + 4, offset + length).trimEnd();
    offset += Math.ceil(length / 4) * 4;
  }
  return '';
}

/** CRC-32C (Castagnoli), reflected, as RFC 9260 appendix A asks. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
