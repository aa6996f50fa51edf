import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** An image as `npm run image` saves it: OCI's layout for one image, in a tar archive. */
export interface OciImage {
  /** Bytes that a node downloads: all layers, compressed. */
  readonly compressedBytes: number;
  /** Tar files, the lowest layer first. */
  readonly layerFiles: readonly string[];
  readonly config: OciConfig;
}

/** The part of the image's configuration that says how a container of it starts. */
export interface OciConfig {
  readonly architecture: string;
  readonly config: { readonly Entrypoint?: readonly string[]; readonly Env?: readonly string[] };
}

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

/** Unpacks the archive into `folder`, which has to be there, and reads its only image. */
export async function openOciArchive(archive: string, folder: string): Promise<OciImage> {
  await execa('tar', ['--extract', '--file', archive, '--directory', folder]);
  const index = (await readJson(join(folder, 'index.json'))) as { readonly manifests: readonly Descriptor[] };
  const [image] = index.manifests;
  if (image === undefined) throw new Error(`${archive} holds no image`);
  const manifest = (await readJson(blob(folder, image))) as {
    readonly config: Descriptor;
    readonly layers: readonly Descriptor[];
  };
  return {
    compressedBytes: manifest.layers.reduce((sum, layer) => sum + layer.size, 0),
    layerFiles: manifest.layers.map((layer) => blob(folder, layer)),
    config: (await readJson(blob(folder, manifest.config))) as OciConfig,
  };
}

function blob(folder: string, { digest }: Descriptor): string {
  return join(folder, 'blobs', ...digest.split(':'));
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, 'utf8'));
}
