import { type Sysctl, sysctlNames } from '../../pkg/apply/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import { isWeirError } from '../../pkg/runtime/index.ts';
import type { BridgeFilter } from '../policies/bridge-filter.ts';

export interface ReadinessOptions {
  readonly bridges: Pick<BridgeFilter, 'ensure'>;
  readonly sysctl: Pick<Sysctl, 'ensure'>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly onChange: (isReady: boolean) => void;
}

/** Knows whether the node does what the rules say: they are in the kernel, and every pod's packets meet them. */
export class Readiness {
  readonly #options: ReadinessOptions;
  #isReady = false;
  #localhostIsRouted = true;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** After a sync of both families that ended well. */
  async synced(rules: { readonly wereRead: boolean; readonly servesLocalhost: boolean }): Promise<void> {
    const { bridges, log, onChange } = this.#options;
    // Only behind the guard that the rules just got: else neighbours could reach the node's loopback (CVE-2020-8558).
    if (rules.servesLocalhost) await this.#routeLocalhost();
    const bridgesAreRight = rules.wereRead || !this.#isReady ? await bridges.ensure() : true;
    if (this.#isReady || !bridgesAreRight) return;
    this.#isReady = true;
    log.info('ready: every Service is in the kernel');
    onChange(true);
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
