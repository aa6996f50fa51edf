import { isDeepStrictEqual } from 'node:util';
import { type Clock, slept } from '../../pkg/runtime/index.ts';

export interface AddressWatchOptions {
  readonly clock: Clock;
  readonly addresses: () => readonly string[];
  /** Those that the rules were made from. */
  readonly used: () => readonly string[];
  /** Whether any rule depends on the addresses at present: otherwise nothing is read. */
  readonly isWorthwhile: () => boolean;
  readonly onChange: () => void;
}

/** Sooner than anybody notices that an address which was just added has no node ports. */
const pollMs = 2000;

/** Notices that addresses come to the node's interfaces or leave them. */
export class AddressWatch {
  readonly #options: AddressWatchOptions;
  readonly #stop = new AbortController();

  constructor(options: AddressWatchOptions) {
    this.#options = options;
  }

  /** Runs until `stop`. */
  async start(): Promise<void> {
    const { clock, addresses, used, isWorthwhile, onChange } = this.#options;
    let reported: readonly string[] | undefined;
    while (await slept(clock, pollMs, this.#stop.signal)) {
      if (!isWorthwhile()) continue;
      const found = addresses();
      // Once for each change: rules that cannot be written are tried again by themselves.
      if (!isDeepStrictEqual(found, used()) && !isDeepStrictEqual(found, reported)) onChange();
      reported = found;
    }
  }

  stop(): void {
    this.#stop.abort();
  }
}
