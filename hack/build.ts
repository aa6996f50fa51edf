import { chmod, readFile } from 'node:fs/promises';
import { build as bundle } from 'esbuild';

const root = new URL('../', import.meta.url);

/**
 * Bundles the program into `dist/weir.js` with a source map. esbuild prints what is wrong before this rejects.
 * Some packages are CommonJS inside and call `require`, which an ES module must make for itself: hence the banner.
 */
export async function build(): Promise<void> {
  const manifest = JSON.parse(await readFile(new URL('package.json', root), 'utf8')) as {
    readonly version: string;
  };
  await bundle({
    absWorkingDir: root.pathname,
    entryPoints: ['controllers/main.ts'],
    outfile: 'dist/weir.js',
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    sourcemap: 'linked',
    legalComments: 'external',
    define: { 'process.env.WEIR_VERSION': JSON.stringify(manifest.version) },
    banner: {
      js: [
        // Young objects in a small space: a big cluster's start would otherwise double the memory of the process.
        '#!/usr/bin/env -S node --max-semi-space-size=4',
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
  await chmod(new URL('dist/weir.js', root), 0o755);
}

if (import.meta.main) {
  try {
    await build();
    console.log('built dist/weir.js');
  } catch {
    process.exitCode = 1;
  }
}
