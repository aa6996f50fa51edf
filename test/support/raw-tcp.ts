import { familyOf, parseAddress } from '../../pkg/net/index.ts';
import type { NetworkNamespace } from './network-namespace.ts';

const script = [
  'use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);',
  'my ($to, $hex) = @ARGV; my $is6 = $to =~ /:/; my $family = $is6 ? AF_INET6 : AF_INET;',
  'socket(my $socket, $family, SOCK_RAW, 6) or die "socket: $!";',
  'my $address = inet_pton($family, $to);',
  'my $where = $is6 ? pack_sockaddr_in6(0, $address) : pack_sockaddr_in(0, $address);',
  'send($socket, pack("H*", $hex), 0, $where) or die "send: $!";',
].join('\n');

/**
 * Sends a SYN+ACK that answers nothing, from `from` to `address`: connection tracking calls it INVALID, whereas it takes
 * other packets out of nowhere for connections that it missed the beginning of.
 */
export async function sendStraySynAck(from: NetworkNamespace, address: string): Promise<void> {
  const family = familyOf(address);
  if (family === undefined) throw new RangeError(`not an address: ${address}`);
  const packet = straySynAck(from.address(family), address);
  await from.run('perl', ['-e', script, address, packet.toString('hex')]);
}

/** How many TCP packets the kernel of a namespace has received, whatever became of them. */
export async function receivedTcpPackets(machine: NetworkNamespace): Promise<number> {
  const { stdout } = await machine.run('cat', ['/proc/net/snmp']);
  const [names = [], values = []] = stdout
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'))
    .map((line) => line.split(' '));
  return Number(values[names.indexOf('InSegs')]);
}

const headerLength = 20;
const tcp = 6;

function straySynAck(source: string, destination: string): Buffer {
  const packet = Buffer.alloc(headerLength);
  packet.writeUInt16BE(8080, 0);
  packet.writeUInt16BE(50_000, 2);
  packet.writeUInt32BE(1_000_000, 4);
  packet.writeUInt32BE(2_000_000, 8);
  packet.writeUInt16BE(0x5012, 12); // five words of header; SYN and ACK
  packet.writeUInt16BE(64_000, 14);
  const pseudoHeader = Buffer.concat([
    bytesOf(source),
    bytesOf(destination),
    Buffer.from([0, tcp, 0, headerLength]),
  ]);
  packet.writeUInt16BE(checksum(Buffer.concat([pseudoHeader, packet])), 16);
  return packet;
}

function bytesOf(text: string): Buffer {
  const address = parseAddress(text);
  if (address === undefined) throw new RangeError(`not an address: ${text}`);
  return Buffer.from(address.bits.toString(16).padStart(address.family === 'IPv4' ? 8 : 32, '0'), 'hex');
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2) sum += bytes.readUInt16BE(index);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
