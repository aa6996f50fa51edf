import { expect, test } from 'vitest';
import { WeirError } from './errors.ts';
import { crashLine, Supervisor } from './supervisor.ts';

test('reports the first part that fails, by name', async () => {
  const supervisor = new Supervisor();
  supervisor.watch('health server', new Promise(() => undefined));
  supervisor.watch('sync loop', Promise.reject(new WeirError('WEIR_BUG', 'lost its mind')));
  supervisor.watch('policy', Promise.reject(new Error('later')));
  expect(crashLine(await supervisor.crashed)).toBe('weir stops: sync loop: WEIR_BUG: lost its mind');
});

test('takes a part that just ends for a crash', async () => {
  const supervisor = new Supervisor();
  supervisor.watch('manifests', Promise.resolve());
  expect(crashLine(await supervisor.crashed)).toBe('weir stops: manifests: ended without being asked to');
});

test('lets parts end once shutdown has begun', async () => {
  const supervisor = new Supervisor();
  const part = Promise.withResolvers<undefined>();
  supervisor.watch('manifests', part.promise);
  supervisor.release();
  part.resolve(undefined);
  const first = await Promise.race([
    supervisor.crashed,
    new Promise((resolve) => setImmediate(() => resolve('quiet'))),
  ]);
  expect(first).toBe('quiet');
});
