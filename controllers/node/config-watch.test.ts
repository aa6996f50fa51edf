import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { watchConfig } from './config-watch.ts';

const text = 'mode: iptables\n';

let folder: string;
let file: string;
let clock: FakeClock;
let stop: AbortController;
let ended: string | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'config-watch-'));
  file = join(folder, 'config.yaml');
  clock = new FakeClock();
  stop = new AbortController();
  ended = undefined;
  await writeFile(join(folder, 'first'), text);
  await symlink('first', file);
  void outcomeOf(watchConfig({ file, text, clock, signal: stop.signal }));
  await waitFor(() => clock.sleeping > 0);
});

afterEach(async () => {
  stop.abort();
  await rm(folder, { recursive: true });
});

async function outcomeOf(watch: Promise<void>): Promise<void> {
  try {
    await watch;
    ended = 'stopped';
  } catch (error) {
    ended = String(error);
  }
}

async function waitFor(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1000 && !condition(); turn++)
    await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Reading the file takes real time, between two sleeps of the fake clock. */
async function look(): Promise<void> {
  await clock.advance(10_000);
  await waitFor(() => clock.sleeping > 0 || ended !== undefined);
}

test('a link that is swapped, as the kubelet does with a ConfigMap, ends the watch when the content differs', async () => {
  await look();
  expect(ended).toBeUndefined();
  await writeFile(join(folder, 'second'), 'mode: ipvs\n');
  await symlink('second', join(folder, 'link'));
  await rename(join(folder, 'link'), file);
  await look();
  expect(ended).toContain('config.yaml has changed');
});

test('the same content in another file, or no file for a while, is no change', async () => {
  await writeFile(join(folder, 'same'), text);
  await symlink('same', join(folder, 'link'));
  await rename(join(folder, 'link'), file);
  await look();
  await rm(file);
  await look();
  await symlink('first', file);
  await look();
  expect(ended).toBeUndefined();
  stop.abort();
  await waitFor(() => ended !== undefined);
  expect(ended).toBe('stopped');
});

test('a change between reading and watching is one, too', async () => {
  const late = new FakeClock();
  const watch = outcomeOf(watchConfig({ file, text: 'mode: ipvs\n', clock: late, signal: stop.signal }));
  await late.advance(10_000);
  await watch;
  expect(ended).toContain('config.yaml has changed');
});
