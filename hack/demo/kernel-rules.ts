import type { FamilyTools } from '../../pkg/apply/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { NetworkNamespace } from '../../test/support/network-namespace.ts';
import { expect } from './expect.ts';

const patienceMs = 5000;

/** Looks at the rules that the node's kernel holds, with the system's own programs and without a word from Weir. */
export class KernelRules {
  readonly #node: NetworkNamespace;
  readonly #families: readonly FamilyTools[];

  constructor(node: NetworkNamespace, families: readonly FamilyTools[]) {
    this.#node = node;
    this.#families = families;
  }

  /** Every rule of both families and every set, without what changes by itself: dates and packet counters. */
  async everything(): Promise<string> {
    const texts = await Promise.all([
      ...this.#families.flatMap(({ save }) => [this.#save(save, 'nat'), this.#save(save, 'filter')]),
      this.#node.run('ipset', ['save']).then(({ stdout }) => stdout),
    ]);
    return texts
      .join('')
      .replaceAll(/^#.*\n/gm, '')
      .replaceAll(/ \[\d+:\d+\]$/gm, '');
  }

  /** Names of the chains that some program has made, each once for every family and table. */
  async chains(): Promise<readonly string[]> {
    return [...(await this.everything()).matchAll(/^:(\S+) -/gm)].map(([, name = '']) => name);
  }

  /**
   * Makes a change and watches the address translation of both families until all of them lead to the new destination,
   * or none of them to the old one any more. Returns the milliseconds from what `change` resolves with (`Date.now()`) until
   * the end of the first look that found it so: never less than it really took.
   */
  async follow(
    change: () => Promise<number>,
    wanted: 'present' | 'gone',
    destinations: Readonly<Record<Family, string>>,
  ): Promise<number> {
    const loops = this.#families.map(({ family, save }) => {
      const leads = `printf %s "$rules" | grep -qF -- '--to-destination ${destinations[family]}'`;
      return `until rules=$(${save} -t nat) && ${wanted === 'present' ? leads : `! ${leads}`}; do :; done`;
    });
    // One shell instead of a process for each look: the watcher must not slow down what it watches.
    const watching = this.#node.runner.run({
      file: 'sh',
      args: ['-c', [...loops, 'date +%s%N'].join('\n')],
      captureOutput: true,
      timeoutMs: patienceMs,
    });
    const changedAt = await change();
    const { exitCode, stdout } = await watching;
    const expected = `rules to ${Object.values(destinations).join(' and ')} ${wanted} within ${patienceMs} ms`;
    expect(exitCode === 0, 'the kernel follows a change', expected, 'not so');
    return Number(BigInt(stdout.trim()) / 1000n) / 1000 - changedAt;
  }

  async #save(program: string, table: string): Promise<string> {
    const { stdout } = await this.#node.run(program, ['-t', table]);
    return stdout;
  }
}
