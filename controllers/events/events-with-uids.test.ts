import { expect, test } from 'vitest';
import { Store } from '../../pkg/cache/index.ts';
import { service } from '../../test/support/service-objects.ts';
import { decoded } from '../../test/support/wire-objects.ts';
import type { EventDetails } from './event-object.ts';
import { eventsWithUids } from './events-with-uids.ts';
import { knownEvents } from './known-events.ts';

const store = new Store();
const events: EventDetails[] = [];
const sink = eventsWithUids({ event: (details) => events.push(details) }, store);

function uidIn(details: EventDetails): string | undefined {
  sink.event(details);
  return events.at(-1)?.regarding.uid;
}

test('an event says which Service of that name it is about', () => {
  const conflict = knownEvents.addressConflict('ns1', 'svc1', 'taken');
  expect(uidIn(conflict)).toBeUndefined();
  store.upsert(service({ uid: 'u-1' }));
  expect(uidIn(conflict)).toBe('u-1');
  store.upsert(service({ uid: 'u-2' }));
  expect(uidIn(conflict)).toBe('u-2');
  store.upsert(service({ uid: '' }));
  expect(uidIn(conflict)).toBeUndefined();
});

test('an event about a Node has its uid, or its name as long as the Node is not known', () => {
  const starting = knownEvents.starting('node-a');
  expect(uidIn(starting)).toBe('node-a');
  store.upsert(decoded('Node', { metadata: { name: 'node-a', uid: 'u-3' } }).object);
  expect(uidIn(starting)).toBe('u-3');
});
