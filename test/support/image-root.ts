import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OciImage, openOciArchive } from '../../hack/image/oci-archive.ts';
import { createCommandRunner } from '../../pkg/runtime/index.ts';

const unpackTimeoutMs = 120_000;

/** Names the archive of the image that `npm test` has built before the sandbox, in which there is no network. */
export const imageVariable = 'WEIR_IMAGE';

/** A folder of this machine, seen in a container of the image. */
export interface HostPath {
  readonly from: string;
  readonly to: string;
  readonly readOnly?: boolean;
}

/** The unpacked image: what a container runtime would start the agent in. */
export interface ImageRoot {
  readonly image: OciImage;
  /** Every program of the image by its path, sorted. */
  programs(): Promise<readonly string[]>;
  /**
   * The words that start the image's entry point in its own root, which can't be written, with these folders mounted; in mounts
   * of its own, so that nothing is left. The program replaces them.
   */
  command(mounts: readonly HostPath[]): readonly string[];
  remove(): Promise<void>;
}

export async function unpackImage(archive: string): Promise<ImageRoot> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-image-'));
  const [oci, root] = [join(folder, 'oci'), join(folder, 'root')];
  await Promise.all([mkdir(oci), mkdir(root)]);
  const image = await openOciArchive(archive, oci);
  // Whiteouts, which would remove what a lower layer has, can't occur: the Dockerfile only adds.
  for (const layer of image.layerFiles) await untar(layer, root);
  return {
    image,
    programs: () => programsBelow(root),
    command: (mounts) => {
      const enter = ['unshare', '--mount', '--propagation=private', 'sh', '-ec', mountScript(root, mounts)];
      return [...enter, 'chroot', root, ...(image.config.config.Entrypoint ?? [])];
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** `$0 $@` are the words that enter the root. The targets of the mounts are made first, as a container runtime does. */
function mountScript(root: string, mounts: readonly HostPath[]): string {
  const lines = mounts.flatMap(({ from, to, readOnly }) => [
    `mkdir -p ${root}${to}`,
    `mount --rbind ${from} ${root}${to}`,
    ...(readOnly === true ? [`mount -o remount,bind,ro ${root}${to}`] : []),
  ]);
  return [
    `mount --bind ${root} ${root}`,
    `mount -t tmpfs tmpfs ${root}/run`,
    ...lines,
    `mount --rbind /proc ${root}/proc`,
    `mount --rbind /sys ${root}/sys`,
    `mount --rbind /dev ${root}/dev`,
    `mount -o remount,bind,ro ${root}`,
    'exec "$0" "$@"',
  ].join('\n');
}

async function programsBelow(root: string): Promise<readonly string[]> {
  const folders = ['usr/bin', 'usr/sbin', 'usr/local/bin', 'usr/local/sbin'];
  const found = folders.map(async (folder) => {
    const names = await readdir(join(root, folder)).catch(() => []);
    return names.map((name) => `/${folder}/${name}`);
  });
  return (await Promise.all(found)).flat().toSorted();
}

async function untar(file: string, folder: string): Promise<void> {
  const args = ['--extract', '--file', file, '--directory', folder];
  const result = await createCommandRunner().run({ file: 'tar', args, timeoutMs: unpackTimeoutMs });
  if (result.exitCode !== 0) throw new Error(`${file}: ${result.stderr.trim()}`);
}
