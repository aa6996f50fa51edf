import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isGone, isSystemError } from '../system-error.ts';

/** The files behind the path that was given: itself, or what is directly in it. */
export interface ManifestFolder {
  readonly path: string;
  /** The folder in which changes show: an editor replaces a file by renaming another over it. */
  readonly watched: string;
  /** Whether a change of this name in `watched` can concern the manifests. */
  readonly concerns: (name: string) => boolean;
  /** The files there are, sorted by name, each with a stamp that changes with its content. Rejects as the file system does. */
  readonly list: () => Promise<ReadonlyMap<string, string>>;
}

/** Rejects as the file system does when there is nothing at `path`. */
export async function openManifestFolder(path: string): Promise<ManifestFolder> {
  return (await stat(path)).isDirectory() ? wholeFolder(path) : singleFile(path);
}

function wholeFolder(path: string): ManifestFolder {
  return {
    path,
    watched: path,
    // A folder that is moved away tells so by its own name.
    concerns: (name) => isManifestName(name) || isVolumeInternal(name) || name === basename(path),
    list: async () => {
      const names = (await readdir(path)).filter(isManifestName).toSorted();
      return stampAll(names.map((name) => join(path, name)));
    },
  };
}

function singleFile(path: string): ManifestFolder {
  return {
    path,
    watched: dirname(path),
    concerns: (name) => name === basename(path) || isVolumeInternal(name),
    list: () => stampAll([path]),
  };
}

/** As `kubectl apply -f FOLDER` chooses; hidden files are editors' leftovers. */
function isManifestName(name: string): boolean {
  return /^[^.].*\.(?:yaml|yml|json)$/.test(name);
}

/** A mounted ConfigMap changes by a swap of the link `..data` through which all its files go. */
function isVolumeInternal(name: string): boolean {
  return name.startsWith('..');
}

async function stampAll(files: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const stamps = await Promise.all(files.map(stampOf));
  const found = new Map<string, string>();
  for (const [index, file] of files.entries()) {
    const stamp = stamps[index];
    if (stamp !== undefined) found.set(file, stamp);
  }
  return found;
}

/** Links are followed. `undefined` for what is no file, or is gone. */
async function stampOf(file: string): Promise<string | undefined> {
  try {
    const stats = await stat(file, { bigint: true });
    if (stats.isDirectory()) return undefined;
    return `${stats.dev}/${stats.ino}/${stats.mtimeNs}/${stats.size}`;
  } catch (error) {
    if (isGone(error)) return undefined;
    // It is there, and reading it will say what is wrong with it.
    if (isSystemError(error)) return 'unknown';
    throw error;
  }
}
