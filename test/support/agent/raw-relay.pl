# Raw SCTP packets and ICMP errors for a program that has no raw sockets.
# In:  <address> <packet in hex>
# Out: sctp4|sctp6|icmp4|icmp6 <sender> <bytes in hex>   (IPv4 with the IP header, IPv6 without: as the kernel gives them)
#      error <address> <errno name or number>            (a packet that could not be sent)
use strict;
use warnings;
use Socket qw(:DEFAULT inet_pton inet_ntop pack_sockaddr_in6 unpack_sockaddr_in6);

$| = 1;
my %wanted = (
  sctp4 => [AF_INET, 132], icmp4 => [AF_INET, 1],
  sctp6 => [AF_INET6, 132], icmp6 => [AF_INET6, 58],
);
my %sockets;
for my $kind (sort keys %wanted) {
  my ($family, $protocol) = @{$wanted{$kind}};
  socket(my $socket, $family, SOCK_RAW, $protocol) or next;
  setsockopt($socket, SOL_SOCKET, SO_RCVBUF, 4 * 1024 * 1024);
  $sockets{$kind} = $socket;
}
print "ready\n";

my $input = '';
while (1) {
  my $ready = '';
  vec($ready, fileno($_), 1) = 1 for values %sockets;
  vec($ready, fileno(STDIN), 1) = 1;
  select($ready, undef, undef, undef);
  for my $kind (sort keys %sockets) {
    next unless vec($ready, fileno($sockets{$kind}), 1);
    my $from = recv($sockets{$kind}, my $bytes, 65535, 0);
    next unless defined $from;
    my $address = $kind =~ /4$/
      ? inet_ntop(AF_INET, (unpack_sockaddr_in($from))[1])
      : inet_ntop(AF_INET6, (unpack_sockaddr_in6($from))[1]);
    print "$kind $address ", unpack('H*', $bytes), "\n";
  }
  next unless vec($ready, fileno(STDIN), 1);
  exit 0 unless sysread(STDIN, $input, 65536, length $input);
  while ($input =~ s/^(\S+) (\S+)\n//) {
    my ($address, $hex) = ($1, $2);
    my $is6 = $address =~ /:/;
    my $socket = $sockets{$is6 ? 'sctp6' : 'sctp4'};
    my $to = $is6 ? pack_sockaddr_in6(0, inet_pton(AF_INET6, $address)) : pack_sockaddr_in(0, inet_pton(AF_INET, $address));
    if (!$socket) { print "error $address EAFNOSUPPORT\n" }
    elsif (!defined send($socket, pack('H*', $hex), 0, $to)) {
      my ($name) = grep { $!{$_} } qw(EPERM EACCES ENETUNREACH EHOSTUNREACH ECONNREFUSED);
      print "error $address ", $name // $! + 0, "\n";
    }
  }
}
