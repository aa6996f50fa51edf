import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { recordedLog } from '../../test/support/recorded-log.ts';
import { setOomScore } from './oom-score.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'oom-score-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('writes the score', async () => {
  const file = join(folder, 'oom_score_adj');
  await writeFile(file, '0\n');
  await setOomScore(-999, recordedLog(), file);
  expect(await readFile(file, 'utf8')).toBe('-999');
});

test('a score that can not be written is worth no more than a debug line', async () => {
  const log = recordedLog();
  await setOomScore(-999, log, join(folder, 'missing'));
  expect(log.lines).toEqual([expect.stringMatching(/^DEBUG oom_score_adj could not be set to -999/)]);
});
