import { expect, test } from 'vitest';
import { sourceWorld, status, wireNode, wireService } from '../../../test/support/source-world.ts';
import { ApiStatusError } from './api-client.ts';

test.each(['on', 'refused', 'ignored', 'no-progress'] as const)(
  'filters Services itself where the server refuses the selector, streaming lists %s',
  async (watchList) => {
    const world = sourceWorld({ watchList, release: 'before-1.31' });
    world.api.put(wireService('web', '10.0.0.1'));
    world.api.put(wireService('headless', 'None'));
    await world.start();
    // Where the parameter is ignored, the stream ends with the first bookmark.
    await world.clock.advance(70_000);
    expect(world.startState()).toBe('resolved');
    expect(world.told.names('Service')).toEqual(['web']);
    world.told.takeLog();

    world.api.put(wireService('headless', 'None', { labels: { a: 'b' } }));
    await world.settle();
    expect(world.told.takeLog()).toEqual([]);
    // As a Service comes and goes for who watches with the selector.
    world.api.put(wireService('web', 'None'));
    world.api.put(wireService('headless', '10.0.0.2'));
    await world.settle();
    expect(world.told.takeLog()).toEqual(['- Service shop/web', '+ Service shop/headless', 'settled']);
    world.api.remove('services', 'shop', 'web');
    await world.settle();
    expect(world.told.takeLog()).toEqual([]);
    await world.source.stop();
  },
);

test('asks once with the selector that is refused, and says so once', async () => {
  const world = sourceWorld({ release: 'before-1.31' });
  await world.start();
  for (let round = 0; round < 3; round++) {
    world.api.compact('services');
    for (const watch of world.api.watches) watch.disturb({ effect: 'reset' });
    await world.clock.advance(60_000);
  }
  const asked = world.api.requests.filter(({ resource }) => resource === 'services');
  expect(asked.length).toBeGreaterThan(4);
  expect(asked.filter(({ query }) => query.has('fieldSelector'))).toHaveLength(1);
  expect(asked.every(({ query }) => query.has('labelSelector'))).toBe(true);
  const said = world.log.lines.filter((line) => line.includes('1.31'));
  expect(said).toEqual([expect.stringMatching(/^INFO the API server can't select services by field/)]);
  // No failure: it is as good.
  expect(world.observed.filter((line) => line.startsWith('failed Service invalid'))).toEqual([]);
  await world.source.stop();
});

test('takes in no Node but its own, also where a server refuses to select it', async () => {
  const world = sourceWorld();
  const refusal = new ApiStatusError(400, 'BadRequest', 'field label not supported: metadata.name');
  world.api.refuse = ({ resource, query }) =>
    resource === 'nodes' && query.has('fieldSelector') ? refusal : undefined;
  world.api.put(wireNode('node-1'));
  world.api.put(wireNode('node-2'));
  await world.start();
  expect(world.startState()).toBe('resolved');
  expect(world.told.names('Node')).toEqual(['node-1']);
  await world.source.stop();
});

test('goes on selecting where a 400 is about something else', async () => {
  const world = sourceWorld();
  let refusals = 3;
  world.api.refuse = ({ resource }) =>
    resource === 'services' && refusals-- > 0 ? status(400, 'BadRequest') : undefined;
  await world.start();
  await world.clock.advance(20_000);
  expect(world.startState()).toBe('resolved');
  const asked = world.api.requests.filter(({ resource }) => resource === 'services');
  expect(asked.length).toBeGreaterThan(3);
  expect(asked.every(({ query }) => query.has('fieldSelector'))).toBe(true);
  await world.source.stop();
});
