import { describe, expect, it } from 'vitest';
import { joinPorts } from './ports.ts';

describe('joinPorts', () => {
  it('joins numbers and ranges of one protocol and keeps the protocols apart', () => {
    expect(
      joinPorts([
        { kind: 'range', protocol: 'UDP', first: 53, last: 53 },
        { kind: 'range', protocol: 'TCP', first: 443, last: 443 },
        { kind: 'range', protocol: 'TCP', first: 85, last: 90 },
        { kind: 'range', protocol: 'TCP', first: 80, last: 84 },
      ]),
    ).toEqual([
      {
        protocol: 'TCP',
        ranges: [
          { first: 80, last: 90 },
          { first: 443, last: 443 },
        ],
        names: [],
      },
      { protocol: 'UDP', ranges: [{ first: 53, last: 53 }], names: [] },
    ]);
  });

  it('needs no number and no name of a protocol that is allowed whole', () => {
    expect(
      joinPorts([
        { kind: 'range', protocol: 'SCTP', first: 53, last: 53 },
        { kind: 'any', protocol: 'SCTP' },
        { kind: 'named', protocol: 'SCTP', name: 'web' },
        { kind: 'named', protocol: 'TCP', name: 'web' },
        { kind: 'named', protocol: 'TCP', name: 'api' },
        { kind: 'named', protocol: 'TCP', name: 'web' },
      ]),
    ).toEqual([
      { protocol: 'TCP', ranges: [], names: ['api', 'web'] },
      { protocol: 'SCTP', ranges: undefined, names: [] },
    ]);
  });

  it('allows nothing for a list of which nothing could be read', () => {
    expect(joinPorts([])).toEqual([]);
  });
});
