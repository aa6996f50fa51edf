// Keeps a lab: starts its sandbox, leads connections to its API server, and takes everything away at the end. The lab
// dies with this process, however that ends.
import { spawn } from 'node:child_process';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findSandbox, sandboxed } from '../support/sandbox.ts';
import { kubeconfig } from './certificates.ts';
import { relay } from './relay.ts';
import { type LabState, labFiles, labFolder } from './settings.ts';

const [settingsText = '{}', programs = '', lifetime = 'untilStopped'] = process.argv.slice(2);
type ToldByLab = Pick<LabState, 'controlPlane' | 'outside' | 'nodes'>;

async function main(): Promise<number> {
  const sandbox = await findSandbox();
  if (sandbox.kind !== 'root') throw new Error('The lab needs root on a machine that allows namespaces.');
  await mkdir(labFiles.logs, { recursive: true, mode: 0o700 });
  const inside = new URL('inside.ts', import.meta.url).pathname;
  const invocation = sandboxed(sandbox, { file: process.execPath, args: [inside, settingsText, programs] });
  const child = spawn(invocation.file, invocation.args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const stop = (): void => void child.kill('SIGKILL');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  // The caller holds the other end, and its own end closes it, even when it is killed.
  if (lifetime === 'untilExit') process.stdin.once('end', stop).resume();
  const exited = new Promise<number>((resolve) => {
    child.once('error', () => resolve(1));
    child.once('exit', (code) => resolve(code ?? 0));
  });
  createInterface({ input: child.stdout }).once('line', (line) => {
    announce(JSON.parse(line) as ToldByLab, child.pid ?? 0).catch((error: unknown) => {
      console.error(error);
      stop();
    });
  });
  return exited;
}

/** The state file is the sign that the lab is up, so it comes last and at once. */
async function announce(inside: ToldByLab, sandboxPid: number): Promise<void> {
  const server = await relay(0, { path: labFiles.apiSocket });
  const { port } = server.address() as AddressInfo;
  const admin = JSON.parse(await readFile(join(labFiles.secrets, 'admin.kubeconfig'), 'utf8')) as {
    readonly users: readonly [{ readonly user: { readonly token: string } }];
  };
  const ca = await readFile(join(labFiles.secrets, 'ca.crt'), 'utf8');
  const text = kubeconfig(`https://127.0.0.1:${port}`, ca, admin.users[0].user.token);
  await writeFile(labFiles.kubeconfig, text, { mode: 0o600 });
  const children = await readFile(`/proc/${sandboxPid}/task/${sandboxPid}/children`, 'utf8');
  const state: LabState = {
    ...inside,
    settings: JSON.parse(settingsText) as LabState['settings'],
    programs,
    keeperPid: process.pid,
    initPid: Number(children.trim().split(' ')[0]),
  };
  await writeFile(`${labFiles.state}.new`, JSON.stringify(state, undefined, 2));
  await rename(`${labFiles.state}.new`, labFiles.state);
}

await rm(labFolder, { recursive: true, force: true });
process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  return 1;
});
await rm(labFiles.state, { force: true });
process.exit();
