import { systemClock } from '../../pkg/runtime/index.ts';
import type { NetworkNamespace } from '../../test/support/network-namespace.ts';
import { expect } from './expect.ts';
import { requestTimeoutMs, type Target } from './requests.ts';

/** Requests that each try makes: each is a new connection, and so may meet another pod. */
const count = 12;
const probeEveryMs = 10;
/** A second is what Weir promises. */
const followMs = 1000;
/** So that the probe has seen how it was before the change. */
const leadMs = 100;

/** A way that requests may take, and that policies may close. */
export interface Connection {
  readonly from: NetworkNamespace;
  /** The Service or machine, as people call it. */
  readonly name: string;
  readonly to: Target;
  readonly protocol?: 'tcp' | 'udp';
}

export type Reach = 'answered' | 'no answer';

/**
 * Sends requests on every connection at the same time. Throws `Unexpected` unless all of each connection that `isOpen`
 * picks are answered, and none of the others: not even by a refusal.
 */
export async function expectReach<Kind extends Connection>(
  connections: readonly Kind[],
  isOpen: (connection: Kind) => boolean,
): Promise<readonly Reach[]> {
  const seen = await Promise.all(connections.map(tryOne));
  for (const [index, connection] of connections.entries()) {
    const what = `${connection.from.name} asks ${connection.name}`;
    const wanted: Reach = isOpen(connection) ? 'answered' : 'no answer';
    expect(seen[index] === wanted, what, wanted, seen[index]);
  }
  return seen;
}

/**
 * Makes a change while requests go on, and resolves with the milliseconds from what `change` resolves with (`Date.now()`)
 * until the first request that met the new state began (`no answer`) or was answered. Throws `Unexpected` when there
 * was none within a second, or a later one was answered although the way was closed.
 */
export async function follow(
  { from, name, to, protocol = 'tcp' }: Connection,
  wanted: Reach,
  change: () => Promise<number>,
): Promise<number> {
  const probe = await from.startProbe({
    ...to,
    protocol,
    everyMs: probeEveryMs,
    timeoutMs: requestTimeoutMs,
  });
  await systemClock.sleep(leadMs);
  const changedAt = await change();
  await systemClock.sleep(followMs);
  const { changes, replies } = await probe.stop();
  const met =
    wanted === 'answered'
      ? changes.find(({ result }) => Object.hasOwn(replies, result))?.endedAt
      : changes.find(({ result }) => result === 'timeout')?.startedAt;
  const isWanted = wanted === 'answered' || changes.at(-1)?.result === 'timeout';
  const what = `${from.name} asks ${name} while that changes`;
  expect(met !== undefined && met >= changedAt && isWanted, what, `${wanted} within ${followMs} ms`, changes);
  return met - changedAt;
}

async function tryOne({ from, name, to, protocol = 'tcp' }: Connection): Promise<Reach> {
  const { replies, failures } = await from.burst({ ...to, protocol, count, timeoutMs: requestTimeoutMs });
  const answered = Object.values(replies).reduce((sum, one) => sum + one, 0);
  const isClear = answered === count || failures['timeout'] === count;
  const what = `${from.name} asks ${name} ${count} times`;
  expect(isClear, what, `${count} answers, or silence`, { replies, failures });
  return answered === count ? 'answered' : 'no answer';
}
