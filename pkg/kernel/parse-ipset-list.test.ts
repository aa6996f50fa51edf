import { expect, test } from 'vitest';
import { parseIpsetList } from './parse-ipset-list.ts';

test('parseIpsetList counts the members of each set, where ipset says so', () => {
  const text = [
    'Name: WEIR-4-INGRESS',
    'Type: hash:ip',
    'Revision: 6',
    'Header: family inet hashsize 1024 maxelem 1048576 bucketsize 12 initval 0x9acfeb6b',
    'Size in memory: 256',
    'References: 1',
    'Number of entries: 12',
    '',
    'Name: EMPTY',
    'Type: hash:net',
    'References: 0',
    'Number of entries: 0',
    '',
    'Name: OLD',
    'Type: hash:ip',
    'References: 0',
    '',
  ].join('\n');
  expect(parseIpsetList(text)).toEqual(
    new Map([
      ['WEIR-4-INGRESS', 12],
      ['EMPTY', 0],
      ['OLD', undefined],
    ]),
  );
  expect(parseIpsetList('')).toEqual(new Map());
});
