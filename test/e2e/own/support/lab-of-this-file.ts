import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect } from 'vitest';

// Before anything reads it: a folder, and so a lab, of its own for each file of tests, apart from that of a developer.
const folder = process.env['WEIR_LAB'] ?? join(tmpdir(), 'weir-own-labs');
process.env['WEIR_LAB'] = join(folder, basename(expect.getState().testPath ?? 'unknown', '.test.ts'));
