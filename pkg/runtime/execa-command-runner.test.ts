import { expect, test } from 'vitest';
import { createCommandRunner } from './execa-command-runner.ts';

const runner = createCommandRunner();
const shell = (script: string): { file: string; args: string[]; timeoutMs: number } => ({
  file: 'sh',
  args: ['-c', script],
  timeoutMs: 20_000,
});

test('gives exit code and both outputs', async () => {
  const result = await runner.run({ ...shell('echo out; echo err >&2; exit 3'), captureOutput: true });
  expect(result).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n', timedOut: false });
});

test('drops standard output unless it is wanted', async () => {
  expect(await runner.run(shell('echo out'))).toMatchObject({ exitCode: 0, stdout: '' });
});

test('says why a program could not be started', async () => {
  const result = await runner.run({ file: 'no-such-program', args: [], timeoutMs: 1000 });
  expect(result).toMatchObject({ exitCode: undefined, spawnError: 'ENOENT', timedOut: false });
});

test('writes a long list of texts to standard input, in order and whole', async () => {
  const input = Array.from({ length: 100_000 }, (_, index) => `line ${index}\n`);
  const result = await runner.run({ ...shell('cat'), input, captureOutput: true });
  expect(result.stdout === input.join('')).toBe(true);
});

test('gives the program an end of input when there is nothing to read', async () => {
  expect(await runner.run(shell('cat'))).toMatchObject({ exitCode: 0 });
  expect(await runner.run({ ...shell('cat'), input: [] })).toMatchObject({ exitCode: 0 });
});

test('keeps the exit code of a program that does not read its input', async () => {
  const result = await runner.run({ ...shell('exit 4'), input: ['x'.repeat(8_000_000)] });
  expect(result).toMatchObject({ exitCode: 4, timedOut: false });
});

test('lets a program complain for megabytes and keeps the beginning', async () => {
  const result = await runner.run(shell('yes complaint | head -c 3000000 >&2; exit 2'));
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toHaveLength(64 * 1024);
  expect(result.stderr.startsWith('complaint\n')).toBe(true);
});

test('passes on nothing of its own environment but the path', async () => {
  const result = await runner.run({ ...shell('echo "$LC_ALL|$HOME|$PATH"'), captureOutput: true });
  expect(result.stdout).toMatch(/^C\|\|.*\/usr\/sbin/);
});

test('ends a program that takes too long, even one that ignores SIGTERM', async () => {
  const stubborn = shell('trap "" TERM; while :; do sleep 0.1; done');
  expect(await runner.run({ ...stubborn, timeoutMs: 50 })).toMatchObject({
    exitCode: undefined,
    timedOut: true,
  });
});

test('does not wait for a grandchild that keeps the pipes open', async () => {
  const result = await runner.run(shell('sleep 15 & exit 7'));
  expect(result).toMatchObject({ exitCode: 7, timedOut: false });
});

test('never takes cut-off output for the whole', async () => {
  const result = await runner.run({ ...shell('echo part; sleep 15 &'), captureOutput: true });
  expect(result).toMatchObject({ exitCode: 0, timedOut: true });
});

test('rejects with the reason of the signal, and ends the program', async () => {
  const abort = new AbortController();
  const running = runner.run(shell('sleep 15'), abort.signal);
  abort.abort(new Error('shutting down'));
  await expect(running).rejects.toThrow('shutting down');
  await expect(runner.run(shell('true'), abort.signal)).rejects.toThrow('shutting down');
});
