import { createHash, randomUUID } from 'node:crypto';
import { glob, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { buildTags, kubernetesVersion, linkerFlags, type Program, programs } from './upstream/programs.ts';

const usage = `npm run upstream

Builds Kubernetes, its network tests and CoreDNS from the versions that hack/upstream/go.mod pins, unless the cache has
them, and prints the folder. Needs Go; takes about seven minutes on two cores the first time.
WEIR_CACHE names the folder of the cache (default: ~/.cache/weir).`;

const modules = new URL('upstream/', import.meta.url).pathname;

/**
 * The folder that holds every program of `upstream/programs.ts`. It is named after all that goes into them, so one that
 * is there is right, and another checkout or version has another. Throws what people can act on.
 */
export async function upstreamFolder(say: (line: string) => void = console.error): Promise<string> {
  const environment = goEnvironment();
  const goVersion = await readGoVersion(environment);
  const cache =
    process.env['WEIR_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weir');
  const folder = join(cache, `upstream-${await fingerprint(goVersion)}`);
  if (await exists(folder)) return folder;

  say(`building ${programs.map(({ name }) => name).join(', ')} with ${goVersion}; this takes some minutes`);
  const building = `${folder}.${randomUUID().slice(0, 8)}`;
  await mkdir(building, { recursive: true });
  try {
    const flags = linkerFlags(kubernetesVersion(await readFile(join(modules, 'go.mod'), 'utf8')));
    for (const args of goCommands(building, flags)) await runGo(args.module, args.args, environment);
    // Two builds at once do the same work; the second to end finds the folder taken.
    await rename(building, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return folder;
}

interface GoCommand {
  readonly module: Program['module'];
  readonly args: readonly string[];
}

/** All commands of a module in one build, which compiles what they share once and links side by side. */
function goCommands(folder: string, flags: string): readonly GoCommand[] {
  const options = [
    '-trimpath',
    '-mod=readonly',
    '-buildvcs=false',
    `-tags=${buildTags}`,
    `-ldflags=${flags}`,
  ];
  const parallel = process.env['WEIR_BUILD_JOBS'];
  if (parallel !== undefined) options.push(`-p=${parallel}`);
  const commands = (['.', 'coredns'] as const).map((module) => {
    const packages = programs
      .filter((program) => program.module === module && program.kind === 'command')
      .map((program) => program.package);
    // A folder as target names each command after its package; a command alone may get its own name.
    return { module, args: ['build', ...options, '-o', `${folder}/`, ...packages] };
  });
  const tests = programs
    .filter((program) => program.kind === 'test')
    .map((program) => ({
      module: program.module,
      args: ['test', '-c', ...options, '-o', join(folder, program.name), program.package],
    }));
  return [...commands, ...tests];
}

function goEnvironment(): NodeJS.ProcessEnv {
  // The official archive of Go unpacks to /usr/local/go, which sudo's PATH often lacks.
  const path = `${process.env['PATH'] ?? ''}:/usr/local/go/bin`;
  return { ...process.env, PATH: path, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' };
}

async function readGoVersion(env: NodeJS.ProcessEnv): Promise<string> {
  const needed = /^go (\S+)$/mu.exec(await readFile(join(modules, 'go.mod'), 'utf8'))?.[1] ?? '';
  const result = await execa('go', ['version'], { env, extendEnv: false, reject: false, stdin: 'ignore' });
  if (result.failed)
    throw new Error(`Go ${needed} or newer is needed to build Kubernetes: https://go.dev/dl/`);
  return result.stdout.trim().replace(/^go version /u, '');
}

async function fingerprint(goVersion: string): Promise<string> {
  const hash = createHash('sha256').update(`${goVersion}\n`);
  const files: string[] = [];
  const sources = glob(['**/*.go', '**/go.mod', '**/go.sum', 'programs.ts'], { cwd: modules });
  for await (const file of sources) files.push(file);
  for (const file of files.toSorted()) hash.update(`${file}\n`).update(await readFile(join(modules, file)));
  return hash.digest('hex').slice(0, 16);
}

async function runGo(module: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const result = await execa('go', args, {
    cwd: join(modules, module),
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

if (import.meta.main) {
  if (process.argv.includes('--help')) console.log(usage);
  else {
    try {
      console.log(await upstreamFolder());
    } catch (error) {
      console.error(error instanceof Error ? error.message : error);
      process.exitCode = 1;
    }
  }
}
