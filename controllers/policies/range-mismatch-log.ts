import type { Diagnostic } from '../../pkg/api/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Metrics } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { RangeMismatch, StrayAddress } from '../../pkg/policy/iptables/index.ts';

export interface RangeMismatchLogOptions {
  readonly families: readonly Family[];
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly metrics: Pick<Metrics['policy'], 'setRangeMismatch'>;
}

/** Reports, once, that pods' addresses do not follow this node's ranges, and when they do again. */
export class RangeMismatchLog {
  readonly #options: RangeMismatchLogOptions;
  readonly #reported = new Map<Family, RangeMismatch>();

  constructor(options: RangeMismatchLogOptions) {
    this.#options = options;
  }

  /** All that there are now. `isGuarded`: whether unknown addresses are closed at all; else nothing depends on it. */
  update(mismatches: readonly RangeMismatch[], isGuarded: boolean): void {
    const { families, log, metrics } = this.#options;
    for (const family of families) {
      const now = mismatches.find((mismatch) => mismatch.family === family);
      const before = this.#reported.get(family);
      metrics.setRangeMismatch(family, now !== undefined);
      if (now === undefined) this.#reported.delete(family);
      else this.#reported.set(family, now);
      if (now !== undefined && before === undefined) log.warn(mismatchLine(now));
      if (now === undefined && before !== undefined && isGuarded)
        log.info(
          `recovered: ${family} addresses of pods follow this node's pod ranges (${before.ranges.join(', ')}): unknown addresses in them are closed`,
        );
    }
  }
}

/** The same for those who look once. */
export function mismatchDiagnostic(nodeName: string, mismatch: RangeMismatch): Diagnostic {
  const message = mismatchLine(mismatch);
  return {
    severity: 'warning',
    kind: 'Node',
    namespace: '',
    name: nodeName,
    field: 'spec.podCIDRs',
    message,
  };
}

/** What is wrong, what Weir makes of it, and what can be done. */
function mismatchLine({ family, ranges, inside, outside }: RangeMismatch): string {
  const found = [
    inside && `${strayText(inside)} has ${inside.ip} inside`,
    outside && `${strayText(outside)}, this node, has ${outside.ip} outside`,
  ].filter((text) => text !== undefined);
  return [
    `${family} addresses of pods do not follow this node's pod ranges (${ranges.join(', ')}): ${found.join('; ')}.`,
    '--policy-closed-start can not close the ranges to unknown addresses: it closes only those that the CNI result cache',
    '(--cni-cache-dir) gave to pods that the API does not know. Expected where the CNI plugin does not use spec.podCIDRs;',
    'else correct the Node or --local-pod-cidrs',
  ].join(' ');
}

function strayText({ pod, nodeName }: StrayAddress): string {
  return nodeName === undefined ? `pod ${pod}, on no node,` : `pod ${pod} on ${nodeName}`;
}
