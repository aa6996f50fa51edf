/** What an event is about. A Node has no namespace; no UID is given, since what Weir keeps of an object has none. */
export type EventObject =
  | { readonly kind: 'Node'; readonly name: string }
  | { readonly kind: 'Service'; readonly namespace: string; readonly name: string };

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
/** What the API server accepts, in characters. */
const longestNote = 1024;
const longestName = 253;

/** A new events.k8s.io/v1 Event. About an object without a namespace it lies in `default`. */
export function eventBody(details: EventDetails, origin: EventOrigin): EventBody {
  const { regarding, type, reason, action, note } = details;
  const namespace = regarding.kind === 'Service' ? regarding.namespace : 'default';
  const moment = (BigInt(origin.date.getTime()) * 1_000_000n + BigInt(origin.number)).toString(16);
  const name = `${regarding.name.slice(0, longestName - moment.length - 1)}.${moment}`;
  const body = {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name, namespace },
    eventTime: microTime(origin.date),
    reportingController,
    reportingInstance: `weir-${origin.nodeName}`.slice(0, 128),
    action,
    reason,
    regarding: { apiVersion: 'v1', ...regarding },
    note: note.length > longestNote ? `${note.slice(0, longestNote - 1)}…` : note,
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
