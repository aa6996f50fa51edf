import type { Diagnostic } from '../../pkg/api/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Metrics } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type Clock, type CommandRunner, errorLine, slept } from '../../pkg/runtime/index.ts';
import type { DiagnosticLog } from '../diagnostic-log.ts';
import { type BootState, keepBootState } from './boot-guard.ts';
import { type ChangedPods, cutForbiddenConnections } from './connection-cutter.ts';
import type { IgnoredResult } from './known-pods.ts';
import type { PolicyController } from './policy-controller.ts';
import { RangeMismatchLog } from './range-mismatch-log.ts';

export interface PolicyFollowUpOptions {
  readonly policies: PolicyController;
  readonly families: readonly Family[];
  readonly established: 'keep' | 'cut';
  /** Where the state for the next start of the node is kept; `undefined`: nowhere. */
  readonly stateDir: string | undefined;
  readonly commands: CommandRunner;
  readonly clock: Clock;
  readonly log: Logger;
  readonly diagnostics: DiagnosticLog;
  readonly metrics: Pick<Metrics['policy'], 'setRangeMismatch'>;
  readonly nodeAddresses: () => readonly string[];
  /** Asks for another sync: time has passed that makes a difference. */
  readonly recheck: () => void;
}

/** Hints look at everything, which may take a third of a second: they wait until nothing has changed for this long. */
const hintPauseMs = 1000;

/**
 * What follows policy rules into the kernel: forbidden connections are cut, hints and what is wrong with addresses are reported, and the boot
 * guard's state is kept.
 */
export class PolicyFollowUp {
  readonly #options: PolicyFollowUpOptions;
  readonly #stop = new AbortController();
  /** Changed since connections were last cut; stays when that fails. */
  #changed: Set<string> | 'all' = new Set();
  readonly #mismatches: RangeMismatchLog;
  #hintsAreDue = false;
  #recheckIsDue = false;
  #lastChange = 0;
  #kept: string | undefined;

  constructor(options: PolicyFollowUpOptions) {
    this.#options = options;
    this.#mismatches = new RangeMismatchLog(options);
  }

  /** After a sync that ended well. `ranges`: this node's pod ranges. */
  async synced(ranges: readonly string[]): Promise<void> {
    const { policies, diagnostics } = this.#options;
    this.#changed = merge(this.#changed, policies.takeChangedPods());
    const hasChanged = policies.takeHintsOutdated();
    if (hasChanged) this.#lastChange = this.#options.clock.now();
    if (hasChanged && !this.#hintsAreDue) void this.#tellHints();
    this.#mismatches.update(policies.rangeMismatches(), policies.isGuarded);
    diagnostics.replace('CNI results', policies.ignoredResults().map(ignoredDiagnostic));
    if (!this.#recheckIsDue) void this.#recheck();
    await this.#keepState({ policiesExist: policies.hasPolicies, ranges: [...ranges] });
    await this.#cut();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #cut(): Promise<void> {
    const { established, policies, commands, families, nodeAddresses, log } = this.#options;
    const changed = this.#changed;
    if (established === 'keep' || (changed !== 'all' && changed.size === 0)) return;
    const world = policies.world(nodeAddresses());
    const cut = await cutForbiddenConnections({
      commands,
      families,
      world,
      changed,
      signal: this.#stop.signal,
    });
    this.#changed = new Set();
    if (cut > 0) log.info('connections that policies forbid now were cut', { connections: cut });
  }

  async #keepState(state: BootState): Promise<void> {
    const { stateDir, log } = this.#options;
    const text = JSON.stringify(state);
    if (stateDir === undefined || text === this.#kept) return;
    try {
      await keepBootState(stateDir, state);
      this.#kept = text;
    } catch (error) {
      log.warn(
        `--policy-closed-start=boot: the state for the next start can not be kept: ${errorLine(error)}`,
      );
    }
  }

  async #recheck(): Promise<void> {
    const { clock, policies, recheck } = this.#options;
    const inMs = policies.recheckInMs();
    if (inMs === undefined) return;
    this.#recheckIsDue = true;
    const isTime = await slept(clock, inMs, this.#stop.signal);
    this.#recheckIsDue = false;
    if (isTime) recheck();
  }

  async #tellHints(): Promise<void> {
    const { clock, policies, diagnostics } = this.#options;
    this.#hintsAreDue = true;
    for (let wait = hintPauseMs; wait > 0; wait = this.#lastChange + hintPauseMs - clock.now()) {
      if (!(await slept(clock, wait, this.#stop.signal))) return;
    }
    this.#hintsAreDue = false;
    diagnostics.replace('hints about policies', policies.hints());
  }
}

function ignoredDiagnostic({ ip, pod, owner, containerId }: IgnoredResult): Diagnostic {
  const [namespace = '', name = ''] = pod.split('/');
  const message = `the CNI result of container ${containerId} says that it has ${ip}, and the API, which does not know it, that pod ${owner} has: the result is ignored; remove its file if the container is gone`;
  return { severity: 'warning', kind: 'Pod', namespace, name, field: '', message };
}

function merge(a: Set<string> | 'all', b: ChangedPods): Set<string> | 'all' {
  return a === 'all' || b === 'all' ? 'all' : new Set([...a, ...b]);
}
