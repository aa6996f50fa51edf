import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LabSettings, type LabState, labFiles, labFolder } from './settings.ts';

const startTimeoutMs = 300_000;

/** How long a lab stays: until `stopLab`, or at most as long as the process that started it. */
export type Lifetime = 'untilStopped' | 'untilExit';

/** Starts a lab from upstream's programs. Resolves when all its nodes are ready; throws with its log when it fails. */
export async function startLab(
  settings: LabSettings,
  programs: string,
  lifetime: Lifetime = 'untilStopped',
): Promise<LabState> {
  if ((await runningLab()) !== undefined) throw new Error('There is a lab already: npm run lab -- down');
  await mkdir(labFolder, { recursive: true, mode: 0o700 });
  // Beside the folder, which the keeper makes anew.
  const logPath = `${labFolder}.log`;
  const log = openSync(logPath, 'w', 0o600);
  const keeper = new URL('keeper.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [keeper, JSON.stringify(settings), programs, lifetime], {
    detached: true,
    stdio: [lifetime === 'untilExit' ? 'pipe' : 'ignore', log, log],
  });
  closeSync(log);
  const deadline = Date.now() + startTimeoutMs;
  let state = await runningLab();
  while (state === undefined && child.exitCode === null && Date.now() < deadline) {
    await sleep(100);
    state = await runningLab();
  }
  if (state === undefined) {
    child.kill();
    throw new Error(`The lab did not start. Its log:\n${await readFile(logPath, 'utf8')}`);
  }
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
  return state;
}

/** Ends a lab; when this resolves, no process of it is left. */
export async function stopLab(state: LabState): Promise<void> {
  process.kill(state.keeperPid, 'SIGTERM');
  while (isAlive(state.keeperPid)) await sleep(50);
}

export async function runningLab(): Promise<LabState | undefined> {
  const text = await readFile(labFiles.state, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const state = JSON.parse(text) as LabState;
  return isAlive(state.keeperPid) ? state : undefined;
}

/** The words that run a command in the network of a node, by default in that of the control plane. */
export function wordsInside(state: LabState, node?: string): readonly [string, ...string[]] {
  const namespace = state.nodes.find(({ name }) => name === node)?.namespace ?? state.controlPlane;
  const intoLab = ['--target', `${state.initPid}`, '--mount', '--pid', '--ipc', '--uts', '--'];
  return ['nsenter', ...intoLab, 'nsenter', `--net=/run/netns/${namespace}`, '--'];
}

/** What commands inside want in their environment: the API server by its address there. */
export function environmentInside(state: LabState): Readonly<Record<string, string>> {
  return {
    KUBECONFIG: join(labFiles.secrets, 'admin.kubeconfig'),
    PATH: `${state.programs}:${process.env['PATH'] ?? ''}`,
  };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
