import type { AgentResult, FlushTimes } from './agent.ts';
import type { ConnectSummary } from './first-packet.ts';
import type { PolicyResult } from './policies.ts';
import type { ChangeResult, InProcessResult } from './run-in-process.ts';

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
    'idle RSS MB',
    'idle CPU % (programs)',
    'event → packet p50,p99',
    'event → rules p50,p99',
    'filter flushed: seen, repaired p50,p99',
    'nat flushed: seen, repaired p50,p99',
    `${results[0]?.big.services ?? 0} Services: ready`,
    'peak MB',
    'RSS MB',
    'filter flushed',
    'nat flushed',
  ];
  const pair = ({ p50, p99 }: { readonly p50: number; readonly p99: number }): string => `${p50},${p99}`;
  const flush = ({ noticed, repaired }: FlushTimes): string => `${pair(noticed)} / ${pair(repaired)}`;
  const percent = (share: number): string => (share * 100).toFixed(1);
  const cells = results.map(({ backend, idle, middle, big }) => [
    backend,
    String(idle.residentMB),
    `${percent(idle.cpu)} (${percent(idle.cpuOfPrograms)})`,
    pair(middle.firstPacket),
    pair(middle.eventApplied),
    flush(middle.flushed.filter),
    flush(middle.flushed.nat),
    String(big.readyMs),
    String(big.peakMB),
    String(big.residentMB),
    flush(big.flushed.filter),
    flush(big.flushed.nat),
  ]);
  return align([header, ...cells]);
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
