import { mergeCidr } from 'cidr-tools';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyCidr, cidr, closeCidr, sortTexts } from '../../test/support/cidrs.ts';
import { formatCidr, parseCidr } from './cidr.ts';
import { mergeCidrs } from './merge-cidrs.ts';

const merge = (...texts: readonly string[]) => mergeCidrs(texts.map(cidr)).map(formatCidr);

describe('mergeCidrs', () => {
  it('gives nothing for nothing', () => {
    expect(merge()).toEqual([]);
  });

  it('drops covered and repeated blocks', () => {
    expect(merge('10.1.0.0/16', '10.0.0.0/8', '10.1.0.0/16', '10.2.3.4/32')).toEqual(['10.0.0.0/8']);
  });

  it('joins halves, and the halves that result', () => {
    expect(merge('10.0.0.128/25', '10.0.1.0/24', '10.0.0.0/25')).toEqual(['10.0.0.0/23']);
    expect(merge('0.0.0.0/1', '128.0.0.0/1')).toEqual(['0.0.0.0/0']);
    expect(merge('::/1', '8000::/1')).toEqual(['::/0']);
  });

  it('leaves neighbours that are no halves of one block', () => {
    expect(merge('10.0.1.0/24', '10.0.2.0/24')).toEqual(['10.0.1.0/24', '10.0.2.0/24']);
  });

  it('keeps the families apart, IPv4 first, in numerical order', () => {
    expect(merge('::/0', '9.0.0.0/8', '10.0.0.0/8', '100.0.0.0/8')).toEqual([
      '9.0.0.0/8',
      '10.0.0.0/8',
      '100.0.0.0/8',
      '::/0',
    ]);
  });

  it('gives what cidr-tools gives', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(anyCidr, closeCidr), { maxLength: 12 }), (texts) => {
        expect(sortTexts(merge(...texts))).toEqual(
          sortTexts(mergeCidr(texts).map((text) => formatCidr(cidr(text)))),
        );
      }),
    );
  });

  it('does not depend on the order', () => {
    fc.assert(
      fc.property(fc.array(closeCidr, { maxLength: 12 }), (texts) => {
        expect(merge(...texts.toReversed())).toEqual(merge(...texts));
        expect(mergeCidrs(mergeCidrs(texts.map(cidr)))).toEqual(mergeCidrs(texts.map(cidr)));
        expect(merge(...texts).every((text) => parseCidr(text) !== undefined)).toBe(true);
      }),
    );
  });
});
