import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';

const root = new URL('../', import.meta.url).pathname;
const rule = `\n${'-'.repeat(80)}\n`;

/**
 * The licences of every package that is in a bundle, as these demand: one text, sorted by package. Throws when a package brings
 * none.
 */
export async function bundledLicences({ inputs }: Pick<Metafile, 'inputs'>): Promise<string> {
  const folders = new Set(Object.keys(inputs).flatMap((input) => packageFolder(input) ?? []));
  const texts = [...folders].toSorted().map(licenceOf);
  return `Weir contains these packages.\n${rule}${(await Promise.all(texts)).join(rule)}`;
}

/** `node_modules/a/node_modules/@b/c/lib/d.js` → `node_modules/a/node_modules/@b/c`. */
function packageFolder(input: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0];
}

async function licenceOf(folder: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8')) as {
    readonly name: string;
    readonly version: string;
    readonly license?: string;
  };
  const files = (await readdir(join(root, folder))).filter((name) =>
    /^(licen[cs]e|copying|notice)/i.test(name),
  );
  if (files.length === 0 && manifest.license === undefined) throw new Error(`${folder} has no licence`);
  const texts = files.toSorted().map((name) => readFile(join(root, folder, name), 'utf8'));
  const title = `${manifest.name} ${manifest.version}: ${manifest.license ?? 'see below'}`;
  return [title, ...(await Promise.all(texts)).map((text) => text.trim())].join('\n\n');
}
