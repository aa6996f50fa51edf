import { setImmediate } from 'node:timers/promises';
import type { CommandResult, CommandRunner } from '../runtime/index.ts';
import { WeirError } from '../runtime/index.ts';
import { failureText, isUnprivileged, succeeded } from './command-failure.ts';
import type { Flow, FlowDirection } from './conntrack-flow.ts';
import { parseFlow } from './conntrack-flow.ts';
import type { Family } from './tools.ts';

/** Which connections to delete: those that agree with everything that is given. A `Flow` means itself. */
export interface FlowMatch {
  readonly family: Family;
  /** IP protocol number. */
  readonly protocol: number;
  readonly original?: Partial<FlowDirection>;
  readonly reply?: Partial<FlowDirection>;
}

/** A listing of 20,000 connections takes 0.2 s. */
const timeoutMs = 60_000;
/** So many are read before others have their turn: some 20 ms. */
const linesAtOnce = 5000;
/** Each process walks the whole table in the kernel, so more of them only take the node's processors away from others. */
const deletesAtOnce = 4;
/**
 * A connection ended by itself after the tool had seen it. The tool breaks off there (conntrack-tools 1.4.7), does not say how
 * many it had deleted, and leaves those behind it; every further walk has fewer before it.
 */
const goneMeanwhile = "such conntrack doesn't exist";
const mostAttempts = 10;

/**
 * The tracked connections of one family in which any of these addresses has a part, on either side of a translation. Zones
 * are ignored. Addresses in their canonical form. Throws a WeirError when the table can
 * not be read, also when the `conntrack` program is missing.
 */
export async function listFlows(
  commands: CommandRunner,
  family: Family,
  addresses: ReadonlySet<string>,
  signal?: AbortSignal,
): Promise<readonly Flow[]> {
  return list(commands, family, [], (flow) => touches(flow, addresses), signal);
}

/** The tracked UDP flows of one family that are wanted; otherwise as `listFlows`. */
export async function listUdpFlows(
  commands: CommandRunner,
  family: Family,
  isWanted: (flow: Flow) => boolean,
  signal?: AbortSignal,
): Promise<readonly Flow[]> {
  return list(commands, family, ['-p', 'udp'], isWanted, signal);
}

async function list(
  commands: CommandRunner,
  family: Family,
  filter: readonly string[],
  isWanted: (flow: Flow) => boolean,
  signal: AbortSignal | undefined,
): Promise<readonly Flow[]> {
  const args = ['-L', '-f', familyWord(family), ...filter];
  const result = await commands.run({ file: 'conntrack', args, captureOutput: true, timeoutMs }, signal);
  if (!succeeded(result)) throw conntrackError(args, result);
  const flows: Flow[] = [];
  for (const [index, line] of result.stdout.split('\n').entries()) {
    if (index % linesAtOnce === linesAtOnce - 1) await setImmediate();
    const flow = parseFlow(line, family);
    if (flow !== undefined && isWanted(flow)) flows.push(flow);
  }
  return flows;
}

/**
 * Deletes connections, and returns how many there were; one that is gone already is no error. To the tool every match is a walk
 * through the whole table: some 10 ms for a process, and 5 ms for each 1,000 tracked connections. So whoever has thousands to delete
 * should give what they have in common instead of naming each. Throws a WeirError on the first failure; what is deleted by
 * then stays deleted.
 */
export async function deleteFlows(
  commands: CommandRunner,
  matches: readonly FlowMatch[],
  signal?: AbortSignal,
): Promise<number> {
  let deleted = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let match = matches[next]; match !== undefined; match = matches[next]) {
      next += 1;
      try {
        const count = await deleteMatch(commands, match, signal);
        deleted += count;
      } catch (error) {
        next = matches.length;
        throw error;
      }
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: deletesAtOnce }, worker));
  for (const end of workers) if (end.status === 'rejected') throw end.reason;
  return deleted;
}

async function deleteMatch(
  commands: CommandRunner,
  match: FlowMatch,
  signal: AbortSignal | undefined,
): Promise<number> {
  const args = deleteArguments(match);
  for (let attempt = 1; ; attempt += 1) {
    const result = await commands.run({ file: 'conntrack', args, timeoutMs }, signal);
    // The tool ends with 1 where it found nothing to delete.
    const deleted = /\b(\d+) flow entries have been deleted/.exec(result.stderr)?.[1];
    if (deleted !== undefined && !result.timedOut) return Number(deleted);
    if (!result.stderr.includes(goneMeanwhile) || attempt === mostAttempts)
      throw conntrackError(args, result);
  }
}

function deleteArguments({ family, protocol, original = {}, reply = {} }: FlowMatch): readonly string[] {
  const addresses = [original.source, original.destination, reply.source, reply.destination];
  // Without one the tool would delete everything.
  if (addresses.every((address) => address === undefined))
    throw new WeirError('WEIR_BUG', 'connections to delete are to be named by an address at least');
  return [
    '-D',
    '-f',
    familyWord(family),
    '-p',
    String(protocol),
    ...option('--orig-src', original.source),
    ...option('--orig-dst', original.destination),
    ...option('--sport', original.sourcePort),
    ...option('--dport', original.destinationPort),
    ...option('--reply-src', reply.source),
    ...option('--reply-dst', reply.destination),
    ...option('--reply-port-src', reply.sourcePort),
    ...option('--reply-port-dst', reply.destinationPort),
  ];
}

function option(name: string, value: string | number | undefined): readonly string[] {
  return value === undefined ? [] : [name, String(value)];
}

function touches({ original, reply }: Flow, addresses: ReadonlySet<string>): boolean {
  return (
    addresses.has(original.source) ||
    addresses.has(original.destination) ||
    addresses.has(reply.source) ||
    addresses.has(reply.destination)
  );
}

function familyWord(family: Family): string {
  return family === 'IPv4' ? 'ipv4' : 'ipv6';
}

function conntrackError(args: readonly string[], result: CommandResult): WeirError {
  if (result.spawnError !== undefined) {
    return new WeirError(
      'WEIR_NO_CONNTRACK',
      `conntrack can not be started (${result.spawnError}); install the package conntrack (Fedora, Alpine: conntrack-tools)`,
    );
  }
  const message = `conntrack ${args.join(' ')}: ${failureText(result)}`;
  return new WeirError(isUnprivileged(result) ? 'WEIR_NOT_PRIVILEGED' : 'WEIR_CONNTRACK_FAILED', message);
}
