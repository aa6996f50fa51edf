import { readFileSync } from 'node:fs';
import { execaNode } from 'execa';
import { expect, test } from 'vitest';
import { HeldProgram } from './held-program.ts';

const patience = { timeout: 10_000 };

/** `T`: stopped; `undefined`: gone. */
function stateOf(pid: number): string | undefined {
  try {
    return /^State:\s+(\S)/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

async function held(): Promise<{ readonly program: HeldProgram; readonly pid: number }> {
  const program = new HeldProgram('sleep', ['1000']);
  const pid = await program.started();
  if (pid === undefined) throw new Error('it does not run');
  return { program, pid };
}

test('is stopped when it is asked for, and killed at the end', async () => {
  const { program, pid } = await held();
  expect(stateOf(pid)).toMatch(/[RS]/);
  expect(await program.stop()).toBe(true);
  await expect.poll(() => stateOf(pid), patience).toBe('T');
  program.end();
  await expect.poll(() => stateOf(pid), patience).toBeUndefined();
});

test('may be ended before it was stopped', async () => {
  const { program, pid } = await held();
  program.end();
  await expect.poll(() => stateOf(pid), patience).toBeUndefined();
});

test('ends when the service manager ends the shell in front of it', async () => {
  const { program, pid } = await held();
  await program.stop();
  process.kill(parentOf(pid), 'SIGTERM');
  await expect.poll(() => stateOf(pid), patience).toBeUndefined();
});

test('ends when the process that started it is killed', async () => {
  const script = `
    import { HeldProgram } from ${JSON.stringify(new URL('./held-program.ts', import.meta.url).href)};
    setInterval(() => {}, 1000);
    const program = new HeldProgram('sleep', ['1000']);
    const pid = await program.started();
    await program.stop();
    process.stdout.write(String(pid));
    process.kill(process.pid, 'SIGKILL');`;
  const { stdout } = await execaNode({ reject: false })`--input-type=module --eval ${script}`;
  expect(Number(stdout)).toBeGreaterThan(1);
  await expect.poll(() => stateOf(Number(stdout)), patience).toBeUndefined();
});

test('says so where there is no shell, or no such program', async () => {
  const noShell = new HeldProgram('sleep', ['1000'], 'no-such-shell');
  expect(await noShell.started()).toBeUndefined();
  expect(await noShell.stop()).toBe(false);
  const noProgram = new HeldProgram('no-such-program', []);
  const pid = await noProgram.started();
  noProgram.end();
  await expect.poll(() => stateOf(pid ?? 0), patience).toBeUndefined();
});
