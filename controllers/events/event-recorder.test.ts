import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { ApiStatusError } from '../../pkg/source/index.ts';
import { eventProblems } from '../../test/support/fake-api-events.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { longestEvents, longestNodeNames } from '../../test/support/longest-events.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { eventBody } from './event-object.ts';
import { type EventClient, type EventDetails, EventRecorder } from './event-recorder.ts';
import { ConflictEvents, knownEvents } from './known-events.ts';

type Request = Parameters<EventClient['json']>[0];

const conflict: EventDetails = knownEvents.addressConflict('shop', 'web', 'taken');

function nameOf(request: Request | undefined): string {
  const body = request?.body as { readonly metadata: { readonly name: string } } | undefined;
  return body?.metadata.name ?? '';
}

describe('EventRecorder', () => {
  let clock: FakeClock;
  let log: RecordedLog;
  let requests: Request[];
  let answer: (request: Request, signal: AbortSignal) => Promise<unknown>;
  let recorder: EventRecorder;

  beforeEach(() => {
    clock = new FakeClock();
    log = recordedLog();
    requests = [];
    answer = async () => ({});
    recorder = new EventRecorder({
      client: {
        json: (request, signal) => {
          requests.push(request);
          return answer(request, signal);
        },
      },
      nodeName: 'node-a',
      clock,
      log,
      date: () => new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678) + clock.now()),
    });
  });

  /** `POST` or `PATCH count` of each request. */
  function sent(): readonly string[] {
    return requests.splice(0).map(({ verb, body }) => {
      const { series } = body as { readonly series?: { readonly count: number } };
      return series === undefined ? verb : `${verb} ${series.count}`;
    });
  }

  test('posts an event about the node into the default namespace', async () => {
    recorder.event(knownEvents.starting('node-a'));
    await clock.advance(0);
    expect(requests).toEqual([
      {
        verb: 'POST',
        path: '/apis/events.k8s.io/v1/namespaces/default/events',
        headersTimeoutMs: 10_000,
        idleTimeoutMs: 10_000,
        body: {
          apiVersion: 'events.k8s.io/v1',
          kind: 'Event',
          metadata: {
            name: expect.stringMatching(/^node-a\.[0-9a-f]{16}$/) as string,
            namespace: 'default',
          },
          eventTime: '2026-01-02T03:04:05.678000Z',
          reportingController: 'kube-proxy',
          reportingInstance: 'weir-node-a',
          action: 'StartKubeProxy',
          reason: 'Starting',
          regarding: { apiVersion: 'v1', kind: 'Node', name: 'node-a' },
          note: 'Weir serves Services and network policies on this node',
          type: 'Normal',
        },
      },
    ]);
  });

  test('posts an event about a Service into its namespace', async () => {
    recorder.event(knownEvents.serviceHealthServerFailed('shop', 'web', 'port 32000 is taken'));
    await clock.advance(0);
    expect(requests[0]?.path).toBe('/apis/events.k8s.io/v1/namespaces/shop/events');
    expect(requests[0]?.body).toMatchObject({
      reason: 'FailedToStartServiceHealthcheck',
      action: 'Listen',
      type: 'Warning',
      regarding: { kind: 'Service', namespace: 'shop', name: 'web' },
    });
  });

  test('makes one series of what happens again within ten minutes', async () => {
    recorder.event(conflict);
    await clock.advance(599_000);
    recorder.event(conflict);
    await clock.advance(599_000);
    recorder.event(conflict);
    await clock.advance(0);
    const path = requests[1]?.path;
    const name = nameOf(requests[0]);
    expect(path).toBe(`/apis/events.k8s.io/v1/namespaces/shop/events/${name}`);
    expect(requests[1]?.body).toEqual({
      series: { count: 2, lastObservedTime: '2026-01-02T03:14:04.678000Z' },
    });
    expect(sent()).toEqual(['POST', 'PATCH 2', 'PATCH 3']);
    await clock.advance(601_000);
    recorder.event(conflict);
    await clock.advance(0);
    expect(sent()).toEqual(['POST']);
  });

  test('keeps events apart that differ in anything', async () => {
    recorder.event(conflict);
    recorder.event({ ...conflict, note: 'taken by another' });
    recorder.event({ ...conflict, regarding: { kind: 'Service', namespace: 'shop', name: 'api' } });
    await clock.advance(0);
    const names = requests.map(nameOf);
    expect(new Set(names).size).toBe(3);
    expect(sent()).toEqual(['POST', 'POST', 'POST']);
  });

  test('counts what happens while it is busy, and sends it once', async () => {
    const gate = Promise.withResolvers<unknown>();
    answer = () => gate.promise;
    recorder.event(conflict);
    await clock.advance(0);
    for (let count = 0; count < 5; count += 1) recorder.event(conflict);
    gate.resolve({});
    await clock.advance(0);
    expect(sent()).toEqual(['POST', 'PATCH 6']);
  });

  test('swallows failures, and posts the event anew when it happens again', async () => {
    answer = async () => {
      throw new Error('forbidden');
    };
    recorder.event(conflict);
    await clock.advance(0);
    expect(log.lines).toEqual(['DEBUG event not recorded: forbidden']);
    answer = async () => ({});
    recorder.event(conflict);
    await clock.advance(0);
    recorder.event(conflict);
    await clock.advance(0);
    expect(sent()).toEqual(['POST', 'POST 2', 'PATCH 3']);
  });

  test('gives each object 25 events and then one every five minutes', async () => {
    for (let number = 0; number < 30; number += 1) recorder.event({ ...conflict, note: `taken ${number}` });
    await clock.advance(0);
    expect(sent()).toHaveLength(25);
    expect(log.lines).toHaveLength(5);
    await clock.advance(300_000);
    for (let number = 0; number < 3; number += 1) recorder.event({ ...conflict, note: `again ${number}` });
    await clock.advance(0);
    expect(sent()).toHaveLength(1);
  });

  test('gives all objects together 50 at once', async () => {
    for (let number = 0; number < 80; number += 1)
      recorder.event(knownEvents.addressConflict('shop', `web-${number}`, 'taken'));
    await clock.advance(0);
    expect(sent()).toHaveLength(50);
    await clock.advance(12_000);
    for (let number = 0; number < 80; number += 1)
      recorder.event(knownEvents.addressConflict('shop', `api-${number}`, 'taken'));
    await clock.advance(0);
    expect(sent()).toHaveLength(2);
  });

  test('keeps no more than a hundred waiting', async () => {
    const gate = Promise.withResolvers<unknown>();
    answer = () => gate.promise;
    for (let number = 0; number < 1000; number += 1)
      recorder.event(knownEvents.addressConflict('shop', `web-${number}`, 'taken'));
    await clock.advance(0);
    expect(log.lines.length).toBe(900);
    gate.resolve({});
    await clock.advance(0);
    // One was under way already; the budget ends before the queue does.
    expect(sent()).toHaveLength(50);
  });

  test('sends what waits when it is stopped, and then nothing more', async () => {
    recorder.event(conflict);
    await recorder.stop(1000);
    recorder.event(knownEvents.starting('node-a'));
    await clock.advance(0);
    expect(sent()).toEqual(['POST']);
  });

  test('does not wait longer than it may', async () => {
    answer = (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    recorder.event(conflict);
    recorder.event(knownEvents.starting('node-a'));
    let hasStopped = false;
    const stopping = (async () => {
      await recorder.stop(1000);
      hasStopped = true;
    })();
    await clock.advance(999);
    expect(hasStopped).toBe(false);
    await clock.advance(1);
    await stopping;
    expect(sent()).toEqual(['POST']);
  });

  test('creates an event anew that has expired', async () => {
    recorder.event(conflict);
    await clock.advance(0);
    answer = async ({ verb }) => {
      if (verb === 'PATCH') throw new ApiStatusError(404, 'NotFound', 'no such event');
      return {};
    };
    recorder.event(conflict);
    await clock.advance(0);
    expect(requests[2]?.body).toMatchObject({ reason: 'AddressConflict', series: { count: 2 } });
    expect(sent()).toEqual(['POST', 'PATCH 2', 'POST 2']);
    expect(log.lines).toEqual([]);
  });

  test('goes on with an event that arrived although nobody said so', async () => {
    answer = async () => {
      throw new Error('timed out');
    };
    recorder.event(conflict);
    await clock.advance(0);
    answer = async ({ verb }) => {
      if (verb === 'POST') throw new ApiStatusError(409, 'AlreadyExists', 'already exists');
      return {};
    };
    recorder.event(conflict);
    await clock.advance(0);
    recorder.event(conflict);
    await clock.advance(0);
    expect(sent()).toEqual(['POST', 'POST 2', 'PATCH 2', 'PATCH 3']);
  });
});

describe('what an API server takes', () => {
  const origin = { nodeName: 'node-a', date: new Date(Date.UTC(2026, 0, 2)), number: 1 };

  test.each(longestNodeNames)('is every kind of event, about a node called %s', (nodeName) => {
    for (const details of longestEvents(nodeName)) {
      const { body } = eventBody(details, { ...origin, nodeName });
      expect(eventProblems(body)).toEqual([]);
    }
  });

  test('is an event with any text, from a node with any name', () => {
    const name = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('a', '-', '.', 'Z', '9', '_', 'ä') }),
    );
    // Halves of characters, too.
    const halves = fc
      .array(fc.integer({ min: 0, max: 0xffff }))
      .map((codes) => String.fromCharCode(...codes));
    const note = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), halves);
    fc.assert(
      fc.property(
        fc.tuple(name, fc.integer({ min: 1, max: 30 })),
        fc.tuple(note, fc.integer({ min: 1, max: 200 })),
        ([part, longer], [text, more]) => {
          const nodeName = part.repeat(longer);
          const { body } = eventBody(
            { ...knownEvents.starting(nodeName), note: text.repeat(more) },
            { ...origin, nodeName },
          );
          expect(eventProblems(JSON.parse(JSON.stringify(body)) as typeof body)).toEqual([]);
        },
      ),
    );
  });

  test('is cut between characters', () => {
    const note = (text: string): unknown => eventBody({ ...conflict, note: text }, origin).body['note'];
    expect(note('x'.repeat(1024))).toBe('x'.repeat(1024));
    expect(note('x'.repeat(1025))).toBe(`${'x'.repeat(1021)}…`);
    expect(note('ä'.repeat(512))).toBe('ä'.repeat(512));
    expect(note('ä'.repeat(513))).toBe(`${'ä'.repeat(510)}…`);
    expect(note('👩'.repeat(257))).toBe(`${'👩'.repeat(255)}…`);
    expect(note('half \ud83d')).toBe('half \ufffd');
  });

  test('has a name that begins like that of its object', () => {
    const nameFor = (name: string): string => eventBody(knownEvents.starting(name), origin).name;
    expect(nameFor('node-a.example.org')).toMatch(/^node-a\.example\.org\.[0-9a-f]{16}$/);
    expect(nameFor('My_Node.')).toMatch(/^my-node\.[0-9a-f]{16}$/);
    expect(nameFor('…')).toMatch(/^weir\.[0-9a-f]{16}$/);
  });
});

test('a conflict is told once for as long as it lasts', () => {
  const told: string[] = [];
  const events = new ConflictEvents({ event: ({ note }) => told.push(note) });
  const of = (message: string) =>
    ({ severity: 'warning', kind: 'Service', namespace: 'shop', name: 'web', field: '', message }) as const;
  events.replace([of('node port 30080'), of('node port 30080')]);
  events.replace([of('node port 30080'), of('node port 30081')]);
  events.replace([]);
  events.replace([of('node port 30080')]);
  expect(told).toEqual(['node port 30080', 'node port 30081', 'node port 30080']);
});

test.each([
  [knownEvents.healthServerFailed('node-a', 'x'), 'FailedToStartProxierHealthcheck'],
  [knownEvents.metricsServerFailed('node-a', 'x'), 'FailedToStartMetricServer'],
])('kube-proxy’s name for it: %#', (details, reason) => {
  expect(details).toEqual({
    regarding: { kind: 'Node', name: 'node-a' },
    type: 'Warning',
    reason,
    action: 'StartKubeProxy',
    note: 'x',
  });
});
