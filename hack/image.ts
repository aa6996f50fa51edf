import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from './build.ts';
import { cachedImage, whyNoImage } from './image/cached-image.ts';
import { openOciArchive } from './image/oci-archive.ts';

const usage = `npm run image [-- --fresh]

Builds the agent's image from the Dockerfile, without a container engine: as root, with Debian's buildah and mmdebstrap.
Saves it as an OCI archive in dist/, which skopeo, podman load, ctr images import and others read.
  --fresh   start from nothing, with the present versions of Debian's packages`;

async function main(words: readonly string[]): Promise<number> {
  const unknown = words.find((word) => word !== '--fresh');
  if (unknown !== undefined) {
    console.error(`unknown: ${unknown}\n\n${usage}`);
    return 1;
  }
  const why = await whyNoImage();
  if (why !== undefined) {
    console.error(
      `The image can't be built here: ${why}. Where there is a container engine: docker build --tag weir .`,
    );
    return 1;
  }
  await build();
  const saved = new URL(`../dist/weir-image-${process.arch}.tar`, import.meta.url).pathname;
  const archive = await cachedImage((message) => console.log(message), words.includes('--fresh'));
  await copyFile(archive, saved);
  console.log(`built ${saved}: ${megabytes(await compressedBytes(saved))} MB compressed`);
  return 0;
}

async function compressedBytes(archive: string): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-image-'));
  try {
    return (await openOciArchive(archive, folder)).compressedBytes;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

const words = process.argv.slice(2).filter((word) => word !== '--');
if (words.includes('--help') || words.includes('-h')) {
  console.log(usage);
} else {
  try {
    process.exitCode = await main(words);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
