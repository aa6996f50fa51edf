import type { NetworkNamespace, OpenFlow, RunningProbe } from '../../test/support/network-namespace.ts';
import { expect } from './expect.ts';
import { requestTimeoutMs, type Target, targetText } from './requests.ts';

/** Pause between two requests of one client, in milliseconds. */
export const requestEveryMs = 10;

interface Path {
  readonly from: NetworkNamespace;
  readonly to: Target;
}

/** Clients that never stop asking, and one that keeps a connection open: whoever breaks anything is found out. */
export class Traffic {
  #running: { readonly path: Path; readonly probe: RunningProbe }[] = [];
  #flow: OpenFlow | undefined;

  /** Starts a client on each path, and opens the connection. */
  async start(paths: readonly Path[], connection: Path): Promise<void> {
    const flow = await connection.from.openFlow({
      ...connection.to,
      protocol: 'tcp',
      timeoutMs: requestTimeoutMs,
    });
    const what = `a connection from ${connection.from.name} to ${targetText(connection.to)}`;
    expect(flow.outcome.kind === 'reply', what, 'it opens', flow.outcome);
    this.#flow = flow;
    for (const path of paths) {
      const request = {
        ...path.to,
        protocol: 'tcp',
        everyMs: requestEveryMs,
        timeoutMs: requestTimeoutMs,
      } as const;
      this.#running.push({ path, probe: await path.from.startProbe(request) });
    }
  }

  /** Throws `Unexpected` when the connection that was opened at the start no longer carries anything. */
  async useConnection(): Promise<void> {
    const answer = await this.#flow?.exchange('still there?', requestTimeoutMs);
    expect(answer?.kind === 'reply', 'the connection opened before still works', 'an answer', answer);
  }

  /** Stops all clients. Returns the number of their requests; throws `Unexpected` if one of them failed. */
  async stop(): Promise<number> {
    let attempts = 0;
    for (const { path, probe } of this.#running) {
      const report = await probe.stop();
      attempts += report.attempts;
      const answered = Object.values(report.replies).reduce((sum, count) => sum + count, 0);
      const what = `no request from ${path.from.name} to ${targetText(path.to)} fails`;
      expect(answered > 0 && answered === report.attempts, what, 'an answer to each', {
        failures: report.failures,
        of: report.attempts,
      });
    }
    this.#running = [];
    await this.#flow?.close();
    this.#flow = undefined;
    return attempts;
  }
}
