import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSysFs } from './sysfs.ts';

const buckets = 'module/nf_conntrack/parameters/hashsize';
let root = '';

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-sysfs-'));
});

afterEach(() => rm(root, { recursive: true }));

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

test.each([
  ['0\n', 1],
  ['0-3\n', 4],
  ['0-3,6,8-9\n', 7],
])('counts the processors that are on: %j', async (online, count) => {
  await put('devices/system/cpu/online', online);
  expect(await createSysFs(root).cpuCount()).toBe(count);
});

test.each([undefined, '', 'all'])(
  'counts as the operating system does where sysfs says %j',
  async (online) => {
    if (online !== undefined) await put('devices/system/cpu/online', online);
    expect(await createSysFs(root).cpuCount()).toBe(cpus().length);
  },
);

test('reads and sets the number of buckets of the conntrack table', async () => {
  await put(buckets, '65536\n');
  const sysFs = createSysFs(root);
  expect(await sysFs.conntrackBuckets()).toBe(65_536);
  await sysFs.setConntrackBuckets(131_072);
  expect(await readFile(join(root, buckets), 'utf8')).toContain('131072');
});

test('knows no buckets where the module is not loaded, and fails to set them', async () => {
  const sysFs = createSysFs(root);
  expect(await sysFs.conntrackBuckets()).toBeUndefined();
  await expect(sysFs.setConntrackBuckets(1024)).rejects.toMatchObject({
    code: 'WEIR_SYSCTL_FAILED',
    message: expect.stringMatching(/nf_conntrack\/parameters\/hashsize could not be set to 1024/) as string,
  });
});
