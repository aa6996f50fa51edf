import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { sourceWorld, wirePod, wireService } from '../../../test/support/source-world.ts';

const hourMs = 3_600_000;

interface Held {
  readonly sleepers: number;
  readonly watches: number;
  /** On all signals that anything ever slept with. */
  readonly abortListeners: number;
}

test('leaves nothing behind in a day of watches that end and begin again', { timeout: 120_000 }, async () => {
  const world = sourceWorld();
  const signals = new Set<AbortSignal>();
  const sleep = world.clock.sleep.bind(world.clock);
  world.clock.sleep = (ms, signal) => {
    if (signal !== undefined) signals.add(signal);
    return sleep(ms, signal);
  };
  const held = (): Held => ({
    sleepers: world.clock.sleeping,
    watches: world.api.watches.size,
    abortListeners: [...signals].reduce((sum, signal) => sum + getEventListeners(signal, 'abort').length, 0),
  });
  for (let index = 0; index < 50; index++) world.api.put(wireService(`s${index}`, `10.0.0.${index}`));
  await world.start();
  for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
  await world.clock.advance(hourMs);
  const afterOneHour = held();
  for (let hour = 1; hour < 24; hour++) {
    world.api.put(wirePod(`pod-${hour}`, '10.1.0.1'));
    world.api.remove('pods', 'shop', `pod-${hour - 1}`);
    for (const watch of world.api.watches) watch.disturb({ effect: hour % 2 === 0 ? 'reset' : 'end' });
    if (hour % 6 === 0) world.api.compact('services');
    await world.clock.advance(hourMs);
  }
  expect(world.observed.filter((line) => line.startsWith('watchStarted')).length).toBeGreaterThan(7 * 24 * 6);
  expect(held()).toEqual(afterOneHour);
  expect(afterOneHour).toMatchObject({ watches: 7 });
  expect(world.told.names('Service')).toHaveLength(50);
  expect(world.told.names('Pod')).toEqual(['pod-23']);
  // Nothing was told twice: each object once, and each change.
  expect(world.told.log.filter((line) => line.startsWith('+'))).toHaveLength(50 + 23);

  await world.source.stop();
  expect(held()).toEqual({ sleepers: 0, watches: 0, abortListeners: 0 });
});
