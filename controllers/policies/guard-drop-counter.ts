import type { Logger } from '../../pkg/log/index.ts';
import type { GuardDropTotal, Metrics } from '../../pkg/metrics/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { type GuardDrops, parseGuardDrops } from '../../pkg/policy/iptables/index.ts';
import type { Clock } from '../../pkg/runtime/index.ts';
import { DropTotals } from './drop-totals.ts';
import type { UnownedAddress } from './known-pods.ts';

export interface GuardDropCounterOptions {
  readonly families: readonly Family[];
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Pick<Logger, 'warn'>;
  readonly metrics: Pick<Metrics['policy'], 'setGuardDrops'>;
  readonly unowned: () => readonly UnownedAddress[];
  /** Whether rules of the guard may be older than this process: what they have counted is not its own. */
  readonly mayBeInForce: boolean;
}

/** Where packets were dropped: a range, or, empty, the set of closed addresses. */
interface Place {
  readonly family: Family;
  readonly direction: 'egress' | 'ingress';
  readonly range: string;
}

/** A line for every few packets of a pod that starts would be too much. */
const quietMs = 600_000;
const shownAddresses = 5;

/** Adds up the packets that were dropped because no known pod owns their address, and says so, once in ten minutes. */
export class GuardDropCounter {
  readonly #options: GuardDropCounterOptions;
  readonly #totals = new DropTotals();
  readonly #places = new Map<string, Place>();
  readonly #logged = new Map<string, number>();
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: GuardDropCounterOptions) {
    this.#options = options;
    if (!options.mayBeInForce) for (const family of options.families) this.#totals.read(family, new Map());
  }

  /** What `iptables-save -c` says of the filter table of each family. */
  read(saved: ReadonlyMap<Family, string>): void {
    for (const [family, text] of saved) {
      const packets = parseGuardDrops(text, family).map(
        (drops) => [this.#keyOf(family, drops), drops.packets] as const,
      );
      this.#totals.read(family, new Map(packets));
    }
    // All that ever dropped something stays: there are few ranges in a node's life.
    this.#totals.keep(this.#places.keys(), this.#options.clock.now());
    const totals = this.#totals.totals(this.#options.clock.now());
    this.#publish(totals);
    this.#log(totals);
  }

  #keyOf(family: Family, { direction, range = '' }: GuardDrops): string {
    const place: Place = { family, direction: direction === 'Egress' ? 'egress' : 'ingress', range };
    const key = `${family} ${place.direction} ${range}`;
    this.#places.set(key, place);
    return key;
  }

  #publish(totals: readonly (readonly [key: string, packets: number])[]): void {
    const sums = new Map<string, GuardDropTotal>();
    for (const [key, packets] of totals) {
      const place = this.#places.get(key);
      if (place === undefined) continue;
      const { family, direction } = place;
      const sum = sums.get(`${family} ${direction}`)?.packets ?? 0;
      sums.set(`${family} ${direction}`, { family, direction, packets: sum + packets });
    }
    this.#options.metrics.setGuardDrops([...sums.values()]);
  }

  #log(totals: readonly (readonly [key: string, packets: number])[]): void {
    const { clock, log, unowned } = this.#options;
    const now = clock.now();
    const news = totals.flatMap(([key, packets]) => {
      const place = this.#places.get(key);
      const more = packets - (this.#logged.get(key) ?? 0);
      return place === undefined || more === 0 ? [] : [{ ...place, packets: more }];
    });
    if (news.length === 0 || now - this.#loggedAt < quietMs) return;
    this.#loggedAt = now;
    for (const [key, packets] of totals) this.#logged.set(key, packets);
    log.warn(dropLine(news, unowned()));
  }
}

function dropLine(
  drops: readonly (Place & { readonly packets: number })[],
  unowned: readonly UnownedAddress[],
): string {
  const sum = (direction: Place['direction']): number =>
    drops.filter((one) => one.direction === direction).reduce((total, { packets }) => total + packets, 0);
  return [
    `--policy-closed-start dropped packets of addresses that no known pod owns (${sum('egress')} from them, ${sum('ingress')} to them),`,
    `${placesText(drops, unowned)}.`,
    'A few while a pod starts are normal. If there are more, something that is no running pod of the API uses such an address:',
    "look for it in 'kubectl get pods -A -o wide', and whether the pods of this node have their addresses from these ranges;",
    '--policy-closed-start=off opens them all',
  ].join(' ');
}

function placesText(drops: readonly Place[], unowned: readonly UnownedAddress[]): string {
  const ranges = new Set(drops.map(({ range }) => range).filter((range) => range !== ''));
  const inRanges = ranges.size === 0 ? [] : [`in ${[...ranges].toSorted().join(', ')}`];
  if (drops.every(({ range }) => range !== '')) return inRanges.join('');
  const names = unowned.slice(0, shownAddresses).map(({ ip, pod }) => `${ip} of ${pod}`);
  const list = names.length === 0 ? '' : ` (${names.join(', ')})`;
  return [...inRanges, `given by the container runtime to pods that the API does not know${list}`].join(
    ' and ',
  );
}
