import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { namespacedName } from '../../api/index.ts';
import type { Clock } from '../../runtime/index.ts';
import type { CniResult } from './cni-result.ts';
import { ResultsFolder } from './results-folder.ts';

interface CniCacheOptions {
  /** Cache folders, the parents of `results`. Those that are not there are looked for again from time to time. */
  readonly folders: readonly string[];
  readonly clock: Clock;
  /** `results()` gives something else than before. Not called by `start`. */
  readonly onChange: () => void;
  /** What is wrong now, in one line; `undefined` when it is over. A folder that is not there is all right while another is. */
  readonly onProblem: (problem: string | undefined) => void;
}

/** The results of CNI ADD that container runtimes keep, followed. */
export interface CniCache {
  /** Resolves when all that is there has been read; what can't be read becomes a problem. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** The newest result of each pod, sorted by namespace/name. The same list until something changes. */
  results(): readonly CniResult[];
}

/** Where the runtimes keep them unless told otherwise. */
export const cniCacheFolders: readonly string[] = ['/var/lib/cni', '/var/lib/cni/cache'];

/**
 * Follows the caches that libcni writes for containerd and CRI-O: a file per sandbox and interface, written before the pod's
 * containers start and removed after they have ended.
 */
export function createCniCache(options: CniCacheOptions): CniCache {
  return new FolderCniCache(options);
}

class FolderCniCache implements CniCache {
  readonly #options: CniCacheOptions;
  readonly #folders: ReadonlyMap<string, ResultsFolder>;
  #results: readonly CniResult[] = [];
  #problem: string | undefined;

  constructor(options: CniCacheOptions) {
    this.#options = options;
    const onLook = (): void => {
      if (this.#takeResults()) options.onChange();
      this.#tellProblem();
    };
    const paths = options.folders.map((folder) => join(folder, 'results'));
    this.#folders = new Map(
      paths.map((path) => [path, new ResultsFolder({ path, clock: options.clock, onLook })]),
    );
  }

  async start(): Promise<void> {
    await Promise.all([...this.#folders.values()].map((folder) => folder.start()));
    this.#takeResults();
    this.#tellProblem();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#folders.values()].map((folder) => folder.stop()));
  }

  results(): readonly CniResult[] {
    return this.#results;
  }

  #takeResults(): boolean {
    const results = newestOfEachPod([...this.#folders.values()].flatMap((folder) => [...folder.results()]));
    if (isDeepStrictEqual(results, this.#results)) return false;
    this.#results = results;
    return true;
  }

  #tellProblem(): void {
    const problem = problemOf(this.#folders);
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.onProblem(problem);
  }
}

function newestOfEachPod(results: readonly CniResult[]): readonly CniResult[] {
  const byPod = Map.groupBy(results, ({ namespace, name }) => namespacedName(namespace, name));
  return [...byPod]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, group]) => group.reduce((a, b) => (isNewer(b, a) ? b : a)));
}

/** Files of one tick of the file system's clock have the same time: some order, but always the same. */
function isNewer(a: CniResult, b: CniResult): boolean {
  return a.addedNs === b.addedNs ? a.containerId > b.containerId : a.addedNs > b.addedNs;
}

function problemOf(folders: ReadonlyMap<string, ResultsFolder>): string | undefined {
  const problems: string[] = [];
  const missing: string[] = [];
  for (const [path, { state }] of folders) {
    if (state === 'missing') missing.push(path);
    else if (state !== 'read') problems.push(state.problem);
  }
  if (problems.length > 0) return problems.join('; ');
  if (missing.length < folders.size) return undefined;
  return `new pods are known only when the API shows their addresses: there is no ${missing.join(' and no ')}`;
}
