import { expect, test } from 'vitest';
import { type FakeProgram, fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import type { CommandRunner } from '../runtime/index.ts';
import { deleteFlows, type FlowMatch, listFlows, listUdpFlows } from './conntrack.ts';

const listing = `tcp      6 86397 ESTABLISHED src=10.0.0.1 dst=10.96.0.1 sport=1000 dport=80 src=10.0.0.2 dst=192.0.2.7 sport=8080 dport=31000 [ASSURED] mark=0 use=1
udp      17 29 src=10.0.0.3 dst=10.0.0.4 sport=1001 dport=53 [UNREPLIED] src=10.0.0.4 dst=10.0.0.3 sport=53 dport=1001 mark=0 use=1
`;

function deleted(count: number): FakeProgram {
  const stderr = `conntrack v1.4.7 (conntrack-tools): ${count} flow entries have been deleted.\n`;
  return () => ({ exitCode: count === 0 ? 1 : 0, stderr });
}

const ping: FlowMatch = {
  family: 'IPv4',
  protocol: 1,
  original: { source: '10.0.0.1' },
  reply: { source: '10.0.0.9' },
};

test.each([
  ['the client', '10.0.0.1', 1],
  ['the Service', '10.96.0.1', 1],
  ['the endpoint', '10.0.0.2', 1],
  ["the client's masquerade", '192.0.2.7', 1],
  ['nobody', '10.0.0.10', 0],
])('lists the connections in which an address is %s', async (_role, address, count) => {
  const commands = fakeCommandRunner({ conntrack: () => ({ stdout: listing }) });
  const flows = await listFlows(commands, 'IPv4', new Set([address]));
  expect(flows).toHaveLength(count);
  expect(commands.lines).toEqual(['conntrack -L -f ipv4']);
});

test('reads the table once, whatever the number of addresses', async () => {
  const commands = fakeCommandRunner({ conntrack: () => ({ stdout: listing }) });
  const flows = await listFlows(commands, 'IPv6', new Set(['10.0.0.1', '10.0.0.2', '10.0.0.3']));
  expect(flows.map((flow) => flow.protocol)).toEqual([6, 17]);
  expect(commands.lines).toEqual(['conntrack -L -f ipv6']);
});

test('lists the UDP flows that are wanted, without the rest of the table', async () => {
  const commands = fakeCommandRunner({
    conntrack: () => ({ stdout: listing.split('\n').slice(1).join('\n') }),
  });
  const flows = await listUdpFlows(commands, 'IPv4', ({ original }) => original.destinationPort === 53);
  expect(flows.map(({ original }) => original.source)).toEqual(['10.0.0.3']);
  expect(await listUdpFlows(commands, 'IPv6', () => false)).toEqual([]);
  expect(commands.lines).toEqual(['conntrack -L -f ipv4 -p udp', 'conntrack -L -f ipv6 -p udp']);
});

test('lets others have their turn while it reads a long table', async () => {
  const line = listing.split('\n')[1] ?? '';
  const stdout = Array.from({ length: 20_000 }, () => line).join('\n');
  const commands = fakeCommandRunner({ conntrack: () => ({ stdout }) });
  let turns = 0;
  const others = setInterval(() => {
    turns += 1;
  }, 0);
  expect(await listUdpFlows(commands, 'IPv4', () => true)).toHaveLength(20_000);
  clearInterval(others);
  expect(turns).toBeGreaterThan(0);
});

test('deletes a single connection by all that it is known by', async () => {
  const commands = fakeCommandRunner({
    conntrack: ({ args }) => (args[0] === '-L' ? { stdout: listing } : deleted(1)({ args } as never, 0)),
  });
  const flows = await listFlows(commands, 'IPv4', new Set(['10.0.0.1']));
  expect(await deleteFlows(commands, flows)).toBe(1);
  expect(commands.lines[1]).toBe(
    'conntrack -D -f ipv4 -p 6 --orig-src 10.0.0.1 --orig-dst 10.96.0.1 --sport 1000 --dport 80 ' +
      '--reply-src 10.0.0.2 --reply-dst 192.0.2.7 --reply-port-src 8080 --reply-port-dst 31000',
  );
});

test('deletes by what connections have in common, and counts all of them', async () => {
  const commands = fakeCommandRunner({ conntrack: deleted(250) });
  expect(await deleteFlows(commands, [ping])).toBe(250);
  expect(commands.lines).toEqual(['conntrack -D -f ipv4 -p 1 --orig-src 10.0.0.1 --reply-src 10.0.0.9']);
});

test('takes it well when a connection has ended by itself in the meantime', async () => {
  expect(await deleteFlows(fakeCommandRunner({ conntrack: deleted(0) }), [ping])).toBe(0);
});

test('goes on behind a connection that ended while the tool was deleting', async () => {
  const stderr = "conntrack v1.4.7 (conntrack-tools): Operation failed: such conntrack doesn't exist\n";
  const brokenOff: FakeProgram = () => ({ exitCode: 1, stderr });
  let runs = 0;
  const commands = fakeCommandRunner({
    conntrack: (command, index) => {
      runs += 1;
      return (runs < 3 ? brokenOff : deleted(7))(command, index);
    },
  });
  expect(await deleteFlows(commands, [ping])).toBe(7);
  expect(runs).toBe(3);
  const always = fakeCommandRunner({ conntrack: brokenOff });
  await expect(deleteFlows(always, [ping])).rejects.toMatchObject({ code: 'WEIR_CONNTRACK_FAILED' });
  expect(always.lines).toHaveLength(10);
});

test('never deletes without an address, which would be every connection of the node', async () => {
  const commands = fakeCommandRunner({ conntrack: deleted(9) });
  const error: unknown = await deleteFlows(commands, [
    { family: 'IPv4', protocol: 6, reply: { sourcePort: 80 } },
  ]).catch((error: unknown) => error);
  expect(error).toMatchObject({ code: 'WEIR_BUG' });
  expect(commands.lines).toEqual([]);
});

test('runs a few deletions at a time, and all of them', async () => {
  let running = 0;
  let most = 0;
  const inner = fakeCommandRunner({ conntrack: deleted(1) });
  const commands: CommandRunner = {
    run: async (command, signal) => {
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      const result = await inner.run(command, signal);
      running -= 1;
      return result;
    },
  };
  const matches = Array.from(
    { length: 100 },
    (_, index): FlowMatch => ({
      ...ping,
      original: { source: `10.0.0.${index}` },
    }),
  );
  expect(await deleteFlows(commands, matches)).toBe(100);
  expect(new Set(inner.lines).size).toBe(100);
  expect(most).toBe(4);
});

test('stops at a failure', async () => {
  const stderr = 'conntrack v1.4.7 (conntrack-tools): Operation failed: No buffer space available';
  const commands = fakeCommandRunner({ conntrack: () => ({ exitCode: 1, stderr }) });
  const matches = Array.from({ length: 100 }, () => ping);
  await expect(deleteFlows(commands, matches)).rejects.toMatchObject({
    retryable: true,
    message: expect.stringContaining('No buffer space') as string,
  });
  expect(commands.lines.length).toBeLessThan(10);
});

const noRoot =
  'conntrack v1.4.7 (conntrack-tools): Operation failed: sorry, you must be root or get CAP_NET_ADMIN capability to do this';

test.each([
  ['the package where the program is missing', {}, /install the package conntrack/, false],
  [
    'the lack of privilege',
    { conntrack: () => ({ exitCode: 1, stderr: noRoot }) },
    /-f ipv4.*must be root/,
    false,
  ],
  [
    'a listing that broke off',
    { conntrack: () => ({ exitCode: 0, timedOut: true, durationMs: 60_000 }) },
    /60 s/,
    true,
  ],
])('names %s', async (_case, programs: Readonly<Record<string, FakeProgram>>, message, retryable) => {
  const listed = listFlows(fakeCommandRunner(programs), 'IPv4', new Set(['10.0.0.1']));
  await expect(listed).rejects.toMatchObject({
    retryable,
    message: expect.stringMatching(message) as string,
  });
  const deletion = deleteFlows(fakeCommandRunner(programs), [ping]);
  await expect(deletion).rejects.toMatchObject({
    retryable,
    message: expect.stringMatching(message) as string,
  });
});
