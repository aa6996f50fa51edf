import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Flags } from '../../pkg/config/index.ts';
import { kubeadmConfig } from '../../test/support/kubeadm-config.ts';
import { config } from './config.ts';

describe('weir config', () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-config-'));
    file = join(folder, 'config.conf');
    await writeFile(file, kubeadmConfig);
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function outputOf(flags: Flags): Promise<{ written: string; warned: string }> {
    let written = '';
    let warned = '';
    const output = {
      write: (text: string) => {
        written += text;
      },
      warn: (text: string) => {
        warned += text;
      },
      isColoured: false,
    };
    expect(await config({ flags, output })).toBe(0);
    return { written, warned };
  }

  test('prints both documents, with every default', async () => {
    const { written, warned } = await outputOf({ config: file, iptablesBackend: 'nft' });
    expect(warned).toBe('');
    expect(written).toMatch(/^apiVersion: kubeproxy\.config\.k8s\.io\/v1alpha1\nbindAddress: 0\.0\.0\.0\n/);
    expect(written).toContain('\n  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf\n');
    expect(written).toMatch(/\n---\napiVersion: weir\.dev\/v1alpha1\n[^]*\niptablesBackend: nft\n/);
  });

  test('warns beside the result', async () => {
    const { warned } = await outputOf({ config: file, clusterCidr: '10.0.0.0/8', profiling: true });
    expect(warned).toBe(
      'warning: --cluster-cidr is ignored beside --config; the file says clusterCIDR\nwarning: --profiling has no effect: Weir has no profiling endpoint\n',
    );
  });

  test('--write-config-to writes the same into a file, and prints nothing', async () => {
    const to = join(folder, 'written.yaml');
    const { written } = await outputOf({ config: file });
    expect(await outputOf({ config: file, writeConfigTo: to })).toEqual({ written: '', warned: '' });
    expect(await readFile(to, 'utf8')).toBe(written);
  });

  test.each<[string, Flags, RegExp]>([
    ['a mistake in the file', { config: 'bad' }, /\/bad:1:1: .*\n.*\/bad:3:1: .*\n.*\/bad:5:3: /s],
    ['a file that is missing', { config: 'none' }, /--config: .*\/none can't be read: ENOENT/],
    ['a folder', { config: '' }, /--config: .* can't be read: EISDIR/],
    [
      'a place where nothing can be written',
      { writeConfigTo: 'no/file' },
      /--write-config-to: .*\/no\/file can't be written: ENOENT/,
    ],
  ])('%s is an error', async (_, flags, message) => {
    await writeFile(join(folder, 'bad'), 'a: 1\n---\nb: 2\n---\n  c: 3\n');
    const paths = Object.fromEntries(
      Object.entries(flags).map(([key, path]) => [key, join(folder, String(path))]),
    );
    await expect(outputOf(paths)).rejects.toThrow(message);
  });
});
