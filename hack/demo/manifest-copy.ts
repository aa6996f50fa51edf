import { copyFile, cp, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Document, parseAllDocuments } from 'yaml';
import type { ApiObject, Pod, Service } from '../../pkg/api/index.ts';
import { systemClock } from '../../pkg/runtime/index.ts';
import { createManifestSource } from '../../pkg/source/index.ts';
import { expect } from './expect.ts';

const original = new URL('manifests/', import.meta.url).pathname;
/** Not in force before the demo puts them beside the manifests. */
const policies = new URL('policies/', import.meta.url).pathname;

/** The manifests of the demo in a temporary folder, where pods come and go. */
export class ManifestCopy {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** What the files say now, read as Weir reads them. */
  async read(): Promise<{ readonly pods: readonly Pod[]; readonly services: readonly Service[] }> {
    const objects: ApiObject[] = [];
    const source = createManifestSource({ path: this.folder, clock: systemClock });
    const ignore = (): void => undefined;
    await source.start({
      upsert: (object) => void objects.push(object),
      delete: ignore,
      synced: ignore,
      settled: ignore,
      diagnostics: (file, diagnostics) => {
        const problem = diagnostics.find(({ severity }) => severity === 'error');
        const where = `${basename(file)}, line ${problem?.location?.line ?? 1}`;
        expect(problem === undefined, `${where} can be read`, 'a valid manifest', problem?.message);
      },
    });
    await source.stop();
    return {
      pods: objects.filter((object) => object.kind === 'Pod'),
      services: objects.filter((object) => object.kind === 'Service'),
    };
  }

  /** Saves the file of pod `like` with one pod more: the same, but for its name and addresses. Resolves with the moment of saving (`Date.now()`). */
  async addPod(name: string, like: string, addresses: readonly string[]): Promise<number> {
    return this.#rewrite(like, (documents, model) => {
      const added = model.clone();
      added.setIn(['metadata', 'name'], name);
      added.setIn(['status', 'podIP'], addresses[0]);
      added.setIn(
        ['status', 'podIPs'],
        addresses.map((ip) => ({ ip })),
      );
      return [...documents, added];
    });
  }

  /** Saves the file of a pod without it. Resolves with the moment of saving. */
  async removePod(name: string): Promise<number> {
    return this.#rewrite(name, (documents, removed) => documents.filter((document) => document !== removed));
  }

  /** Puts a file of `policies/` into the folder. Resolves with the moment of saving. */
  async savePolicies(file: string): Promise<number> {
    const draft = join(this.folder, `.${file}.draft`);
    await copyFile(join(policies, file), draft);
    const savedAt = Date.now();
    await rename(draft, join(this.folder, file));
    return savedAt;
  }

  /** Takes every file of `policies/` that is there out of the folder again. Resolves with the moment before the first. */
  async removePolicies(): Promise<number> {
    const files = await readdir(policies);
    const removedAt = Date.now();
    for (const file of files) await rm(join(this.folder, file), { force: true });
    return removedAt;
  }

  async #rewrite(
    pod: string,
    change: (documents: readonly Document[], document: Document) => readonly Document[],
  ): Promise<number> {
    for (const name of await readdir(this.folder)) {
      const file = join(this.folder, name);
      const documents: readonly Document[] = parseAllDocuments(await readFile(file, 'utf8'));
      const document = documents.find((one) => isPod(one, pod));
      if (document === undefined) continue;
      // A file is replaced as a whole, as editors do: nobody ever reads half of it.
      const draft = join(this.folder, `.${name}.draft`);
      await writeFile(draft, change(documents, document).map(String).join('---\n'));
      const savedAt = Date.now();
      await rename(draft, file);
      return savedAt;
    }
    throw new RangeError(`no manifest has a pod ${pod}`);
  }
}

/** The copy is in the sandbox's own `/run`, in memory: it is gone with the sandbox, however the demo ends. */
export async function copyManifests(): Promise<ManifestCopy> {
  const folder = await mkdtemp('/run/weir-demo-');
  await cp(original, folder, { recursive: true });
  return new ManifestCopy(folder);
}

function isPod(document: Document, name: string): boolean {
  return document.get('kind') === 'Pod' && document.getIn(['metadata', 'name']) === name;
}
