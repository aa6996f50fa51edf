import { existsSync } from 'node:fs';
import type { networkInterfaces } from 'node:os';
import type { Pod } from '../../pkg/api/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import { cidrContains, parseAddress, parseCidr } from '../../pkg/net/index.ts';

export interface BridgeFilterOptions {
  /** Makes packets between pods on one bridge pass through iptables; says what went wrong, a sentence each. */
  readonly setUp: () => Promise<readonly string[]>;
  readonly localPods: () => readonly Pod[];
  readonly interfaces: typeof networkInterfaces;
  readonly log: Pick<Logger, 'error' | 'info'>;
  /** Whether an interface that is there is no bridge; looks into /sys unless told. */
  readonly isOther?: (device: string) => boolean;
}

/**
 * Keeps the bridges of this node's pods under the rules, and tells when that can't be done: policies would be without effect
 * between pods of one bridge. Others set the same settings (sysctl --system does), so it looks again and again.
 */
export class BridgeFilter {
  readonly #options: BridgeFilterOptions;
  #told = '';

  constructor(options: BridgeFilterOptions) {
    this.#options = options;
  }

  /** Before any pod is known: what went wrong may concern nobody. */
  prepare(): Promise<readonly string[]> {
    return this.#options.setUp();
  }

  /** What the last `ensure` found wrong, for people; `undefined`: nothing. */
  get problem(): string | undefined {
    return this.#told === '' ? undefined : this.#told;
  }

  /** Whether every bridge that carries local pods is under the rules. Logs what changed. */
  async ensure(): Promise<boolean> {
    const { setUp, log } = this.#options;
    const bridges = this.#bridgesOfPods();
    const problems = bridges.length === 0 ? [] : await setUp();
    const text =
      problems.length === 0
        ? ''
        : `policies don't hold between pods on ${bridges.join(', ')}: ${problems.join('; ')}`;
    if (text !== this.#told) {
      if (text !== '') log.error(`not ready, ${text}`);
      else log.info('policies hold between pods on one bridge again');
    }
    this.#told = text;
    return text === '';
  }

  /** A node has an address in the network of its pods on a bridge only: routed pods have no network in common with it. */
  #bridgesOfPods(): readonly string[] {
    const { interfaces, localPods, isOther = isOtherDevice } = this.#options;
    const addresses = localPods()
      .filter((pod) => !pod.hostNetwork)
      .flatMap((pod) => pod.addresses.map(({ ip }) => parseAddress(ip)))
      .filter((address) => address !== undefined);
    return Object.entries(interfaces())
      .filter(([device, list]) => !isOther(device) && (list ?? []).some(({ cidr }) => holdsAny(cidr)))
      .map(([device]) => device)
      .toSorted();

    function holdsAny(text: string | null): boolean {
      const cidr = parseCidr(text ?? '');
      return cidr !== undefined && addresses.some((address) => cidrContains(cidr, address));
    }
  }
}

/** In AWS, for one, the network of the pods is that of the node's own card. */
function isOtherDevice(device: string): boolean {
  const folder = `/sys/class/net/${device}`;
  return existsSync(folder) && !existsSync(`${folder}/bridge`);
}
