import { execFileSync } from 'node:child_process';

export interface ChangeResult {
  readonly p50: number;
  readonly p99: number;
  /** The bare tools on the same bytes. */
  readonly bareP50: number;
  readonly bareP99: number;
}

/** Milliseconds, from in-process.ts. */
export interface InProcessResult {
  readonly decodeMs: number;
  readonly renderMs: number;
  readonly writeMs: number;
  readonly bareWriteMs: number;
  readonly replaced: ChangeResult;
  readonly added: ChangeResult;
  readonly deleted: ChangeResult;
  readonly resyncCpuMs: number;
  readonly readBackMs: number;
}

/** Runs in-process.ts in a network namespace of its own. */
export function runInProcess(
  root: string,
  backend: string,
  services: number,
  endpoints: number,
): InProcessResult {
  const repeat = services > 20_000 ? 10 : 40;
  const script = `${root}hack/bench/in-process.ts`;
  const args = [
    '--net',
    process.execPath,
    script,
    backend,
    String(services),
    String(endpoints),
    String(repeat),
  ];
  return JSON.parse(execFileSync('unshare', args, { encoding: 'utf8' })) as InProcessResult;
}
