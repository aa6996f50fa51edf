import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noUdpFrontends, type UdpFrontends, type UdpRouting } from '../../pkg/service/decide/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type FakeCommandRunner, fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { recordedLog } from '../../test/support/recorded-log.ts';
import { ConntrackController, type ConntrackReconciliation } from './conntrack-controller.ts';

const cluster = '10.96.0.10';

function routing(sockets: Readonly<Record<string, readonly string[]>>): UdpRouting {
  const frontends: UdpFrontends = {
    ...noUdpFrontends,
    sockets: new Map(Object.entries(sockets).map(([socket, endpoints]) => [socket, new Set(endpoints)])),
  };
  return { frontends, isNodePortAddress: () => false };
}

/** A line of the listing, for a client's port. */
function tracked(client: number, to: string, endpoint: string): string {
  return `udp      17 29 src=10.0.9.9 dst=${to} sport=${client} dport=53 src=${endpoint} dst=10.0.9.9 sport=5353 dport=${client} mark=0 use=1`;
}

describe('ConntrackController', () => {
  let clock: FakeClock;
  let commands: FakeCommandRunner;
  let log: ReturnType<typeof recordedLog>;
  let controller: ConntrackController;
  let results: ConntrackReconciliation[];
  /** What the tool finds and how it fails. */
  let lines: readonly string[];
  let failure: { readonly exitCode: number; readonly stderr: string } | 'missing' | undefined;
  let onList: () => void;

  beforeEach(() => {
    clock = new FakeClock();
    log = recordedLog();
    results = [];
    lines = [];
    failure = undefined;
    onList = () => undefined;
    commands = fakeCommandRunner({
      conntrack: ({ args }) => {
        if (failure === 'missing') return undefined;
        if (failure !== undefined) return failure;
        if (args[0] === '-D') return { stderr: 'conntrack v1.4.7: 2 flow entries have been deleted.' };
        onList();
        return { stdout: `${lines.join('\n')}\n` };
      },
    });
    controller = new ConntrackController({
      families: ['IPv4', 'IPv6'],
      commands,
      clock,
      log,
      onReconciled: (result) => results.push(result),
    });
    void controller.start();
  });
  afterEach(() => controller.stop(0));

  test('does nothing as long as no Service has UDP ports', async () => {
    controller.synced('IPv4', undefined);
    await clock.advance(10_000);
    expect(commands.lines).toEqual([]);
  });

  test('deletes the flows of an endpoint that is gone in one go, and no others', async () => {
    lines = [
      tracked(1000, cluster, '10.0.0.1'),
      tracked(1001, cluster, '10.0.0.1'),
      tracked(1002, cluster, '10.0.0.2'),
      tracked(1003, '10.96.0.99', '10.0.0.1'),
    ];
    controller.synced('IPv4', routing({ [`${cluster} 53`]: ['10.0.0.2 5353'] }));
    await clock.advance(0);
    expect(commands.lines).toEqual([
      'conntrack -L -f ipv4 -p udp',
      `conntrack -D -f ipv4 -p 17 --orig-dst ${cluster} --dport 53 --reply-src 10.0.0.1 --reply-port-src 5353`,
    ]);
    expect(results).toEqual([{ family: 'IPv4', durationMs: 0, deleted: 2 }]);
    expect(log.lines).toEqual(['INFO stale IPv4 UDP flows forgotten']);
  });

  test('looks once for each change, and only at the family that changed', async () => {
    const change = routing({ 'fd00:96::10 53': [] });
    controller.synced('IPv6', change);
    await clock.advance(10_000);
    controller.synced('IPv6', undefined);
    await clock.advance(10_000);
    expect(commands.lines).toEqual(['conntrack -L -f ipv6 -p udp']);
  });

  test('remembers a frontend that is gone until its flows could be looked at', async () => {
    controller.synced('IPv4', routing({ [`${cluster} 53`]: ['10.0.0.1 5353'] }));
    await clock.advance(0);
    failure = { exitCode: 1, stderr: 'conntrack v1.4.7: Operation failed: No buffer space available' };
    controller.synced('IPv4', routing({ [`${cluster} 53`]: [] }));
    await clock.advance(0);
    controller.synced('IPv4', routing({}));
    await clock.advance(0);
    failure = undefined;
    lines = [tracked(1000, cluster, '10.0.0.1')];
    await clock.advance(60_000);
    expect(commands.lines.at(-1)).toContain('-D -f ipv4 -p 17 --orig-dst 10.96.0.10');
    // And then forgets it: nobody knows whose address it is now.
    const before = commands.lines.length;
    controller.synced('IPv4', routing({ '10.96.0.11 53': [] }));
    await clock.advance(10_000);
    expect(commands.lines.slice(before)).toEqual(['conntrack -L -f ipv4 -p udp']);
  });

  test('spares flows of an endpoint that comes back while the table is read', async () => {
    // So many that others have their turn before the end.
    const rest = Array.from({ length: 6000 }, (_, index) => tracked(index, '10.96.0.99', '10.0.0.9'));
    lines = [tracked(1000, cluster, '10.0.0.1'), ...rest];
    onList = () => {
      onList = () => undefined;
      setImmediate(() => controller.synced('IPv4', routing({ [`${cluster} 53`]: ['10.0.0.1 5353'] })));
    };
    controller.synced('IPv4', routing({ [`${cluster} 53`]: ['10.0.0.2 5353'] }));
    for (let turn = 0; turn < 20; turn += 1) await clock.advance(1000);
    expect(commands.lines).toEqual(['conntrack -L -f ipv4 -p udp', 'conntrack -L -f ipv4 -p udp']);
  });

  test('tries again after a failure, and tells it once', async () => {
    failure = { exitCode: 1, stderr: 'conntrack v1.4.7: Operation failed: No buffer space available' };
    controller.synced('IPv4', routing({ [`${cluster} 53`]: [] }));
    await clock.advance(300_000);
    expect(commands.lines.length).toBeGreaterThan(4);
    expect(log.lines).toEqual([expect.stringMatching(/^WARN stale IPv4 UDP flows are not forgotten/)]);
    failure = undefined;
    await clock.advance(60_000);
    expect(results).toHaveLength(1);
  });

  test('says once that the program is missing, and works as soon as it is there', async () => {
    failure = 'missing';
    for (const endpoint of ['10.0.0.1 5353', '10.0.0.2 5353', '10.0.0.3 5353']) {
      controller.synced('IPv4', routing({ [`${cluster} 53`]: [endpoint] }));
      await clock.advance(300_000);
    }
    expect(commands.lines).toHaveLength(3);
    expect(log.lines).toHaveLength(1);
    expect(log.fields[0]).toMatchObject({ error: { code: 'WEIR_NO_CONNTRACK' } });
    failure = undefined;
    controller.synced('IPv4', routing({ [`${cluster} 53`]: ['10.0.0.4 5353'] }));
    await clock.advance(0);
    expect(results).toHaveLength(1);
  });

  test('does not look at anything more once it is stopped', async () => {
    await controller.stop(0);
    controller.synced('IPv4', routing({ [`${cluster} 53`]: [] }));
    await clock.advance(10_000);
    expect(commands.lines).toEqual([]);
  });
});
