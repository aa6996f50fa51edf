import { createHash } from 'node:crypto';
import { access, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { createImageBuilder, suite } from './image-builder.ts';

const root = new URL('../../', import.meta.url).pathname;
const programs = ['buildah', 'mmdebstrap'] as const;
/** Of these everything is made but the program. */
const systemFiles = [
  'Dockerfile',
  'hack/image/root.sh',
  `node_modules/node-linux-${process.arch}/package.json`,
] as const;

/** Where images and what they are made of are kept between runs. */
function imageCache(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weir-image');
}

/** Why this machine can't build the image; undefined when it can. */
export async function whyNoImage(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root can build it';
  const results = await Promise.all(
    programs.map((program) => execa(program, ['--version'], { reject: false })),
  );
  const missing = programs.filter((_, index) => results[index]?.exitCode !== 0);
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`;
}

/**
 * The archive of the image that holds `dist/weir.js` as it is now; built unless the last build had the same content.
 * `fresh` forgets what is kept, and with it old versions of Debian's packages.
 */
export async function cachedImage(say: (message: string) => void, fresh = false): Promise<string> {
  const cache = imageCache();
  if (fresh) await rm(cache, { recursive: true, force: true });
  await mkdir(cache, { recursive: true, mode: 0o700 });
  const system = await digest(systemFiles);
  const folder = join(cache, system);
  const archive = join(folder, `${await digest(await programFiles())}.tar`);
  if (await exists(archive)) return archive;
  await removeOthers(cache, system);
  await mkdir(folder, { recursive: true });
  const older = await archivesIn(folder);
  await createImageBuilder(folder, say).build(root, archive);
  for (const name of older) await rm(join(folder, name), { force: true });
  return archive;
}

async function programFiles(): Promise<readonly string[]> {
  const names = (await readdir(join(root, 'dist'))).filter(
    (name) => name.startsWith('weir.js') && !name.endsWith('.map'),
  );
  return ['LICENSE', ...names.toSorted().map((name) => `dist/${name}`)];
}

async function digest(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(`${suite} ${process.arch}\n`);
  for (const file of files) hash.update(`${file}\n`).update(await readFile(join(root, file)));
  return hash.digest('hex').slice(0, 16);
}

async function removeOthers(folder: string, keep: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name !== keep);
  for (const name of names) await rm(join(folder, name), { recursive: true, force: true });
}

async function archivesIn(folder: string): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.tar'));
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
