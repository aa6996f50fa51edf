import { expect, test } from 'vitest';
import type { ApiStatusError } from './api-client.ts';
import { type WatchEvent, watchEvents } from './watch-stream.ts';

async function* chunked(...chunks: readonly (Uint8Array | string)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

function line(type: string, name: string, extra: object = {}): string {
  const metadata = { name, namespace: 'shop', resourceVersion: '7', ...extra };
  return `${JSON.stringify({ type, object: { metadata } })}\n`;
}

interface Heard {
  readonly events: readonly WatchEvent[];
  /** `type name` by chunk. */
  readonly batches: readonly (readonly string[])[];
  readonly error: unknown;
}

async function hear(...chunks: readonly (Uint8Array | string)[]): Promise<Heard> {
  const events: WatchEvent[] = [];
  const batches: string[][] = [];
  try {
    for await (const batch of watchEvents(chunked(...chunks), 'pods')) {
      events.push(...batch);
      batches.push(
        batch.map((event) =>
          event.type === 'BOOKMARK' ? 'BOOKMARK' : `${event.type} ${event.identity.name}`,
        ),
      );
    }
  } catch (error) {
    return { events, batches, error };
  }
  return { events, batches, error: undefined };
}

test('gives the events of a chunk together', async () => {
  const two = line('ADDED', 'a') + line('MODIFIED', 'b');
  const { batches, error } = await hear(two, line('DELETED', 'c'));
  expect(batches).toEqual([['ADDED a', 'MODIFIED b'], ['DELETED c']]);
  expect(error).toBeUndefined();
});

test('puts lines together wherever they are cut, also within a character', async () => {
  const bytes = Buffer.from(line('ADDED', 'größe-😀') + line('ADDED', 'b'));
  for (let at = 0; at <= bytes.length; at++) {
    const { batches } = await hear(bytes.subarray(0, at), bytes.subarray(at));
    expect(batches.flat(), `cut at ${at}`).toEqual(['ADDED größe-😀', 'ADDED b']);
  }
  const single = [...bytes].map((byte) => Uint8Array.of(byte));
  expect((await hear(...single)).batches.flat()).toEqual(['ADDED größe-😀', 'ADDED b']);
});

test('knows the bookmark that ends the initial events from others', async () => {
  const end = line('BOOKMARK', '', { annotations: { 'k8s.io/initial-events-end': 'true' } });
  const { events } = await hear(line('BOOKMARK', ''), end);
  expect(events).toEqual([
    { type: 'BOOKMARK', resourceVersion: '7', endsInitialEvents: false },
    { type: 'BOOKMARK', resourceVersion: '7', endsInitialEvents: true },
  ]);
});

test('gives resourceVersions as the text they are', async () => {
  const { events } = await hear(line('ADDED', 'a', { resourceVersion: '00900719925474099312345' }));
  expect(events).toMatchObject([{ identity: { resourceVersion: '00900719925474099312345' } }]);
});

test('throws the status of an ERROR event after the events before it', async () => {
  const status = {
    code: 429,
    reason: 'TooManyRequests',
    message: 'later',
    details: { retryAfterSeconds: 3 },
  };
  const { batches, error } = await hear(
    `${line('ADDED', 'a')}${JSON.stringify({ type: 'ERROR', object: status })}\n${line('ADDED', 'b')}`,
  );
  expect(batches).toEqual([['ADDED a']]);
  const { code, reason, message, retryAfterMs } = error as ApiStatusError;
  expect({ code, reason, message, retryAfterMs }).toEqual({
    code: 429,
    reason: 'TooManyRequests',
    message: 'later',
    retryAfterMs: 3000,
  });
});

test.each([
  ['no JSON', '{"type":\n', 'the watch of pods sent a line that is no JSON: "{\\"type\\":"'],
  ['no event', '17\n', 'the watch of pods sent a line that is no event: "17"'],
  ['a type nobody knows', '{"type":"SEEN"}\n', 'an event of no known type: "{\\"type\\":\\"SEEN\\"}"'],
  ['an object without a name', line('ADDED', ''), 'the watch of pods has an object without a name'],
  [
    'an object without a version',
    line('ADDED', 'a', { resourceVersion: '' }),
    'has a without a resourceVersion',
  ],
  [
    'a bookmark without a version',
    '{"type":"BOOKMARK","object":{}}\n',
    'a bookmark without a resourceVersion',
  ],
])('says so when it hears %s', async (_, text, message) => {
  const { batches, error } = await hear(line('ADDED', 'before') + text);
  expect(batches).toEqual([['ADDED before']]);
  expect(error).toMatchObject({ code: 'WEIR_API_ANSWER' });
  expect((error as Error).message).toContain(message);
});

test('leaves out half a line at the end', async () => {
  const { batches, error } = await hear(line('ADDED', 'a'), line('ADDED', 'b').slice(0, -5));
  expect(batches.flat()).toEqual(['ADDED a']);
  expect(error).toBeUndefined();
});

test('does not keep a line that never ends', async () => {
  const chunk = Buffer.alloc(16 * 1024 * 1024, 'x');
  const { error } = await hear(...Array.from({ length: 5 }, () => chunk));
  expect(error).toMatchObject({ code: 'WEIR_API_ANSWER' });
});
