import { familyOf, parseAddress } from '../../pkg/net/index.ts';
import type { NetworkNamespace } from './network-namespace.ts';

// Sends one ICMP packet and, where asked to, waits for an echo reply. The kernel fills in ICMPv6 checksums only.
const script = String.raw`
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);
my ($to, $hex, $wait) = @ARGV;
my $is6 = $to =~ /:/;
socket(my $socket, $is6 ? AF_INET6 : AF_INET, SOCK_RAW, $is6 ? 58 : 1) or die "socket: $!";
my $address = inet_pton($is6 ? AF_INET6 : AF_INET, $to);
send($socket, pack('H*', $hex), 0, $is6 ? pack_sockaddr_in6(0, $address) : pack_sockaddr_in(0, $address)) or die "send: $!";
while ($wait > 0) {
  vec(my $ready = '', fileno($socket), 1) = 1;
  select($ready, undef, undef, $wait) > 0 or last;
  recv($socket, my $bytes, 2048, 0);
  $bytes = substr($bytes, 4 * (ord($bytes) & 15)) unless $is6;
  if (ord($bytes) == ($is6 ? 129 : 0) && substr($bytes, 4) eq substr(pack('H*', $hex), 4)) { print 'reply'; last }
}`;

const identifiers = { next: 1 };

/** Whether an ICMP echo request to the address is answered within half a second. */
export async function answersEcho(from: NetworkNamespace, address: string): Promise<boolean> {
  const packet = Buffer.alloc(16);
  packet[0] = familyOf(address) === 'IPv6' ? 128 : 8;
  packet.writeUInt16BE(identifiers.next, 4);
  identifiers.next += 1;
  const { stdout } = await from.run('perl', [
    '-e',
    script,
    address,
    withChecksum(packet).toString('hex'),
    '0.5',
  ]);
  return stdout === 'reply';
}

/** A UDP packet that an error is about; addresses of one family. */
interface UdpEnds {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

/** Tells the sender of a UDP packet that it was too big for a link ahead: fragmentation needed, packet too big. */
export async function sendTooBig(from: NetworkNamespace, about: UdpEnds, mtu: number): Promise<void> {
  const error = Buffer.alloc(8);
  const isIPv6 = familyOf(about.source) === 'IPv6';
  if (isIPv6) {
    error[0] = 2;
    error.writeUInt32BE(mtu, 4);
  } else {
    error[0] = 3;
    error[1] = 4;
    error.writeUInt16BE(mtu, 6);
  }
  const packet = withChecksum(
    Buffer.concat([error, isIPv6 ? quotedIPv6(about) : quotedIPv4(about), quotedUdp(about)]),
  );
  await from.run('perl', ['-e', script, about.source, packet.toString('hex'), '0']);
}

const udp = 17;
const quotedLength = 1480;

function quotedIPv4({ source, destination }: UdpEnds): Buffer {
  const header = Buffer.alloc(12);
  header[0] = 0x45;
  header.writeUInt16BE(quotedLength + 20, 2);
  header.writeUInt16BE(0x4000, 6); // do not fragment
  header[8] = 64;
  header[9] = udp;
  const whole = Buffer.concat([header, bytesOf(source), bytesOf(destination)]);
  whole.writeUInt16BE(checksum(whole), 10);
  return whole;
}

function quotedIPv6({ source, destination }: UdpEnds): Buffer {
  const header = Buffer.alloc(8);
  header[0] = 0x60;
  header.writeUInt16BE(quotedLength, 4);
  header[6] = udp;
  header[7] = 64;
  return Buffer.concat([header, bytesOf(source), bytesOf(destination)]);
}

function quotedUdp({ sourcePort, destinationPort }: UdpEnds): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(destinationPort, 2);
  header.writeUInt16BE(quotedLength, 4);
  return header;
}

function bytesOf(text: string): Buffer {
  const address = parseAddress(text);
  if (address === undefined) throw new RangeError(`not an address: ${text}`);
  return Buffer.from(address.bits.toString(16).padStart(address.family === 'IPv4' ? 8 : 32, '0'), 'hex');
}

function withChecksum(packet: Buffer): Buffer {
  packet.writeUInt16BE(checksum(packet), 2);
  return packet;
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2) sum += bytes.readUInt16BE(index);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
