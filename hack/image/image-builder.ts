import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** Debian's release in the image; in the Dockerfile the same. */
export const suite = 'trixie';

const maxShownLines = 40;

export interface ImageBuilder {
  /** Builds the Dockerfile's image, and saves it as an OCI archive. */
  build(context: string, archive: string): Promise<void>;
}

/**
 * Builds images with Debian's buildah and no container engine, as root. The base comes from mmdebstrap, so that Debian's
 * archive is the only thing that is needed of the network. What is the same next time stays below `folder`: about 1.2 GB.
 */
export function createImageBuilder(folder: string, say: (message: string) => void): ImageBuilder {
  const stores = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run')];
  const buildah = async (...args: readonly string[]): Promise<string> =>
    runProgram('buildah', [...stores, '--storage-driver', 'vfs', ...args]);
  const base = `localhost/weir-base:${suite}`;

  async function ensureBase(): Promise<void> {
    if ((await buildah('images', '--quiet', '--filter', `reference=${base}`)) !== '') return;
    say(`making a base of Debian ${suite} with mmdebstrap`);
    const tar = join(folder, 'base.tar');
    await runProgram('mmdebstrap', ['--variant=minbase', suite, tar]);
    const container = await buildah('from', 'scratch');
    await buildah('add', container, tar, '/');
    await buildah('commit', '--rm', container, base);
    await rm(tar);
  }

  async function buildStage(context: string, tag: string, ...options: readonly string[]): Promise<void> {
    const settings = [
      '--isolation',
      'chroot',
      '--network',
      'host',
      '--layers',
      '--build-arg',
      `BASE=${base}`,
    ];
    await buildah('build', ...settings, ...options, '--tag', tag, context);
  }

  return {
    async build(context, archive) {
      await ensureBase();
      say('building the image with buildah');
      // With a name of its own this stage is no rubbish below.
      await buildStage(context, 'weir-root', '--target', 'root');
      await buildStage(context, 'weir');
      await rm(`${archive}.part`, { force: true });
      await buildah('push', 'weir', `oci-archive:${archive}.part:weir`);
      await rename(`${archive}.part`, archive);
      await buildah('rm', '--all');
      await buildah('rmi', '--prune');
    },
  };
}

/** Returns what the program printed, without white space around it. Throws with its last lines unless it ends with 0. */
async function runProgram(file: string, args: readonly string[]): Promise<string> {
  const result = await execa(file, args, { all: true, reject: false, stdin: 'ignore' });
  if (result.exitCode === 0) return result.stdout.trim();
  const lines = result.all.trim().split('\n').slice(-maxShownLines);
  throw new Error(`${file} failed: ${result.shortMessage}\n${lines.join('\n')}`);
}
