import { deleteFlows, type Flow, type FlowMatch, listUdpFlows } from '../../pkg/apply/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import {
  BoundedFrequencyRunner,
  type Clock,
  type CommandRunner,
  errorLine,
  isWeirError,
} from '../../pkg/runtime/index.ts';
import {
  isStaleFlow,
  mergeUdpFrontends,
  noUdpFrontends,
  type UdpFrontends,
  type UdpRouting,
} from '../../pkg/service/decide/index.ts';

export interface ConntrackControllerOptions {
  readonly families: readonly Family[];
  readonly commands: CommandRunner;
  readonly clock: Clock;
  readonly log: Logger;
  /** After each look at a family's tracked flows that ended well. */
  readonly onReconciled?: (result: ConntrackReconciliation) => void;
}

export interface ConntrackReconciliation {
  readonly family: Family;
  readonly durationMs: number;
  /** Flows taken out of conntrack. */
  readonly deleted: number;
}

/**
 * Makes UDP flows follow their Services. The kernel translates a flow as it did its first packet for as long as packets keep
 * coming, so a client that never falls silent would send to an endpoint that is gone for ever. Works beside the sync loop, one
 * look at the table at a time in each family.
 */
export class ConntrackController {
  readonly #families: ReadonlyMap<Family, FamilyReconciler>;

  constructor(options: ConntrackControllerOptions) {
    this.#families = new Map(
      options.families.map((family) => [family, new FamilyReconciler(family, options)]),
    );
  }

  /** Begins to work. The promise is for a supervisor: it resolves after `stop` and rejects only on a bug. */
  async start(): Promise<void> {
    await Promise.all([...this.#families.values()].map((family) => family.start()));
  }

  /**
   * The rules of this family are in the kernel; `changed` is where they lead, if that is new (`ServiceController.takeChangedUdp`).
   * Returns at once: the flows are looked at in the background, and again until that has succeeded.
   */
  synced(family: Family, changed: UdpRouting | undefined): void {
    if (changed !== undefined) this.#families.get(family)?.changed(changed);
  }

  async stop(deadlineMs: number): Promise<void> {
    await Promise.all([...this.#families.values()].map((family) => family.stop(deadlineMs)));
  }
}

/** Of frontends and endpoints that are gone, before they are forgotten: many failures must not fill the memory. */
const rememberedFrontends = 20_000;
/** Nobody asks for it, and without anything new it does nothing. */
const maxIntervalMs = 3_600_000;
const udp = 17;

class FamilyReconciler {
  readonly #family: Family;
  readonly #options: ConntrackControllerOptions;
  readonly #runner: BoundedFrequencyRunner;
  #routing: UdpRouting | undefined;
  /** All frontends since the flows were last put right, each with all endpoints that it had. */
  #former: UdpFrontends = noUdpFrontends;
  #isDue = false;
  /** The last failure that was told; the same one is not told again. */
  #told: string | undefined;

  constructor(family: Family, options: ConntrackControllerOptions) {
    this.#family = family;
    this.#options = options;
    this.#runner = new BoundedFrequencyRunner({
      work: (_, signal) => this.#reconcile(signal),
      clock: options.clock,
      maxIntervalMs,
      retry: { initialMs: 1000, maxMs: 60_000 },
      onError: (error) => this.#tell(error),
    });
  }

  start(): Promise<void> {
    return this.#runner.start();
  }

  stop(deadlineMs: number): Promise<boolean> {
    return this.#runner.stop(deadlineMs);
  }

  changed(routing: UdpRouting): void {
    this.#routing = routing;
    this.#remember(routing.frontends);
    this.#isDue = true;
    this.#runner.run();
  }

  #remember(frontends: UdpFrontends): void {
    const all = mergeUdpFrontends([this.#former, frontends]);
    const isTooMuch = all.sockets.size + all.nodePorts.size > 2 * sizeOf(frontends) + rememberedFrontends;
    this.#former = isTooMuch ? frontends : all;
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    const routing = this.#routing;
    if (!this.#isDue || routing === undefined) return;
    const { clock, log, onReconciled } = this.#options;
    const start = clock.now();
    this.#isDue = false;
    try {
      const deleted = await this.#deleteStale(signal);
      // What came meanwhile is due again.
      this.#former = mergeUdpFrontends([routing.frontends, this.#routing?.frontends ?? noUdpFrontends]);
      this.#told = undefined;
      const durationMs = clock.now() - start;
      if (deleted > 0) log.info(`stale ${this.#family} UDP flows forgotten`, { flows: deleted });
      onReconciled?.({ family: this.#family, durationMs, deleted });
    } catch (error) {
      if (signal.aborted) return;
      if (isWeirError(error) && !error.retryable) {
        // Nothing to try again until somebody does something about it; the next change tries anyway.
        this.#former = this.#routing?.frontends ?? noUdpFrontends;
        this.#tell(error);
        return;
      }
      this.#isDue = true;
      throw error;
    }
  }

  async #deleteStale(signal: AbortSignal): Promise<number> {
    const { commands } = this.#options;
    const listed = await listUdpFlows(commands, this.#family, (flow) => this.#isStale(flow), signal);
    // Listing takes a while; meanwhile an endpoint may have come back.
    const stale = listed.filter((flow) => this.#isStale(flow));
    return deleteFlows(commands, matchesOf(stale), signal);
  }

  #isStale(flow: Flow): boolean {
    return this.#routing !== undefined && isStaleFlow(flow, this.#routing, this.#former);
  }

  #tell(error: unknown): void {
    const line = errorLine(error);
    if (line === this.#told) return;
    this.#told = line;
    this.#options.log.warn(
      `stale ${this.#family} UDP flows are not forgotten: clients that never fall silent may go on sending to endpoints that are gone`,
      { error },
    );
  }
}

/**
 * What to delete. All that makes a flow stale is in these four values, so flows that share them go together in one walk through
 * the table, and no other flow goes with them.
 */
function matchesOf(flows: readonly Flow[]): readonly FlowMatch[] {
  const matches = new Map<string, FlowMatch>();
  for (const { family, original, reply } of flows) {
    const { destination, destinationPort = 0 } = original;
    const { source, sourcePort = 0 } = reply;
    matches.set(`${destination} ${destinationPort} ${source} ${sourcePort}`, {
      family,
      protocol: udp,
      original: { destination, destinationPort },
      reply: { source, sourcePort },
    });
  }
  return [...matches].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, match]) => match);
}

function sizeOf({ sockets, nodePorts }: UdpFrontends): number {
  return sockets.size + nodePorts.size;
}
