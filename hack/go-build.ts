import { createHash, randomUUID } from 'node:crypto';
import { glob, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

/** Programs that are built from Go modules of ours, which pin all they are made of. */
export interface GoBuild {
  /** Of its folder in the cache. */
  readonly name: string;
  /** For people. */
  readonly what: string;
  /** Folder of the sources: go.mod stands in it, other modules below. */
  readonly sources: string;
  /** Everything that puts programs into the folder. */
  commands(folder: string): Promise<readonly GoCommand[]>;
}

export interface GoCommand {
  /** Folder of the module, below the sources. */
  readonly module: string;
  readonly args: readonly string[];
}

/**
 * The folder with the programs. It is named after all that goes into them, so one that is there is right, and another
 * checkout or version has another. Throws what people can act on.
 */
export async function cachedGoBuild(build: GoBuild, say: (line: string) => void): Promise<string> {
  const environment = goEnvironment();
  const goVersion = await readGoVersion(build, environment);
  const folder = join(cacheFolder(), `${build.name}-${await fingerprint(build.sources, goVersion)}`);
  if (await exists(folder)) return folder;

  say(`building ${build.what} with ${goVersion}; this takes some minutes`);
  const building = `${folder}.${randomUUID().slice(0, 8)}`;
  await mkdir(building, { recursive: true });
  try {
    for (const { module, args } of await build.commands(building))
      await runGo(join(build.sources, module), args, environment);
    // Two builds at once do the same work; the second to end finds the folder taken.
    await rename(building, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return folder;
}

/** Where programs are kept that take long to get. */
export function cacheFolder(): string {
  return (
    process.env['WEIR_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weir')
  );
}

/** Options of `go build` and `go test -c` that all share: the same sources give the same bytes. */
export function goOptions(tags: string, linkerFlags: string): readonly string[] {
  const parallel = process.env['WEIR_BUILD_JOBS'];
  return [
    '-trimpath',
    '-mod=readonly',
    '-buildvcs=false',
    `-tags=${tags}`,
    `-ldflags=${linkerFlags}`,
    ...(parallel === undefined ? [] : [`-p=${parallel}`]),
  ];
}

function goEnvironment(): NodeJS.ProcessEnv {
  // The official archive of Go unpacks to /usr/local/go, which sudo's PATH often lacks.
  const path = `${process.env['PATH'] ?? ''}:/usr/local/go/bin`;
  return { ...process.env, PATH: path, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' };
}

async function readGoVersion({ what, sources }: GoBuild, env: NodeJS.ProcessEnv): Promise<string> {
  const needed = /^go (\S+)$/mu.exec(await readFile(join(sources, 'go.mod'), 'utf8'))?.[1] ?? '';
  const result = await execa('go', ['version'], { env, extendEnv: false, reject: false, stdin: 'ignore' });
  if (result.failed) throw new Error(`Go ${needed} or newer is needed to build ${what}: https://go.dev/dl/`);
  return result.stdout.trim().replace(/^go version /u, '');
}

async function fingerprint(sources: string, goVersion: string): Promise<string> {
  const hash = createHash('sha256').update(`${goVersion}\n`);
  const files: string[] = [];
  for await (const file of glob(['**/*.go', '**/go.mod', '**/go.sum', 'programs.ts'], { cwd: sources }))
    files.push(file);
  for (const file of files.toSorted()) hash.update(`${file}\n`).update(await readFile(join(sources, file)));
  return hash.digest('hex').slice(0, 16);
}

async function runGo(cwd: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const result = await execa('go', args, {
    cwd,
    env,
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  });
  if (result.failed) throw new Error(`go ${args[0]} failed; its message is above.`);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
