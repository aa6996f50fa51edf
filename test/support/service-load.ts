import type { Family } from '../../pkg/net/index.ts';
import type { ConnectRequest, Outcome, ProbeReport } from './agent/protocol.ts';
import type { NetworkNamespace, OpenFlow, RunningProbe } from './network-namespace.ts';

export interface LoadItem {
  readonly title: string;
  readonly from: NetworkNamespace;
  readonly to: ConnectRequest;
  /** A new connection this often. */
  readonly everyMs: number;
}

export interface LoadReport {
  /** Title → attempts that failed, by kind. Titles without failures are left out. */
  readonly failures: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Title → who answered, and from which addresses the client was seen. */
  readonly items: Readonly<Record<string, Pick<ProbeReport, 'attempts' | 'replies' | 'seenAddresses'>>>;
  /** Long-lived flows that did not get their last answer. */
  readonly brokenFlows: readonly string[];
}

/** New connections all the time, and some that stay open, until it is stopped. */
export class ServiceLoad {
  readonly #probes: (readonly [string, RunningProbe])[] = [];
  readonly #flows: (readonly [string, OpenFlow, Outcome])[] = [];

  /** Resolves when each item has been tried and each flow is open. */
  static async start(
    items: readonly LoadItem[],
    flows: readonly Omit<LoadItem, 'everyMs'>[],
  ): Promise<ServiceLoad> {
    const load = new ServiceLoad();
    const opened = await Promise.all(
      flows.map(async ({ title, from, to }) => [title, await from.openFlow(to)] as const),
    );
    for (const [title, flow] of opened) load.#flows.push([title, flow, flow.outcome]);
    const started = await Promise.all(
      items.map(
        async ({ title, from, to, everyMs }) => [title, await from.startProbe({ ...to, everyMs })] as const,
      ),
    );
    load.#probes.push(...started);
    return load;
  }

  async stop(): Promise<LoadReport> {
    const reports = await Promise.all(
      this.#probes.map(async ([title, probe]) => [title, await probe.stop()] as const),
    );
    const answers = await Promise.all(
      this.#flows.map(async ([title, flow, first]) => {
        const answer = first.kind === 'reply' ? await flow.exchange('still there?', 5000) : first;
        const sameEnd = answer.kind === 'reply' && first.kind === 'reply' && answer.name === first.name;
        if (first.kind === 'reply') await flow.close();
        return sameEnd ? [] : [`${title}: ${answer.kind}`];
      }),
    );
    const failed = reports.filter(([, report]) => Object.keys(report.failures).length > 0);
    return {
      failures: Object.fromEntries(failed.map(([title, report]) => [title, report.failures])),
      items: Object.fromEntries(
        reports.map(([title, { attempts, replies, seenAddresses }]) => [
          title,
          { attempts, replies, seenAddresses },
        ]),
      ),
      brokenFlows: answers.flat(),
    };
  }
}

/** A request whose failure means something: long enough for three SYNs. */
export function patient(protocol: 'tcp' | 'udp', address: string, port: number): ConnectRequest {
  return { protocol, address, port, timeoutMs: 5000 };
}

const leaks = { IPv4: '10.96.0.0/16', IPv6: 'fd00:10:96::/48' } as const;

/** A rule of the administrator that counts packets which leave the node for a cluster IP: they met no Service rule. */
export function leakRule(family: Family): string {
  return `-t mangle -A POSTROUTING -d ${leaks[family]} -m conntrack --ctstate NEW -m comment --comment "to nowhere"`;
}

/** What the rule has counted, from the output of `iptables-save -c -t mangle`. */
export function leakedPackets(saved: string): number {
  const [, packets] = /^\[(\d+):\d+\] -A POSTROUTING .*"to nowhere"/m.exec(saved) ?? [];
  if (packets === undefined) throw new Error('nobody counts packets to nowhere');
  return Number(packets);
}
