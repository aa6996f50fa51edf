import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isGone } from './system-error.ts';

/**
 * Listens for changes in a folder, and listens anew when the folder was replaced. What the kernel can't tell (network file
 * systems, no watches left) is found by looking from time to time, so a failure here costs speed only.
 */
export class FolderWatcher {
  readonly #folder: string;
  /** `name` is `undefined` when the kernel does not say what changed. */
  readonly #onChange: (name: string | undefined) => void;
  #watcher: FSWatcher | undefined;
  #inode: bigint | undefined;
  #problem: string | undefined;
  #missing = false;

  constructor(folder: string, onChange: (name: string | undefined) => void) {
    this.#folder = folder;
    this.#onChange = onChange;
  }

  /** Why changes are not noticed at once. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Whether the problem is that there is no such folder. */
  get missing(): boolean {
    return this.#missing;
  }

  /** Begins to listen, or looks whether it still listens to the right folder. Never rejects. */
  async ensure(): Promise<void> {
    try {
      const { ino } = await stat(this.#folder, { bigint: true });
      if (this.#watcher !== undefined && ino === this.#inode) return;
      this.close();
      this.#listen();
      this.#inode = ino;
      this.#problem = undefined;
      this.#missing = false;
    } catch (error) {
      this.#fail(error);
    }
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #listen(): void {
    const watcher = watch(this.#folder, (_event, name) => this.#onChange(name ?? undefined));
    watcher.on('error', (error) => this.#fail(error));
    this.#watcher = watcher;
  }

  #fail(error: unknown): void {
    this.close();
    this.#problem = error instanceof Error ? error.message : String(error);
    this.#missing = isGone(error);
  }
}
