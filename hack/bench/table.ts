import type { AgentResult, FlushTimes } from './agent.ts';
import type { ConnectSummary } from './first-packet.ts';
import type { PolicyResult } from './policies.ts';
import type { ChangeResult, InProcessResult } from './run-in-process.ts';
import { mostP90, type UpkeepResult } from './upkeep.ts';

export interface TableRow {
  readonly backend: string;
  readonly services: number;
  readonly endpoints: number;
  readonly fromNothingMs: number;
  readonly residentMB: number;
  readonly treePeakMB: number;
  readonly parts: InProcessResult;
  readonly through?: ConnectSummary;
  readonly past?: ConnectSummary;
}

/** Aligned columns for people: milliseconds, for connects microseconds; `/ bare` is the tool alone on the same bytes. */
export function printTable(rows: readonly TableRow[]): string {
  const header = [
    'backend',
    'services',
    'from nothing',
    'decode',
    'render+plan',
    'write / bare',
    'replaced p50,p99 / bare',
    'added p50,p99 / bare',
    'deleted p50,p99 / bare',
    'connect µs p50,p99',
    'past µs p50,p99',
    'RSS MB',
    'tree MB',
    'resync CPU',
    'read back',
  ];
  const cells = rows.map((row) => [
    row.backend,
    `${row.services}×${row.endpoints}`,
    String(row.fromNothingMs),
    String(row.parts.decodeMs),
    String(row.parts.renderMs),
    `${row.parts.writeMs} / ${row.parts.bareWriteMs}`,
    change(row.parts.replaced),
    change(row.parts.added),
    change(row.parts.deleted),
    connect(row.through),
    connect(row.past),
    String(row.residentMB),
    String(row.treePeakMB),
    String(row.parts.resyncCpuMs),
    String(row.parts.readBackMs),
  ]);
  return align([header, ...cells]);
}

/** The same for policies. */
export function printPolicyTable(results: readonly PolicyResult[]): string {
  const header = [
    'backend',
    'policies',
    'pods',
    'compile and apply',
    'policy p50,p99',
    'pod label p50,p99',
    'namespace label p50,p99',
    '5,000 ipBlocks',
    '110 profiles',
    'connect µs policed p50,p99',
    'free p50,p99',
    'first allowed packet p50,p99',
    'heap MB',
  ];
  const pair = ({ p50, p99 }: { readonly p50: number; readonly p99: number }): string => `${p50},${p99}`;
  const cells = results.map((result) => [
    result.backend,
    String(result.policies),
    String(result.pods),
    String(result.fullMs),
    pair(result.policyChange),
    pair(result.podLabelChange),
    pair(result.namespaceLabelChange),
    String(result.manyBlocksMs),
    String(result.profilesMs),
    connect(result.policed),
    connect(result.free),
    pair(result.firstAllowed),
    String(result.heapMB),
  ]);
  return align([header, ...cells]);
}

/** The same for the agent with an API server; after a flush the times to its being noticed and repaired. */
export function printAgentTable(results: readonly AgentResult[]): string {
  const header = [
    'backend',
    'event → packet p50,p99',
    'event → rules p50,p99',
    'filter flushed: seen, repaired p50,p99',
    'nat flushed: seen, repaired p50,p99',
    `${results[0]?.big.services ?? 0} Services: ready`,
    'filter flushed',
    'nat flushed',
  ];
  const pair = ({ p50, p99 }: { readonly p50: number; readonly p99: number }): string => `${p50},${p99}`;
  const flush = ({ noticed, repaired }: FlushTimes): string => `${pair(noticed)} / ${pair(repaired)}`;
  const cells = results.map(({ backend, middle, big }) => [
    backend,
    pair(middle.firstPacket),
    pair(middle.eventApplied),
    flush(middle.flushed.filter),
    flush(middle.flushed.nat),
    String(big.readyMs),
    flush(big.flushed.filter),
    flush(big.flushed.nat),
  ]);
  return align([header, ...cells]);
}

/** What an agent costs at rest, and how soon the kernel follows an event, with the targets in the last line. */
export function printUpkeepTable(results: readonly UpkeepResult[]): string {
  const header = [
    'backend',
    'services',
    'ready',
    'RSS MB',
    'peak MB',
    'idle CPU %',
    'of it programs',
    'replaced p50,p90',
    'added p50,p90',
    'deleted p50,p90',
    'most p90 / p50',
  ];
  const percent = (share: number): string => (share * 100).toFixed(2);
  const cells = results.map(({ backend, services, readyMs, memory, idle, changes }) => [
    backend,
    String(services),
    String(readyMs),
    String(memory.residentMB),
    String(memory.peakMB),
    percent(idle.cpu),
    percent(idle.cpuOfPrograms),
    ...(changes === undefined
      ? ['-', '-', '-', '-']
      : [
          ...[changes.replaced, changes.added, changes.deleted].map(({ p50, p90 }) => `${p50},${p90}`),
          mostP90(changes).toFixed(2),
        ]),
  ]);
  const targets =
    'targets: idle CPU at most 0.5 % in a small cluster and 1 % at 10,000 Services; p90 at most 1.5 × p50';
  return `${align([header, ...cells])}\n${targets}`;
}

function align(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  '))
    .join('\n');
}

function change({ p50, p99, bareP50, bareP99 }: ChangeResult): string {
  return `${p50},${p99} / ${bareP50},${bareP99}`;
}

function connect(summary: ConnectSummary | undefined): string {
  return summary === undefined ? '-' : `${summary.p50},${summary.p99}`;
}
