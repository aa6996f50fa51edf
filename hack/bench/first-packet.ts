import { spawn, spawnSync } from 'node:child_process';
import { percentile, round } from './statistics.ts';

/**
 * Blocking connects from inside a network namespace, one after the other, timed with the monotonic clock: what a client waits
 * for its first packet to go and come back. Perl, because a blocking connect in Node would measure the event loop instead.
 */
const client = String.raw`
  use Socket;
  my ($count, $clock) = (shift, shift);
  my @targets = @ARGV;
  my $now = sub { my $t = pack('q2', 0, 0); syscall($clock, 1, $t); my ($s, $n) = unpack('q2', $t); return $s * 1e6 + $n / 1e3; };
  my @addresses = map { my ($ip, $port) = split /:/; pack_sockaddr_in($port, inet_aton($ip)) } @targets;
  for my $i (0 .. $count - 1) {
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
    setsockopt($s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    my $address = $addresses[$i % @addresses];
    my $start = $now->();
    connect($s, $address) or die "connect: $!";
    printf "%.1f\n", $now->() - $start;
    close($s);
  }
`;

/** Number of the system call clock_gettime. */
const clockGettime = process.arch === 'arm64' ? 113 : 228;

/** Connect times to the targets (`ip:port`) in microseconds. */
export function connectTimes(
  namespace: string,
  targets: readonly string[],
  count: number,
): readonly number[] {
  const args = [
    'netns',
    'exec',
    namespace,
    'perl',
    '-e',
    client,
    String(count),
    String(clockGettime),
    ...targets,
  ];
  const result = spawnSync('ip', args, { encoding: 'utf8', maxBuffer: 16_000_000 });
  if (result.status !== 0) throw new Error(`connects from ${namespace}: ${result.stderr}`);
  return result.stdout.trim().split('\n').map(Number);
}

/** Tries a new connection every few milliseconds until one passes, for ten seconds at most. */
const prober = String.raw`
  use Socket;
  my ($clock, $source, $ip, $port) = @ARGV;
  my $now = sub { my $t = pack('q2', 0, 0); syscall($clock, 1, $t); my ($s, $n) = unpack('q2', $t); return $s * 1e3 + $n / 1e6; };
  my $end = $now->() + 10000;
  $| = 1; print "trying
";
  while ($now->() < $end) {
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
    bind($s, pack_sockaddr_in(0, inet_aton($source))) or die $!;
    fcntl($s, 4, 2048);
    connect($s, pack_sockaddr_in($port, inet_aton($ip)));
    my $w = ''; vec($w, fileno($s), 1) = 1;
    if (select(undef, $w, undef, 0.004) > 0 && unpack('i', getsockopt($s, SOL_SOCKET, SO_ERROR)) == 0) {
      printf "%.3f
", $now->(); exit 0;
    }
    close($s);
  }
  exit 1;
`;

/** Milliseconds from `event`, which happens once the prober has failed for a while, to the first connection that passes. */
export async function firstConnectMs(
  namespace: string,
  [source, ip, port]: readonly [source: string, ip: string, port: number],
  event: () => void,
): Promise<number> {
  const args = [
    'netns',
    'exec',
    namespace,
    'perl',
    '-e',
    prober,
    String(clockGettime),
    source,
    ip,
    String(port),
  ];
  const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const start = Number(process.hrtime.bigint()) / 1e6;
  event();
  if ((await ended) !== 0)
    throw new Error(`no connection from ${source} to ${ip}:${port} within ten seconds`);
  return Number(output.trim().split('\n').at(-1)) - start;
}

export interface ConnectSummary {
  readonly p50: number;
  readonly p99: number;
}

export function summarise(times: readonly number[]): ConnectSummary {
  return { p50: round(percentile(times, 0.5)), p99: round(percentile(times, 0.99)) };
}
