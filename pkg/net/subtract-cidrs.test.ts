import { excludeCidr } from 'cidr-tools';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyCidr, cidr, closeCidr, sortTexts } from '../../test/support/cidrs.ts';
import { compareCidrs, formatCidr } from './cidr.ts';
import { mergeCidrs } from './merge-cidrs.ts';
import { subtractCidrs } from './subtract-cidrs.ts';

const subtract = (from: string, ...holes: readonly string[]) =>
  subtractCidrs(cidr(from), holes.map(cidr)).map(formatCidr);

describe('subtractCidrs', () => {
  it('leaves a block without holes whole', () => {
    expect(subtract('10.0.0.0/8')).toEqual(['10.0.0.0/8']);
  });

  it('ignores holes outside and of the other family', () => {
    expect(subtract('10.0.0.0/8', '11.0.0.0/8', '::/0')).toEqual(['10.0.0.0/8']);
  });

  it('leaves nothing of a block that a hole covers', () => {
    expect(subtract('10.0.0.0/24', '10.0.0.0/24')).toEqual([]);
    expect(subtract('10.0.0.0/24', '10.0.0.0/8')).toEqual([]);
    expect(subtract('10.0.0.0/24', '10.0.0.0/25', '10.0.0.128/25')).toEqual([]);
  });

  it('cuts one address out of a block', () => {
    expect(subtract('192.168.1.0/29', '192.168.1.2/32')).toEqual([
      '192.168.1.0/31',
      '192.168.1.3/32',
      '192.168.1.4/30',
    ]);
  });

  it('cuts a block out of everything', () => {
    expect(subtract('0.0.0.0/0', '128.0.0.0/1')).toEqual(['0.0.0.0/1']);
    expect(subtract('0.0.0.0/0', '10.0.0.0/8')).toHaveLength(8);
    expect(subtract('::/0', '::1/128')).toHaveLength(128);
  });

  it('leaves what cidr-tools leaves, sorted and minimal', () => {
    fc.assert(
      fc.property(fc.oneof(anyCidr, closeCidr), fc.array(closeCidr, { maxLength: 10 }), (from, holes) => {
        const rest = subtractCidrs(cidr(from), holes.map(cidr));
        const theirs = excludeCidr([from], holes).map((text) => formatCidr(cidr(text)));
        expect(sortTexts(rest.map(formatCidr))).toEqual(sortTexts(theirs));
        expect(rest).toEqual(rest.toSorted(compareCidrs));
        expect(rest).toEqual(mergeCidrs(rest));
      }),
    );
  });
});
