import type { ProbeReport } from './agent/protocol.ts';
import type { NetworkNamespace, RunningProbe } from './network-namespace.ts';
import { targetOf } from './policy-lab.ts';

const defaultEveryMs = 20;
/** A connection that gets through does so at once; one that is dropped is not waited for. */
const forbiddenTimeoutMs = 300;
/** Long enough for three SYNs. */
const allowedTimeoutMs = 5000;
const kinds = [
  { family: 'IPv4', protocol: 'tcp' },
  { family: 'IPv4', protocol: 'udp' },
  { family: 'IPv6', protocol: 'tcp' },
] as const;

export type Path = readonly [from: NetworkNamespace, to: NetworkNamespace];

export interface ProbedPaths {
  readonly forbidden: readonly Path[];
  readonly allowed: readonly Path[];
}

export interface PathReport {
  /** `FROM to TO PROTOCOL over FAMILY` → what happened that should not have: answers, or failures. */
  readonly wrong: Readonly<Record<string, unknown>>;
  /** Of the path that was tried least often. */
  readonly fewestAttempts: number;
}

interface Running {
  readonly title: string;
  readonly isForbidden: boolean;
  readonly probe: RunningProbe;
}

/** Tries forbidden and allowed connections all the time, a new one this often on each path, until it is stopped. */
export async function probePaths(
  paths: ProbedPaths,
  everyMs = defaultEveryMs,
): Promise<{ stop(): Promise<PathReport> }> {
  const probes = [
    ...paths.forbidden.flatMap((path) => kinds.map((kind) => start(path, kind, true, everyMs))),
    ...paths.allowed.flatMap((path) => kinds.map((kind) => start(path, kind, false, everyMs))),
  ];
  const running = await Promise.all(probes);
  return { stop: () => report(running) };
}

async function start(
  [from, to]: Path,
  { family, protocol }: (typeof kinds)[number],
  isForbidden: boolean,
  everyMs: number,
): Promise<Running> {
  const timeoutMs = isForbidden ? forbiddenTimeoutMs : protocol === 'udp' ? 1000 : allowedTimeoutMs;
  const probe = await from.startProbe({ ...targetOf(to, family, protocol), everyMs, timeoutMs });
  return { title: `${from.name} to ${to.name} ${protocol} over ${family}`, isForbidden, probe };
}

async function report(running: readonly Running[]): Promise<PathReport> {
  const reports = await Promise.all(
    running.map(async ({ title, isForbidden, probe }) => ({ title, isForbidden, ...(await probe.stop()) })),
  );
  const wrong = reports.filter((one) => Object.keys(wrongOf(one)).length > 0);
  return {
    wrong: Object.fromEntries(wrong.map((one) => [one.title, { ...wrongOf(one), changes: one.changes }])),
    fewestAttempts: Math.min(...reports.map(({ attempts }) => attempts)),
  };
}

function wrongOf({
  isForbidden,
  replies,
  failures,
}: ProbeReport & { readonly isForbidden: boolean }): Readonly<Record<string, number>> {
  return isForbidden ? replies : failures;
}
