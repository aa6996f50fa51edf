/** What an event is about. A Node has no namespace. `kubectl describe` finds events by the uid of their object. */
export type EventObject =
  | { readonly kind: 'Node'; readonly name: string; readonly uid?: string }
  | { readonly kind: 'Service'; readonly namespace: string; readonly name: string; readonly uid?: string };

/** What people are to know. */
export interface EventDetails {
  readonly regarding: EventObject;
  readonly type: 'Normal' | 'Warning';
  /** Why, in one word for machines: `Starting`. */
  readonly reason: string;
  /** What Weir was doing, in one word for machines. */
  readonly action: string;
  /** The same for people. */
  readonly note: string;
}

/** What else an event says. */
export interface EventOrigin {
  readonly nodeName: string;
  readonly date: Date;
  /** Tells events of one moment apart. */
  readonly number: number;
}

export interface EventBody {
  readonly namespace: string;
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Whoever looks for the events of the node's proxy looks for this name. Which proxy that is, the instance says. */
const reportingController = 'kube-proxy';
/** What the API server accepts, in bytes of UTF-8 (k8s.io/kubernetes/pkg/apis/core/validation/events.go). */
const longestNote = 1024;
const longestName = 253;
const longestInstance = 128;

/**
 * A new events.k8s.io/v1 Event that an API server takes, however long what it tells is. About an object without a namespace it lies in
 * `default`.
 */
export function eventBody(details: EventDetails, origin: EventOrigin): EventBody {
  const { regarding, type, reason, action, note } = details;
  const namespace = regarding.kind === 'Service' ? regarding.namespace : 'default';
  const moment = (BigInt(origin.date.getTime()) * 1_000_000n + BigInt(origin.number)).toString(16);
  const name = `${subdomain(regarding.name, longestName - moment.length - 1)}.${moment}`;
  const body = {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name, namespace },
    eventTime: microTime(origin.date),
    reportingController,
    reportingInstance: withinBytes(`weir-${origin.nodeName}`, longestInstance),
    action,
    reason,
    regarding: { apiVersion: 'v1', ...regarding },
    note: withinBytes(note, longestNote, '…'),
    type,
  };
  return { namespace, name, body };
}

export function eventsPath(namespace: string): string {
  return `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/events`;
}

export function eventPath(namespace: string, name: string): string {
  return `${eventsPath(namespace)}/${encodeURIComponent(name)}`;
}

/** Kubernetes' MicroTime has six digits after the point, no more and no less. */
export function microTime(date: Date): string {
  return date.toISOString().replace(/Z$/, '000Z');
}

/** The text, or as many of its first characters as have room, with `end` behind them. */
function withinBytes(text: string, limit: number, end = ''): string {
  // What is half a character becomes a whole one on its way.
  const whole = text.toWellFormed();
  if (Buffer.byteLength(whole) <= limit) return whole;
  let room = limit - Buffer.byteLength(end);
  const kept: string[] = [];
  for (const character of whole) {
    room -= Buffer.byteLength(character);
    if (room < 0) break;
    kept.push(character);
  }
  return `${kept.join('')}${end}`;
}

/** A DNS subdomain (RFC 1123) that begins like the name, which is one unless somebody gave the machine another kind of name. */
function subdomain(name: string, longest: number): string {
  const labels = name
    .slice(0, longestName)
    .toLowerCase()
    .split('.')
    .map((label) => label.replaceAll(/[^a-z0-9-]/g, '-').replaceAll(/^-+|-+$/g, ''));
  const whole = labels.filter((label) => label !== '').join('.');
  return whole.slice(0, longest).replace(/[-.]+$/, '') || 'weir';
}
