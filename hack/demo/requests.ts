import type { NetworkNamespace } from '../../test/support/network-namespace.ts';
import { expect } from './expect.ts';

/** Below the second after which TCP tries a lost packet again: a request that met a gap counts as failed. */
export const requestTimeoutMs = 900;

export interface Target {
  readonly address: string;
  readonly port: number;
}

/** How requests were shared out. */
export interface Shares {
  /** Answers by pod, the names sorted. */
  readonly replies: Readonly<Record<string, number>>;
  /** The addresses that pods took for the client's. */
  readonly seenAddresses: readonly string[];
}

/** As in a URL. */
export function targetText({ address, port }: Target): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Sends requests, each a new connection in which a pod answers with its name. Throws `Unexpected` when one of them fails. */
export async function sendRequests(from: NetworkNamespace, to: Target, count: number): Promise<Shares> {
  const { replies, failures, seenAddresses } = await from.burst({
    ...to,
    protocol: 'tcp',
    count,
    timeoutMs: requestTimeoutMs,
  });
  const answered = Object.values(replies).reduce((sum, one) => sum + one, 0);
  const what = `${from.name} asks ${targetText(to)}`;
  expect(answered === count, what, `${count} answers`, { replies, failures });
  return { replies, seenAddresses };
}

/** Throws `Unexpected` unless exactly these pods answered, each at least half as often as a fair share would be. */
export function expectFairShares({ replies }: Shares, pods: readonly string[]): void {
  const total = Object.values(replies).reduce((sum, one) => sum + one, 0);
  const least = Math.floor(total / pods.length / 2);
  const isFair = pods.every((pod) => (replies[pod] ?? 0) >= least);
  expect(
    isFair && Object.keys(replies).length === pods.length,
    'the requests are shared out',
    `at least ${least} of ${total} for each of ${pods.join(', ')}, and none for others`,
    replies,
  );
}
