import { type Sysctl, sysctlNames } from '../../pkg/apply/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import { isWeirError } from '../../pkg/runtime/index.ts';
import type { BridgeFilter } from '../policies/bridge-filter.ts';
import type { Part } from '../sync/part-ownership.ts';

export interface ReadinessOptions {
  /** What Weir has to do with on this node. */
  readonly parts: readonly Part[];
  readonly bridges: Pick<BridgeFilter, 'ensure' | 'problem'>;
  readonly sysctl: Pick<Sysctl, 'ensure'>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** What stands against policies although their rules are in the kernel; `undefined`: nothing. */
  readonly onObstacle: (obstacle: string | undefined) => void;
  /** All parts are in force for the first time. */
  readonly onReady: () => void;
}

/** What a sync has left, as far as the node itself has to follow. */
export interface SyncedRules {
  readonly inForce: ReadonlySet<Part>;
  /** Parts that were read and compared. */
  readonly read: ReadonlySet<Part>;
  readonly servesLocalhost: boolean;
}

/** Sees to it that the node does what the rules say: every pod's packets meet them, and node ports answer on its loopback addresses. */
export class Readiness {
  readonly #options: ReadinessOptions;
  #isReady = false;
  #bridgesAreRight: boolean;
  #localhostIsRouted = true;

  constructor(options: ReadinessOptions) {
    this.#options = options;
    // Only policies need them.
    this.#bridgesAreRight = !options.parts.includes('policies');
  }

  /** After each sync. */
  async synced({ inForce, read, servesLocalhost }: SyncedRules): Promise<void> {
    // Only behind the guard that the rules just got: else neighbours could reach the node's loopback (CVE-2020-8558).
    if (inForce.has('services') && servesLocalhost) await this.#routeLocalhost();
    if (inForce.has('policies') && (read.has('policies') || !this.#bridgesAreRight))
      await this.#lookAtBridges();
    const { parts } = this.#options;
    if (this.#isReady || !this.#bridgesAreRight || !parts.every((part) => inForce.has(part))) return;
    this.#isReady = true;
    const what = parts.includes('services') ? 'Service' : 'policy';
    this.#options.log.info(`ready: every ${what} is in the kernel`);
    this.#options.onReady();
  }

  async #lookAtBridges(): Promise<void> {
    const { bridges, onObstacle } = this.#options;
    this.#bridgesAreRight = await bridges.ensure();
    onObstacle(bridges.problem);
  }

  /** In a container the setting may be read-only: then an init step has set it, or node ports don't answer there: said once. */
  async #routeLocalhost(): Promise<void> {
    const { sysctl, log } = this.#options;
    try {
      await sysctl.ensure(sysctlNames.routeLocalnet, '1');
      this.#localhostIsRouted = true;
    } catch (error) {
      if (!isWeirError(error)) throw error;
      if (!this.#localhostIsRouted) return;
      this.#localhostIsRouted = false;
      log.warn(
        'node ports do not answer on 127.0.0.1: run "weir run --init-only" with full privilege first, or set --iptables-localhost-nodeports=false',
        { error },
      );
    }
  }
}
