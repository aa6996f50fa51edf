import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { build as bundle, type Plugin } from 'esbuild';
import { startWords } from '../controllers/memory-flags.ts';
import { bundledLicences } from './bundled-licences.ts';

const root = new URL('../', import.meta.url);
const isPart = /^weir\.js\.[\w-]+-[A-Z0-9]{8}\.js/;

/**
 * Bundles the program into `dist/weir.js`, with parts beside it (`weir.js.*`) that are loaded when they are needed: most
 * commands never talk to an API server. esbuild prints what is wrong before this rejects.
 * Some packages are CommonJS inside and call `require`, which an ES module must make for itself: hence the banner.
 */
export async function build(): Promise<void> {
  const manifest = JSON.parse(await readFile(new URL('package.json', root), 'utf8')) as {
    readonly version: string;
  };
  const { metafile } = await bundle({
    absWorkingDir: root.pathname,
    entryPoints: { weir: 'controllers/start.ts' },
    outdir: 'dist',
    chunkNames: 'weir.js.[name]-[hash]',
    bundle: true,
    splitting: true,
    // Less for Node to read at each start, and the names in a stack trace stay.
    minifyWhitespace: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    sourcemap: 'linked',
    legalComments: 'external',
    plugins: [onlyWhatIsUsed('@kubernetes/client-node')],
    metafile: true,
    define: { 'process.env.WEIR_VERSION': JSON.stringify(manifest.version) },
    banner: {
      js: [
        // What the program would else start itself anew with.
        `#!/usr/bin/env -S ${startWords.join(' ')}`,
        'if (Number.parseInt(process.versions.node, 10) < 24) {',
        '  process.stderr.write(`error: weir needs Node.js 24 or newer, this is ${process.versions.node}\\n`);',
        '  process.exit(1);',
        '}',
        "import { createRequire as createRequireForBundle } from 'node:module';",
        'const require = createRequireForBundle(import.meta.url);',
      ].join('\n'),
    },
    logLevel: 'warning',
  });
  await removeFormerParts(new Set(Object.keys(metafile.outputs)));
  await writeFile(new URL('dist/weir.js.LICENSES.txt', root), await bundledLicences(metafile));
  await chmod(new URL('dist/weir.js', root), 0o755);
}

/**
 * Leaves out the modules of a package of which nothing is used, as if its package.json had `sideEffects: false`: client-node's
 * would otherwise all be loaded for the sake of its kubeconfig, which takes 10 MB of memory on every node.
 */
function onlyWhatIsUsed(name: string): Plugin {
  const folder = `/node_modules/${name}/`;
  return {
    name: 'only what is used',
    setup: (bundler) => {
      bundler.onResolve({ filter: /.*/ }, async ({ path, pluginData, ...from }) => {
        const isOfPackage = path === name || (path.startsWith('.') && from.importer.includes(folder));
        if (!isOfPackage || pluginData === name) return undefined;
        return { ...(await bundler.resolve(path, { ...from, pluginData: name })), sideEffects: false };
      });
    },
  };
}

/** What a build before left, under names that change with the content. */
async function removeFormerParts(outputs: ReadonlySet<string>): Promise<void> {
  const names = await readdir(new URL('dist/', root));
  const former = names.filter((name) => isPart.test(name) && !outputs.has(`dist/${name}`));
  await Promise.all(former.map((name) => rm(new URL(`dist/${name}`, root), { force: true })));
}

if (import.meta.main) {
  try {
    await build();
    console.log('built dist/weir.js');
  } catch {
    process.exitCode = 1;
  }
}
