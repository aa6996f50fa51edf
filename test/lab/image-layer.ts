import { chmod, copyFile, glob, link, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterSecrets } from './certificates.ts';
import { runFolder } from './settings.ts';

/**
 * The programs of the lab's images, in a folder that is laid over the machine's file system in every container: one copy
 * in memory for all of them.
 */
export async function makeImageLayer(
  programs: string,
  secrets: Pick<ClusterSecrets, 'serverCertificate' | 'serverKey'>,
): Promise<string> {
  const layer = join(runFolder, 'image');
  await mkdir(layer, { recursive: true });
  for (const name of ['agnhost', 'coredns', 'kubectl', 'regression-issue-74839'])
    await copyFile(join(programs, name), join(layer, name));
  // Tests that replace one of two servers in a pod call the second so.
  await link(join(layer, 'agnhost'), join(layer, 'agnhost-2'));
  // agnhost's image has a certificate that nobody checks.
  await copyFile(secrets.serverCertificate, join(layer, 'localhost.crt'));
  await copyFile(secrets.serverKey, join(layer, 'localhost.key'));
  await mkdir(join(layer, 'usr/local/bin'), { recursive: true });
  await copyFile(join(programs, 'kube-proxy'), join(layer, 'usr/local/bin/kube-proxy'));
  await copyWeir(join(layer, 'usr/local'));
  // The machine's own is absolute as a rule, and would lead mounts out of the container.
  await mkdir(join(layer, 'var'));
  await symlink('../run', join(layer, 'var/run'));
  return layer;
}

/** As in Weir's own image. A copy: what is built while the lab runs is none of its business. */
async function copyWeir(prefix: string): Promise<void> {
  const folder = join(prefix, 'lib/weir');
  await mkdir(folder, { recursive: true });
  const bundle = new URL('../../dist/', import.meta.url).pathname;
  for await (const name of glob('weir.js*', { cwd: bundle, exclude: (name) => name.endsWith('.map') })) {
    await copyFile(join(bundle, name), join(folder, name));
  }
  await chmod(join(folder, 'weir.js'), 0o755);
  await writeFile(join(folder, 'package.json'), '{"type":"module"}\n');
  await symlink('../lib/weir/weir.js', join(prefix, 'bin/weir'));
}
