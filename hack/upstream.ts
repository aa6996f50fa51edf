import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedGoBuild, type GoCommand, goOptions } from './go-build.ts';
import { buildTags, kubernetesVersion, linkerFlags, programs } from './upstream/programs.ts';

const usage = `npm run upstream

Builds Kubernetes, its network tests and CoreDNS from the versions that hack/upstream/go.mod pins, unless the cache has
them, and prints the folder. Needs Go; takes about seven minutes on two cores the first time.
WEIR_CACHE names the folder of the cache (default: ~/.cache/weir).`;

const modules = new URL('upstream/', import.meta.url).pathname;

/** The folder that holds every program of `upstream/programs.ts`. Throws what people can act on. */
export function upstreamFolder(say: (line: string) => void = console.error): Promise<string> {
  const what = programs.map(({ name }) => name).join(', ');
  return cachedGoBuild({ name: 'upstream', what, sources: modules, commands: goCommands }, say);
}

/** All commands of a module in one build, which compiles what they share once and links side by side. */
async function goCommands(folder: string): Promise<readonly GoCommand[]> {
  const flags = linkerFlags(kubernetesVersion(await readFile(join(modules, 'go.mod'), 'utf8')));
  const options = goOptions(buildTags, flags);
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
