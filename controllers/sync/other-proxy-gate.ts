import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Clock, slept } from '../../pkg/runtime/index.ts';
import type { Part } from './part-ownership.ts';

export interface OtherProxyGateOptions {
  readonly clock: Clock;
  readonly log: Pick<Logger, 'debug' | 'error' | 'info' | 'warn'>;
  /** Ports of this node that only a proxy in Weir's place would hold, and that answer now. */
  readonly ports: () => Promise<readonly number[]>;
  /** Another proxy writes, for this reason: Weir has stopped writing Service rules. */
  readonly onStandBack: (reason: string) => void;
}

/** How often to look whether another proxy has gone that was there at the start. */
const portPollMs = 2000;
/** A living proxy whose rules were taken over has written again by then; kube-proxy looks every 30 s whether they are there. */
const answerMs = 300_000;
const firstPauseMs = 60_000;
const longestPauseMs = 600_000;

type State =
  /** Service rules are Weir's. */
  | { readonly kind: 'open' }
  /** At the start another proxy holds ports. */
  | { readonly kind: 'waiting'; readonly reason: string }
  /** Another proxy writes; tried again then. */
  | { readonly kind: 'standing back'; readonly reason: string; readonly until: number }
  /** Taking over from it, to see whether it still lives. */
  | { readonly kind: 'trying' };

/**
 * Keeps Weir's Service rules from a fight with those of another proxy, which nobody wins. All other parts go on. Saved rules that
 * somebody restores look like another proxy for a moment; only one that writes again after Weir took over is alive. Then Weir stands
 * back, looks at nothing, and tries again after a minute, then less and less often.
 */
export class OtherProxyGate {
  readonly #options: OtherProxyGateOptions;
  readonly #stop = new AbortController();
  #state: State = { kind: 'open' };
  /** When rules were last taken over from another proxy that had come back. */
  readonly #takenOver = new Map<Family, number>();
  /** How often Weir has stood back since the other proxy was last gone for long. */
  #times = 0;
  #wake = new AbortController();

  constructor(options: OtherProxyGateOptions) {
    this.#options = options;
  }

  /** Whether this part may be read and written now. */
  mayWrite(part: Part): boolean {
    return part !== 'services' || this.reason === undefined;
  }

  /** Why Service rules are not written; `undefined` while they are. */
  get reason(): string | undefined {
    return 'reason' in this.#state ? this.#state.reason : undefined;
  }

  /** Service rules are to be taken from another proxy so that it notices. */
  get takesOver(): boolean {
    return this.#state.kind === 'trying';
  }

  /** Before anything is written: looks whether another proxy runs. */
  async lookForOther(): Promise<void> {
    const { ports, log } = this.#options;
    const answering = await ports();
    if (answering.length === 0) return;
    const reason = `another proxy (port ${answering.join(' and ')} answers) runs on this node`;
    this.#state = { kind: 'waiting', reason };
    log.error(`${reason}: no Service rules are written until it is gone; policies are enforced`);
  }

  /** Chains of another proxy are there again although Weir had taken them away. What to do about it. */
  cameBack(family: Family): 'take over' | 'stand back' {
    const { clock, log } = this.#options;
    if (this.reason !== undefined) return 'stand back';
    const now = clock.now();
    const before = this.#takenOver.get(family);
    if (this.#state.kind !== 'trying' && before !== undefined && now - before < answerMs) {
      this.#standBack(family, now);
      return 'stand back';
    }
    if (this.#state.kind === 'open') {
      this.#times = 0;
      log.warn(
        `${family} KUBE-SEP- chains came back (saved rules were restored, or kube-proxy was started): Service rules are taken over again`,
      );
    }
    this.#takenOver.set(family, now);
    return 'take over';
  }

  #standBack(family: Family, now: number): void {
    const { log, onStandBack } = this.#options;
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** this.#times);
    this.#times += 1;
    const reason = `another proxy writes ${family} Service rules (KUBE-SEP- chains came back again)`;
    this.#state = { kind: 'standing back', reason, until: now + pauseMs };
    log.error(
      `${reason}: Weir stops writing Service rules, and tries again in ${pauseMs / 60_000} min; policies go on. Stop the other proxy`,
    );
    onStandBack(reason);
    this.#wake.abort();
  }

  /** Service rules of all families are in the kernel as they should be. */
  inForce(families: readonly Family[]): void {
    if (this.#state.kind !== 'trying') return;
    this.#state = { kind: 'open' };
    const now = this.#options.clock.now();
    for (const family of families) this.#takenOver.set(family, now);
    this.#options.log.info('recovered: Service rules are written again');
  }

  /**
   * Runs until `stop`. Tells when Service rules may be written that could not be before: `onFree` when the ports of another proxy are
   * free, `onRetry` when it is time to take over from one that writes.
   */
  async start(onFree: () => Promise<void>, onRetry: () => void): Promise<void> {
    const { clock } = this.#options;
    if (await this.#waitForPorts()) await onFree();
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      const until = this.#state.kind === 'standing back' ? this.#state.until : clock.now() + longestPauseMs;
      const signal = AbortSignal.any([this.#stop.signal, this.#wake.signal]);
      if (!(await slept(clock, Math.max(0, until - clock.now()), signal))) continue;
      if (this.#state.kind !== 'standing back') continue;
      this.#state = { kind: 'trying' };
      onRetry();
    }
  }

  stop(): void {
    this.#stop.abort(new Error('stopped'));
  }

  /** Whether there was something to wait for, and it is gone. */
  async #waitForPorts(): Promise<boolean> {
    const { clock, log, ports } = this.#options;
    if (this.#state.kind !== 'waiting') return false;
    while (await slept(clock, portPollMs, this.#stop.signal)) {
      if ((await ports()).length > 0) continue;
      this.#state = { kind: 'open' };
      log.info('recovered: the other proxy is gone; Service rules are written');
      return true;
    }
    return false;
  }
}
