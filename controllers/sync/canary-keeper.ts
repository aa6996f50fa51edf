import type { KernelWriter } from '../../pkg/apply/index.ts';
import { canaryState, type Table } from '../../pkg/change-signal/index.ts';
import { BuiltinChains } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { Backoff, type Clock, errorLine } from '../../pkg/runtime/index.ts';

export interface CanaryKeeperOptions {
  readonly clock: Clock;
  readonly writers: ReadonlyMap<Family, Pick<KernelWriter, 'apply' | 'readChain'>>;
  /** The rules cannot be written, and why; told once until they can. */
  readonly onProblem: (problem: string) => void;
}

/** One table's canary that was written and may not have sung since. */
interface Attempt {
  readonly backoff: Backoff;
  notBefore: number;
  hasToldProblem: boolean;
}

const retry = { initialMs: 15_000, maxMs: 600_000 };

/** Writes the canary's rules where the canary is silent, and not again and again where it cannot sing. */
export class CanaryKeeper {
  readonly #options: CanaryKeeperOptions;
  readonly #attempts = new Map<string, Attempt>();

  constructor(options: CanaryKeeperOptions) {
    this.#options = options;
  }

  /** The canary of this table sings. */
  sings({ family, table }: Table): void {
    this.#attempts.delete(`${family} ${table}`);
  }

  /** The canary of this table is silent. Never rejects. */
  async silent({ family, table }: Table, signal: AbortSignal): Promise<void> {
    const { clock, writers, onProblem } = this.#options;
    const name = `${family} ${table}`;
    const writer = writers.get(family);
    const attempt = this.#attempts.get(name) ?? {
      backoff: new Backoff(retry),
      notBefore: 0,
      hasToldProblem: false,
    };
    this.#attempts.set(name, attempt);
    if (writer === undefined || clock.now() < attempt.notBefore) return;
    attempt.notBefore = clock.now() + attempt.backoff.next();
    try {
      const builtins = new BuiltinChains();
      builtins.replaceChain(table, 'OUTPUT', await writer.readChain(table, 'OUTPUT', { signal }));
      await writer.apply(canaryState(family, [table], builtins).plan(), { signal });
    } catch (error) {
      if (!attempt.hasToldProblem && !signal.aborted)
        onProblem(`the canary of ${name} cannot be written: ${errorLine(error)}`);
      attempt.hasToldProblem = true;
    }
  }
}
