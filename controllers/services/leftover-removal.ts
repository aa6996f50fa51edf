import {
  connectionsThrough,
  type FoundLeftovers,
  findProxyLeftovers,
  leftoverText,
  type ProxyLeftover,
  removeProxyLeftover,
} from '../../pkg/apply/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Clock, type CommandRunner, errorLine } from '../../pkg/runtime/index.ts';
import type { EventSink } from '../events/event-recorder.ts';
import { knownEvents } from '../events/known-events.ts';

export interface LeftoverRemovalOptions {
  readonly families: readonly Family[];
  readonly nodeName: string;
  readonly commands: CommandRunner;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly events: EventSink;
  /** Ports on which another proxy answers now. */
  readonly otherProxy: () => Promise<readonly number[]>;
  /** `/proc` unless told. */
  readonly procRoot?: string;
}

const firstDelayMs = 60_000;
const maxDelayMs = 600_000;
const forgottenMs = 2 * maxDelayMs;

/** When a leftover was removed last, and how often it came back after that. */
interface Removal {
  readonly at: number;
  readonly returns: number;
}

/**
 * Removes what kube-proxy in nftables or IPVS mode has left in force, once Weir's own rules of the family are in the kernel: so one of the two always
 * serves, and what stayed would go on sending traffic to the endpoints of that day. (kube-proxy in iptables mode does the same before it
 * writes.) Looks again whenever the kernel has been read, since saved rules may be restored.
 */
export class LeftoverRemoval {
  readonly #options: LeftoverRemovalOptions;
  readonly #written = new Set<Family>();
  readonly #removals = new Map<string, Removal>();
  readonly #told = new Set<string>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #isDue = false;

  constructor(options: LeftoverRemovalOptions) {
    this.#options = options;
  }

  /** The kernel was read, and a family's Service rules are in it. Resolves when what follows from it is done; never rejects. */
  synced(family: Family): Promise<void> {
    this.#written.add(family);
    this.#isDue = true;
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Nothing new is begun; what is being removed goes whole or not at all. */
  stop(): void {
    this.#stop.abort(new Error('stopped'));
  }

  async #run(): Promise<void> {
    while (this.#isDue && !this.#stop.signal.aborted) {
      this.#isDue = false;
      await this.#look().catch((error: unknown) => {
        if (!this.#stop.signal.aborted) this.#tell('warn', errorLine(error));
      });
    }
    this.#running = undefined;
  }

  async #look(): Promise<void> {
    const { commands, procRoot, otherProxy } = this.#options;
    const ports = await otherProxy();
    if (ports.length > 0) {
      this.#tell(
        'warn',
        `another proxy answers on port ${ports.join(' and ')}: its rules in other modes stay in force`,
      );
      return;
    }
    const found = await findProxyLeftovers(commands, {
      signal: this.#stop.signal,
      ...(procRoot === undefined ? {} : { procRoot }),
    });
    for (const line of found.unknown) this.#tell('info', line);
    const removed: ProxyLeftover[] = [];
    for (const leftover of this.#due(found)) {
      try {
        await removeProxyLeftover(commands, leftover);
        removed.push(leftover);
      } catch (error) {
        const { mode, what, command } = leftoverText(leftover);
        this.#tell(
          'warn',
          `${what}, left by kube-proxy in ${mode} mode, stays in force: ${errorLine(error)}. By hand: ${command}`,
        );
      }
    }
    this.#report(removed);
  }

  /** What may go now. */
  #due({ leftovers }: FoundLeftovers): readonly ProxyLeftover[] {
    const { families } = this.#options;
    const ofIpvs = leftovers.filter(({ kind }) => kind !== 'table');
    const connections = ofIpvs.reduce((sum, leftover) => sum + connectionsThrough(leftover), 0);
    if (connections > 0)
      this.#tell(
        'info',
        'open connections still go through the virtual servers that kube-proxy in IPVS mode has left: these are removed when the last has ended',
      );
    const isOver = connections === 0 && families.every((family) => this.#written.has(family));
    return leftovers.filter((leftover) => {
      if (leftover.kind === 'table' ? !this.#written.has(leftover.family) : !isOver) return false;
      return this.#isDueAgain(leftover);
    });
  }

  /** Whoever writes it again and again is answered less and less often. */
  #isDueAgain(leftover: ProxyLeftover): boolean {
    const last = this.#lastRemoval(leftover);
    if (last === undefined || last.returns === 0) return true;
    const delayMs = Math.min(maxDelayMs, firstDelayMs * 2 ** (last.returns - 1));
    return this.#options.clock.now() - last.at >= delayMs;
  }

  /** `undefined` where it was long ago. */
  #lastRemoval(leftover: ProxyLeftover): Removal | undefined {
    const last = this.#removals.get(keyOf(leftover));
    return last === undefined || this.#options.clock.now() - last.at > forgottenMs ? undefined : last;
  }

  #report(removed: readonly ProxyLeftover[]): void {
    const { clock, log, events, nodeName } = this.#options;
    for (const [mode, ofMode] of Map.groupBy(removed, (leftover) => leftoverText(leftover).mode)) {
      const names = ofMode.map((leftover) => leftoverText(leftover).what);
      const line = `removed what kube-proxy in ${mode} mode had left in force: ${names.join(', ')}`;
      if (ofMode.every((leftover) => this.#lastRemoval(leftover) === undefined)) log.info(line);
      else
        log.warn(
          `${line}. It was removed before: another kube-proxy runs on this node and should be ended, or its rules were restored from a file`,
        );
      events.event(knownEvents.leftoversRemoved(nodeName, line));
    }
    for (const leftover of removed) {
      const returns = (this.#lastRemoval(leftover)?.returns ?? -1) + 1;
      this.#removals.set(keyOf(leftover), { at: clock.now(), returns });
    }
  }

  /** Once for each text. */
  #tell(level: 'info' | 'warn', line: string): void {
    if (this.#told.has(line)) return;
    this.#told.add(line);
    this.#options.log[level](line);
  }
}

function keyOf(leftover: ProxyLeftover): string {
  return leftover.kind === 'table' ? `table ${leftover.family}` : leftover.kind;
}
