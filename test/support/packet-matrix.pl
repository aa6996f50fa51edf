# All ends of many connections between network namespaces, in one process: a socket stays in the namespace it was made in.
# In:  machine NAME /run/netns/FILE ADDRESS...      a namespace and its addresses
#      listen PROTOCOL PORT                         tcp, udp or sctp, on all machines
#      round SOURCE-PORT GRACE TIMEOUT              (ms) tries the lines "try" before it, all at once, and forgets them
#      try NAME PROTOCOL ADDRESS PORT EXPECTED      from a machine to an address; EXPECTED is + or -
# Out: ready                                        after the start
#      a line for each round, a sign for each try: + answered by the owner of the address, - silence, ! told that it can not be
# A round ends when all + have answered and GRACE has passed since, or with TIMEOUT. UDP and SCTP use the source port of the
# round, so that no earlier connection can be meant.
use strict;
use warnings;
use Errno qw(EINPROGRESS);
use POSIX qw(uname);
use Socket qw(:DEFAULT :addrinfo inet_pton inet_ntop pack_sockaddr_in6 unpack_sockaddr_in6 IPV6_V6ONLY IPPROTO_IPV6 SO_LINGER);
use Time::HiRes qw(time);

$| = 1;
my $setns = (uname())[4] eq 'aarch64' ? 268 : 308;
my $clone_newnet = 0x40000000;
my %family = (4 => AF_INET, 6 => AF_INET6);
my %any = (4 => '0.0.0.0', 6 => '::');

my (%machines, %owner, %listening);
my (%tcp_servers, %udp_servers, %raw, %sctp_ports);

sub version { $_[0] =~ /:/ ? 6 : 4 }
sub where {
  my ($address, $port) = @_;
  my $bytes = inet_pton($family{version($address)}, $address);
  return $address =~ /:/ ? pack_sockaddr_in6($port, $bytes) : pack_sockaddr_in($port, $bytes);
}
sub from {
  my ($name, $version) = @_;
  my ($port, $bytes) = $version == 6 ? unpack_sockaddr_in6($name) : unpack_sockaddr_in($name);
  return (inet_ntop($family{$version}, $bytes), $port);
}
my $inside = '';
sub enter {
  my ($name) = @_;
  return if $inside eq $name;
  syscall($setns, fileno($machines{$name}{file}), $clone_newnet) == 0 or die "setns $name: $!";
  $inside = $name;
}
sub new_socket {
  my ($machine, $version, $type, $protocol) = @_;
  enter($machine);
  socket(my $socket, $family{$version}, $type, $protocol) or die "socket: $!";
  $socket->blocking(0);
  setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1);
  setsockopt($socket, IPPROTO_IPV6, IPV6_V6ONLY, 1) if $version == 6 && $type != SOCK_RAW;
  return $socket;
}
sub bound {
  my ($machine, $version, $type, $port) = @_;
  my $socket = new_socket($machine, $version, $type, 0);
  bind($socket, where($any{$version}, $port)) or die "bind $port: $!";
  return $socket;
}

# SCTP: CRC32c (RFC 9260, appendix A), in the byte order of the wire.
my @crc = map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
sub sctp_packet {
  my ($source, $destination, $tag, $chunk) = @_;
  my $packet = pack('nnNN', $source, $destination, $tag, 0) . $chunk;
  my $c = 0xFFFFFFFF;
  $c = $crc[($c ^ $_) & 255] ^ ($c >> 8) for unpack('C*', $packet);
  substr($packet, 8, 4) = pack('V', $c ^ 0xFFFFFFFF);
  return $packet;
}
sub init_chunk { my ($type, $tag) = @_; pack('CCnNNnnN', $type, 0, 20, $tag, 65536, 1, 1, 1) }

sub add_machine {
  my ($name, $path, @addresses) = @_;
  open(my $file, '<', $path) or die "$path: $!";
  my %versions = map { version($_) => 1 } @addresses;
  $machines{$name} = { file => $file, versions => [sort keys %versions] };
  $owner{$_} = $name for @addresses;
}
sub listen_everywhere {
  my ($protocol, $port) = @_;
  return if $listening{"$protocol $port"}++;
  $sctp_ports{$port} = 1 if $protocol eq 'sctp';
  for my $name (sort keys %machines) {
    for my $version (@{ $machines{$name}{versions} }) {
      if ($protocol eq 'tcp') {
        my $socket = bound($name, $version, SOCK_STREAM, $port);
        listen($socket, 1024) or die "listen: $!";
        $tcp_servers{ fileno($socket) } = [$socket, $name];
      } elsif ($protocol eq 'udp') {
        my $socket = bound($name, $version, SOCK_DGRAM, $port);
        $udp_servers{ fileno($socket) } = [$socket, $name];
      } elsif (!$raw{"$name $version"}) {
        my $socket = new_socket($name, $version, SOCK_RAW, 132);
        setsockopt($socket, SOL_SOCKET, SO_RCVBUF, 1 << 20);
        $raw{"$name $version"} = $socket;
      }
    }
  }
}

sub round {
  my ($source_port, $grace, $timeout, @tries) = @_;
  my @results = ('-') x @tries;
  my (%tcp, %udp, %waiting, @accepted);
  my $missing = grep { $_->[4] eq '+' } @tries;
  my $settle = sub {
    my ($index, $sign) = @_;
    $missing -= 1 if $tries[$index][4] eq '+' && $results[$index] ne '+';
    $results[$index] = $sign;
  };
  # One namespace after the other: entering one costs something.
  for my $index (sort { $tries[$a][0] cmp $tries[$b][0] } 0 .. $#tries) {
    my ($name, $protocol, $address, $port) = @{ $tries[$index] };
    my $version = version($address);
    if ($protocol eq 'tcp') {
      my $socket = new_socket($name, $version, SOCK_STREAM, 0);
      setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
      if (connect($socket, where($address, $port)) || $! == EINPROGRESS) {
        $tcp{ fileno($socket) } = [$socket, $index, 0];
      } else { $settle->($index, '!') }
    } elsif ($protocol eq 'udp') {
      my $end = $udp{"$name $version"} //= bound($name, $version, SOCK_DGRAM, $source_port);
      $waiting{"udp $name $address $port"} = $index;
      send($end, "$index", 0, where($address, $port));
    } else {
      $waiting{"sctp $name $address $port"} = $index;
      my $packet = sctp_packet($source_port, $port, 0, init_chunk(1, $index + 1));
      send($raw{"$name $version"}, $packet, 0, where($address, 0));
    }
  }
  my $started = time;
  my $complete;
  while (1) {
    my $now = time;
    $complete //= $now if $missing == 0;
    my $ends = $started + $timeout / 1000;
    my $graceful = defined $complete ? $complete + $grace / 1000 : $ends;
    $ends = $graceful if $graceful < $ends;
    last if $now >= $ends || !grep { $_ eq '-' } @results;
    my ($read, $write) = ('', '');
    vec($read, $_, 1) = 1 for keys %tcp_servers, keys %udp_servers, (map { fileno($_) } values %raw, values %udp);
    for my $fd (keys %tcp) { vec($tcp{$fd}[2] ? $read : $write, $fd, 1) = 1 }
    select($read, $write, undef, $ends - $now) > 0 or next;
    for my $fd (grep { vec($read, $_, 1) } keys %tcp_servers) {
      my ($server, $name) = @{ $tcp_servers{$fd} };
      while (accept(my $socket, $server)) {
        setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
        send($socket, "$name\n", 0);
        push @accepted, $socket;
      }
    }
    for my $fd (grep { vec($read, $_, 1) } keys %udp_servers) {
      my ($server, $name) = @{ $udp_servers{$fd} };
      while (defined(my $peer = recv($server, my $text, 512, 0))) { send($server, "$text $name", 0, $peer) }
    }
    for my $key (sort keys %raw) {
      next unless vec($read, fileno($raw{$key}), 1);
      my ($name, $version) = split / /, $key;
      while (defined(my $peer = recv($raw{$key}, my $bytes, 2048, 0))) {
        $bytes = substr($bytes, 4 * (ord($bytes) & 15)) if $version == 4;
        next if length($bytes) < 32;
        my ($address) = from($peer, $version);
        my ($source, $destination, $tag, undef, $type, undef, undef, $their_tag) = unpack('nnNNCCnN', $bytes);
        if ($type == 1 && $sctp_ports{$destination}) {
          my $answer = sctp_packet($destination, $source, $their_tag, init_chunk(2, 1));
          send($raw{$key}, $answer, 0, where($address, 0));
        } elsif ($type == 2 && $destination == $source_port) {
          my $index = $waiting{"sctp $name $address $source"};
          $settle->($index, '+') if defined $index && $tag == $index + 1;
        }
      }
    }
    for my $key (keys %udp) {
      next unless vec($read, fileno($udp{$key}), 1);
      my ($name, $version) = split / /, $key;
      while (defined(my $peer = recv($udp{$key}, my $text, 512, 0))) {
        my ($address, $port) = from($peer, $version);
        my $index = $waiting{"udp $name $address $port"};
        $settle->($index, '+') if defined $index && $text eq "$index $owner{$address}";
      }
    }
    for my $fd (keys %tcp) {
      my ($socket, $index, $connected) = @{ $tcp{$fd} };
      if (!$connected) {
        next unless vec($write, $fd, 1);
        my $error = unpack('i', getsockopt($socket, SOL_SOCKET, SO_ERROR));
        if ($error == 0) { $tcp{$fd}[2] = 1; next }
        $settle->($index, '!');
        delete $tcp{$fd};
      } elsif (vec($read, $fd, 1)) {
        next unless defined recv($socket, my $text, 512, 0);
        $settle->($index, $text eq "$owner{$tries[$index][2]}\n" ? '+' : '!');
        delete $tcp{$fd};
      }
    }
  }
  return join '', @results;
}

print "ready\n";
my @tries;
while (defined(my $line = <STDIN>)) {
  my ($word, @rest) = split ' ', $line;
  if ($word eq 'machine') { add_machine(@rest) }
  elsif ($word eq 'listen') { listen_everywhere(@rest) }
  elsif ($word eq 'try') { push @tries, [@rest] }
  else { print round(@rest, splice @tries), "\n" }
}
