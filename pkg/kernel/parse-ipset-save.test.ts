import { describe, expect, test } from 'vitest';
import { parseIpsetSave } from './parse-ipset-save.ts';

describe('parseIpsetSave', () => {
  test('gives type, family, size and members of every set', () => {
    const sets = parseIpsetSave(
      [
        'create A hash:ip,port family inet hashsize 1024 maxelem 1048576 bucketsize 12 initval 0x38f80246',
        'add A 10.96.0.1,tcp:80',
        'add A 10.96.0.2,udp:53',
        'create WEIR-6-N hash:net family inet6 hashsize 1024 maxelem 65536 timeout 0 bucketsize 12 initval 0x38f80246',
        'add WEIR-6-N fd00::/64 timeout 30',
        'create EMPTY hash:ip,port,net family inet hashsize 1024 maxelem 10',
        '',
      ].join('\n'),
    );
    expect(sets).toEqual(
      new Map([
        [
          'A',
          {
            spec: { name: 'A', type: 'hash:ip,port', family: 'IPv4', maxElements: 1_048_576 },
            members: new Set(['10.96.0.1,tcp:80', '10.96.0.2,udp:53']),
          },
        ],
        [
          'WEIR-6-N',
          {
            spec: { name: 'WEIR-6-N', type: 'hash:net', family: 'IPv6', maxElements: 65_536 },
            members: new Set(['fd00::/64']),
          },
        ],
        [
          'EMPTY',
          {
            spec: { name: 'EMPTY', type: 'hash:ip,port,net', family: 'IPv4', maxElements: 10 },
            members: new Set(),
          },
        ],
      ]),
    );
  });

  test('gives members in the form in which Weir writes them', () => {
    const text =
      'create N hash:net family inet6 hashsize 1024 maxelem 10\nadd N ::0.1.0.0/112\nadd N ::2 timeout 0\n' +
      'create P hash:ip,port family inet6 hashsize 1024 maxelem 10\nadd P ::0.1.0.2,tcp:80\n';
    expect(Array.from(parseIpsetSave(text).values(), ({ members }) => [...members])).toEqual([
      ['::1:0/112', '::2'],
      ['::1:2,tcp:80'],
    ]);
  });

  test('leaves out the members of sets of types that Weir does not use', () => {
    const text = 'create P bitmap:port range 0-65535\nadd P 80\ncreate A hash:ip family inet\nadd A 10.0.0.1';
    const sets = parseIpsetSave(text);
    expect(Array.from(sets.values(), ({ spec, members }) => [spec.name, spec.type, ...members])).toEqual([
      ['P', 'bitmap:port'],
      ['A', 'hash:ip', '10.0.0.1'],
    ]);
  });
});
