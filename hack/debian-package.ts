import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { cacheFolder } from './go-build.ts';

/**
 * The files of a Debian package in a folder of the cache: nothing is installed, and no service starts. What it depends on
 * is not fetched; a program of it runs where its shared libraries are there already. Throws what people can act on.
 */
export async function debianPackage(
  name: string,
  say: (line: string) => void = console.error,
): Promise<string> {
  const folder = join(cacheFolder(), `debian-${name}-${process.arch}`);
  if (await exists(folder)) return folder;
  say(`fetching Debian's package ${name}`);
  const building = `${folder}.${randomUUID().slice(0, 8)}`;
  await mkdir(join(building, 'files'), { recursive: true });
  try {
    await download(name, building);
    const archive = (await readdir(building)).find((file) => file.endsWith('.deb')) ?? '';
    await run(name, 'dpkg-deb', ['-x', join(building, archive), join(building, 'files')], building);
    // Two at once do the same work; the second to end finds the folder taken.
    await rename(join(building, 'files'), folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return folder;
}

/** The lists of a new machine, a container's above all, are empty or old. */
async function download(name: string, folder: string): Promise<void> {
  try {
    await run(name, 'apt-get', ['download', name], folder);
  } catch {
    await run(name, 'apt-get', ['update'], folder);
    await run(name, 'apt-get', ['download', name], folder);
  }
}

async function run(name: string, file: string, args: readonly string[], cwd: string): Promise<void> {
  const result = await execa(file, args, { cwd, reject: false, stdin: 'ignore', all: true });
  if (result.code === 'ENOENT')
    throw new Error(
      `${file} is missing: ${name} is taken from Debian's package, so this needs Debian or Ubuntu.`,
    );
  if (result.failed) throw new Error(`${file} ${args.join(' ')}: ${result.all}`);
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
