import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { existingTables } from './existing-tables.ts';

const both = ['filter', 'nat'] as const;
let procRoot: string;

beforeAll(async () => {
  procRoot = await mkdtemp(join(tmpdir(), 'weir-proc-'));
  await mkdir(join(procRoot, 'net'));
  await writeFile(join(procRoot, 'net/ip_tables_names'), 'mangle\nnat\n');
});
afterAll(() => rm(procRoot, { recursive: true }));

test('on legacy, only the tables that the kernel has', async () => {
  expect(await existingTables({ family: 'IPv4', backend: 'legacy' }, both, procRoot)).toEqual(['nat']);
});

test('none where the module is not loaded', async () => {
  expect(await existingTables({ family: 'IPv6', backend: 'legacy' }, both, procRoot)).toEqual([]);
});

test('on nf_tables both, since looking creates nothing', async () => {
  expect(await existingTables({ family: 'IPv6', backend: 'nft' }, both, procRoot)).toEqual(['filter', 'nat']);
});
