import { ApiStatusError } from './api-client.ts';
import {
  annotationOf,
  identityOf,
  isWireObject,
  metadataOf,
  unreadableAnswer,
  type WireIdentity,
} from './wire-object.ts';

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';

export type WatchEvent =
  | { readonly type: ChangeType; readonly object: unknown; readonly identity: WireIdentity }
  | {
      readonly type: 'BOOKMARK';
      readonly resourceVersion: string;
      /** Everything that was there when the watch began has been told. */
      readonly endsInitialEvents: boolean;
    };

/** Nothing the API server stores comes near it: etcd takes 1.5 MiB unless told otherwise. */
const longestLine = 64 * 1024 * 1024;
const newline = 0x0a;

/**
 * The events of a watch, in batches as they came over the wire. An ERROR event is thrown as the ApiStatusError it
 * describes, a line that can't be read as WEIR_API_ANSWER; both after the events before them. A last line without its
 * end is half an event: it is left out, and told again by a watch that goes on from the event before.
 */
export async function* watchEvents(
  chunks: AsyncIterable<Uint8Array>,
  plural: string,
): AsyncGenerator<readonly WatchEvent[]> {
  for await (const lines of watchLines(chunks, plural)) {
    const events: WatchEvent[] = [];
    let problem: unknown;
    for (const line of lines) {
      try {
        events.push(readEvent(line, plural));
      } catch (error) {
        problem = error;
        break;
      }
    }
    yield events;
    if (problem !== undefined) throw problem as Error;
  }
}

/**
 * The whole lines that each chunk completes; empty when it completes none. Cut at bytes, before they become text: a chunk
 * may end in the middle of a character.
 */
async function* watchLines(
  chunks: AsyncIterable<Uint8Array>,
  plural: string,
): AsyncGenerator<readonly string[]> {
  let rest: Uint8Array[] = [];
  let restBytes = 0;
  for await (const chunk of chunks) {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      const line = textOf([...rest, chunk.subarray(from, end)]);
      if (line.trim() !== '') lines.push(line);
      rest = [];
      restBytes = 0;
      from = end + 1;
    }
    if (from < chunk.length) rest.push(chunk.subarray(from));
    restBytes += chunk.length - from;
    yield lines;
    if (restBytes > longestLine) throw unreadableAnswer(`the watch of ${plural} sent a line without end`);
  }
}

function textOf(parts: readonly Uint8Array[]): string {
  const [only] = parts;
  const bytes = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}

function readEvent(line: string, plural: string): WatchEvent {
  const event = parseLine(line, plural);
  const { type, object } = event;
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object, identity: identityOf(object, `the watch of ${plural}`) };
    case 'BOOKMARK':
      return {
        type,
        resourceVersion: bookmarkVersion(object, plural),
        endsInitialEvents: annotationOf(object, 'k8s.io/initial-events-end') === 'true',
      };
    case 'ERROR':
      throw statusError(object, plural);
    default:
      throw unreadableAnswer(`the watch of ${plural} sent an event of no known type: ${excerpt(line)}`);
  }
}

function parseLine(line: string, plural: string): { readonly type?: unknown; readonly object?: unknown } {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw unreadableAnswer(`the watch of ${plural} sent a line that is no JSON: ${excerpt(line)}`, cause);
  }
  if (isWireObject(event)) return event;
  throw unreadableAnswer(`the watch of ${plural} sent a line that is no event: ${excerpt(line)}`);
}

function bookmarkVersion(object: unknown, plural: string): string {
  const version = metadataOf(object)?.['resourceVersion'];
  if (typeof version === 'string' && version !== '') return version;
  throw unreadableAnswer(`the watch of ${plural} sent a bookmark without a resourceVersion`);
}

function statusError(status: unknown, plural: string): ApiStatusError {
  const { code, reason, message, details } = isWireObject(status) ? status : {};
  const seconds = isWireObject(details) ? details['retryAfterSeconds'] : undefined;
  return new ApiStatusError(
    typeof code === 'number' ? code : 0,
    typeof reason === 'string' ? reason : '',
    typeof message === 'string' ? message : `the watch of ${plural} ended with an error that says nothing`,
    typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : undefined,
  );
}

/** Enough to recognise it by, in one line of a log. */
function excerpt(line: string): string {
  const short = line.length > 80 ? `${line.slice(0, 80)}…` : line;
  return JSON.stringify(short);
}
