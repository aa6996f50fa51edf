import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Command, CommandRunner } from './command-runner.ts';
import { createCommandRunner } from './execa-command-runner.ts';
import { ShellCommandRunner } from './shell-command-runner.ts';

const script = (text: string): Command => program('sh', '-c', text);
const program = (file: string, ...args: readonly string[]): Command => ({
  file,
  args,
  captureOutput: true,
  timeoutMs: 20_000,
});

describe('ShellCommandRunner', () => {
  const inner = createCommandRunner();
  const direct: CommandRunner = {
    run: (command, signal) => {
      ranDirectly.push(command);
      return inner.run(command, signal);
    },
  };
  let ranDirectly: Command[];
  let runner: ShellCommandRunner;

  beforeEach(() => {
    ranDirectly = [];
    runner = new ShellCommandRunner(direct);
  });

  test('gives exit code and both outputs, as they are', async () => {
    expect(await runner.run(script('echo out; echo err >&2; exit 3'))).toMatchObject({
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
      timedOut: false,
    });
    expect(await runner.run(script('printf "\\nno end"'))).toMatchObject({ exitCode: 0, stdout: '\nno end' });
    expect(await runner.run(program('true'))).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    expect(ranDirectly).toEqual([]);
  });

  test('passes every word on as it is', async () => {
    const word = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'));
    const words = fc.array(word, { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(words, async (given) => {
        const { stdout } = await runner.run(program('printf', '%s|', ...given));
        expect(stdout).toBe(Buffer.from(given.map((one) => `${one}|`).join('')).toString());
      }),
    );
  });

  test('starts programs from one shell, one after the other', async () => {
    const parents = await Promise.all(
      Array.from({ length: 20 }, (_, index) => runner.run(script(`echo ${index} $PPID`))),
    );
    const words = parents.map(({ stdout }) => stdout.trim().split(' '));
    expect(words.map(([index]) => index)).toEqual(Array.from({ length: 20 }, (_, index) => String(index)));
    expect(new Set(words.map(([, parent]) => parent)).size).toBe(1);
  });

  test('drops standard output unless it is wanted', async () => {
    expect(await runner.run({ ...program('echo', 'out'), captureOutput: false })).toMatchObject({
      exitCode: 0,
      stdout: '',
    });
  });

  test('gives programs an end of input', async () => {
    expect(await runner.run(program('cat'))).toMatchObject({ exitCode: 0, stdout: '' });
  });

  test('says why a program could not be started', async () => {
    expect(await runner.run(program('no-such-program'))).toMatchObject({
      exitCode: undefined,
      spawnError: 'ENOENT',
    });
    expect(await runner.run(program('/etc/passwd'))).toMatchObject({ spawnError: 'EACCES' });
  });

  test('reads megabytes whole, and keeps the beginning of complaints', async () => {
    const result = await runner.run(script('yes complaint | head -c 3000000 >&2; seq 500000'));
    expect(result.stdout).toHaveLength(3_388_895);
    expect(result.stdout.endsWith('\n500000\n')).toBe(true);
    expect(result.stderr).toHaveLength(64 * 1024);
  });

  test('passes on nothing of its own environment but the path', async () => {
    const { stdout } = await runner.run(script('echo "$LC_ALL|$HOME|$PATH"'));
    expect(stdout).toMatch(/^C\|\|.*\/usr\/sbin/);
  });

  test('ends a program that takes too long, with its children, and goes on', async () => {
    const stubborn = script('trap "" TERM; sleep 30 & echo $! >&2; wait; sleep 30');
    const result = await runner.run({ ...stubborn, timeoutMs: 300 });
    expect(result).toMatchObject({ exitCode: undefined, timedOut: true });
    await isGone(result.stderr.trim());
    expect(await runner.run(program('echo', 'on'))).toMatchObject({ exitCode: 0, stdout: 'on\n' });
  });

  test('rejects with the reason of the signal, and ends the program', async () => {
    const { stdout: shell } = await runner.run(script('echo $PPID'));
    const abort = new AbortController();
    const running = runner.run(program('sleep', '30'), abort.signal);
    const waiting = runner.run(program('true'), abort.signal);
    abort.abort(new Error('shutting down'));
    await expect(running).rejects.toThrow('shutting down');
    await expect(waiting).rejects.toThrow('shutting down');
    await isGone(shell.trim());
    expect(await runner.run(program('echo', 'on'))).toMatchObject({ stdout: 'on\n' });
  });

  test('says that a program was killed when somebody kills the shell, and starts another', async () => {
    const killed = await runner.run(script('kill -KILL $PPID; sleep 30'));
    expect(killed).toMatchObject({ exitCode: undefined, timedOut: false });
    expect(killed.spawnError).toBeUndefined();
    expect(await runner.run(program('echo', 'on'))).toMatchObject({ stdout: 'on\n' });
  });

  test('starts another when the shell was killed between two commands', async () => {
    const { stdout } = await runner.run(script('echo $PPID'));
    process.kill(Number(stdout), 'SIGKILL');
    await isGone(stdout.trim());
    const results = [await runner.run(program('echo', 'on')), await runner.run(program('echo', 'on'))];
    expect(results.at(-1)).toMatchObject({ stdout: 'on\n' });
  });

  test('leaves no shell behind, however this process ends', async () => {
    const script = `
      import { createCommandRunner, ShellCommandRunner } from '${join(import.meta.dirname, 'index.ts')}';
      const runner = new ShellCommandRunner(createCommandRunner());
      const command = { file: 'sh', args: ['-c', 'echo $PPID'], captureOutput: true, timeoutMs: 20000 };
      console.log((await runner.run(command)).stdout.trim());
      if (process.argv[1] === 'killed') process.kill(process.pid, 'SIGKILL');`;
    for (const end of ['killed', 'by itself']) {
      const args = ['--input-type=module', '--eval', script, end];
      const { stdout } = await execa(process.execPath, args, { reject: false });
      expect(stdout).toMatch(/^\d+$/);
      await isGone(stdout);
    }
  });

  test('does without a shell where there is none', async () => {
    const without = new ShellCommandRunner(direct, 'no-such-shell');
    for (const text of ['first', 'second'])
      expect(await without.run(program('echo', text))).toMatchObject({ exitCode: 0, stdout: `${text}\n` });
    expect(ranDirectly).toHaveLength(2);
  });

  test('leaves programs with input to the other runner', async () => {
    const command = { ...program('cat'), input: 'text' };
    expect(await runner.run(command)).toMatchObject({ stdout: 'text' });
    expect(ranDirectly).toEqual([command]);
  });
});

async function isGone(pid: string): Promise<void> {
  await expect
    .poll(
      () =>
        readFile(`/proc/${pid}/stat`, 'utf8').then(
          (text) => /\) [ZX]/.test(text),
          () => true,
        ),
      {
        timeout: 10_000,
      },
    )
    .toBe(true);
}
