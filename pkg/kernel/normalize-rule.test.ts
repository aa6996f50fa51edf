import { describe, expect, test } from 'vitest';
import type { Family } from '../net/index.ts';
import { normalizeRule } from './normalize-rule.ts';

describe('normalizeRule', () => {
  test.each([
    ['-j MARK --or-mark 0x00004000', '-j MARK --set-xmark 0x4000/0x4000'],
    ['-j MARK --xor-mark 0x00004000', '-j MARK --set-xmark 0x4000/0x0'],
    ['-j MARK --and-mark 0x4000', '-j MARK --set-xmark 0x0/0xffffbfff'],
    ['-j MARK --set-mark 5', '-j MARK --set-xmark 0x5/0xffffffff'],
    ['-j MARK --set-mark 0x5/0xf0', '-j MARK --set-xmark 0x5/0xf5'],
    ['-m mark ! --mark 16384/16384 -j RETURN', '-m mark ! --mark 0x4000/0x4000 -j RETURN'],
    ['-m mark --mark 0x4/0xffffffff', '-m mark --mark 0x4'],
    ['-s 10.0.0.1 ! -d fd00::1 -j DROP', '-s 10.0.0.1/32 ! -d fd00::1/128 -j DROP'],
    ['-s 10.1.2.3/8 -d FD00:0::1/64', '-s 10.0.0.0/8 -d fd00::/64'],
    ['-s 10.0.0.0/255.128.0.0', '-s 10.0.0.0/9'],
    ['-s ::0.1.0.0/112 -d ::1.2.3.4', '-s ::1:0/112 -d ::102:304/128'],
    ['-d FD00::/ffff:ffff:: -j DROP', '-d fd00::/32 -j DROP'],
    ['-s ::ffff:10.0.0.0/104 -j DROP', '-s ::ffff:10.0.0.0/104 -j DROP'],
    ['-s 0.0.0.0/0 -d ::/0 -j DROP', '-j DROP'],
    [
      '-m comment --comment "ns/a:b cluster IP" -m tcp -p tcp -d 10.96.0.1 --dport 443 -j KUBE-SVC-A',
      '-d 10.96.0.1/32 -p tcp -m comment --comment "ns/a:b cluster IP" -m tcp --dport 443 -j KUBE-SVC-A',
    ],
    [
      '-m comment --comment ns/a -m recent --name KUBE-SEP-A --set -m tcp -p tcp -j DNAT --to-destination 10.0.0.1:80',
      '-p tcp -m comment --comment "ns/a" -m recent --set --name KUBE-SEP-A --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.0.0.1:80',
    ],
    ['-i + -o eth0 -j DROP', '-o eth0 -j DROP'],
    ['-p 6 --dport 80', '-p tcp -m tcp --dport 80'],
    ['-p 17 --sport :53 ! --dport 1024:', '-p udp -m udp --sport 0:53 ! --dport 1024:65535'],
    ['-p tcp --dport 0:65535 -j DROP', '-p tcp -j DROP'],
    ['-p icmpv6 --icmpv6-type 135', '-p ipv6-icmp -m icmp6 --icmpv6-type 135'],
    ['-p TCP --dport 80', '-p tcp -m tcp --dport 80'],
    ['-p tcp --tcp-flags syn,ack none', '-p tcp -m tcp --tcp-flags SYN,ACK NONE'],
    ['-m conntrack --ctstate new,dnat', '-m conntrack --ctstate NEW,DNAT'],
    ['-m addrtype --dst-type local', '-m addrtype --dst-type LOCAL'],
    ['-p tcp -j DNAT --to-destination [::0.1.0.5]:80', '-p tcp -j DNAT --to-destination [::1:5]:80'],
    ['-j DNAT --to-destination ::0.1.0.5', '-j DNAT --to-destination ::1:5'],
    ['-j DNAT --to-destination 10.0.0.1:80-90', '-j DNAT --to-destination 10.0.0.1:80-90'],
    ['-j DNAT --to-destination [fd00::1-fd00::2]:80', '-j DNAT --to-destination [fd00::1-fd00::2]:80'],
    ['-p tcp --syn -j DROP', '-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP'],
    ['-p tcp --tcp-flags ALL ACK,SYN', '-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG SYN,ACK'],
    ['-m comment --comment "plain"', '-m comment --comment plain'],
    ['-m comment --comment "it\'s"', '-m comment --comment "it\\\'s"'],
    [
      '-m statistic --mode random --probability 0.3333333333',
      '-m statistic --mode random --probability 0.33333333349',
    ],
    ['-m state --state ESTABLISHED,RELATED', '-m conntrack --ctstate RELATED,ESTABLISHED'],
    ['-m conntrack ! --ctstate DNAT,NEW', '-m conntrack ! --ctstate NEW,DNAT'],
    [
      '-m recent --name A --rcheck --reap --seconds 60',
      '-m recent --rcheck --seconds 60 --reap --name A --mask 255.255.255.255 --rsource',
    ],
    ['-d 10.0.0.1 -j REJECT', '-d 10.0.0.1/32 -j REJECT --reject-with icmp-port-unreachable'],
    ['-d fd00::1 -j REJECT', '-d fd00::1/128 -j REJECT --reject-with icmp6-port-unreachable'],
    ['--protocol tcp --match tcp --destination-port 80 --jump ACCEPT', '-p tcp -m tcp --dport 80 -j ACCEPT'],
  ])('%s', (text, normal) => {
    expect(normalizeRule(text)).toBe(normal);
    expect(normalizeRule(normal)).toBe(normal);
  });

  test.each<[Family, string, string]>([
    ['IPv4', '-j REJECT', '-j REJECT --reject-with icmp-port-unreachable'],
    ['IPv6', '-j REJECT', '-j REJECT --reject-with icmp6-port-unreachable'],
    [
      'IPv6',
      '-m recent --set --name A',
      '-m recent --set --name A --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource',
    ],
  ])('fills in what %s implies in %s', (family, text, normal) => {
    expect(normalizeRule(text, family)).toBe(normal);
  });
});
