import { expect, test } from 'vitest';
import { restartFor, type StartedProcess, startWords } from './memory-flags.ts';

const plain: StartedProcess = {
  argv0: 'node',
  argv: ['/usr/bin/node', '/usr/lib/weir.js', 'run', '--v=1'],
  execArgv: [],
  execPath: '/usr/bin/node',
  env: { HOME: '/root' },
};

test('a command that was started without flags becomes itself with them', () => {
  expect(restartFor(plain)).toEqual({
    file: '/usr/bin/node',
    args: ['node', '--max-semi-space-size=4', '/usr/lib/weir.js', 'run', '--v=1'],
    env: { HOME: '/root', MALLOC_ARENA_MAX: '1' },
  });
});

test('what it becomes is not started again', () => {
  const restart = restartFor({ ...plain, execArgv: ['--enable-source-maps'] });
  const [argv0 = '', ...words] = restart?.args ?? [];
  const script = words.indexOf('/usr/lib/weir.js');
  expect(script).toBe(2);
  const again = {
    ...plain,
    argv0,
    execArgv: words.slice(0, script),
    argv: ['/usr/bin/node', ...words.slice(script)],
    env: restart?.env ?? {},
  };
  expect(again.execArgv).toContain('--enable-source-maps');
  expect(restartFor(again)).toBeUndefined();
});

test('neither is what its first line started', () => {
  const [arenas, , flag] = startWords;
  const [name = '', value] = arenas.split('=');
  expect(restartFor({ ...plain, execArgv: [flag], env: { [name]: value } })).toBeUndefined();
});

test.each<[string, Partial<StartedProcess>, readonly string[], string]>([
  ['heaps', { env: { MALLOC_ARENA_MAX: '4' } }, ['--max-semi-space-size=4'], '4'],
  ['a young space', { execArgv: ['--max-semi-space-size=16'] }, ['--max-semi-space-size=16'], '1'],
  [
    'a young space, as V8 spells it',
    { execArgv: ['--max_semi_space_size=16'] },
    ['--max_semi_space_size=16'],
    '1',
  ],
  ['a young space in the environment', { env: { NODE_OPTIONS: '-r x --max-semi-space-size=16' } }, [], '1'],
])('somebody who chose %s keeps them', (_case, changes, flags, arenas) => {
  const restart = restartFor({ ...plain, ...changes });
  expect(restart?.args.slice(1, -3)).toEqual(flags);
  expect(restart?.env['MALLOC_ARENA_MAX']).toBe(arenas);
});

test.each<[string, Partial<StartedProcess>]>([
  ['a command that holds no cluster', { argv: ['/usr/bin/node', '/usr/lib/weir.js', 'config'] }],
  ['a question for help', { argv: ['/usr/bin/node', '/usr/lib/weir.js', '--help'] }],
  ['a program that another one talks with', { channel: {} }],
])('%s stays as it is', (_case, changes) => {
  expect(restartFor({ ...plain, ...changes })).toBeUndefined();
});
