import type { FakeApiVerb } from './fake-api-faults.ts';
import type { Route } from './fake-api-resources.ts';
import type { StatusAnswer } from './fake-api-status.ts';

type Json = Readonly<Record<string, unknown>>;

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedName = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const microTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const longestName = 253;
/** In bytes of UTF-8. */
const limits = { reportingInstance: 128, action: 128, reason: 128, note: 1024 } as const;
const isRequired = ['reportingController', 'reportingInstance', 'action', 'reason'] as const;

/**
 * What an API server refuses an event of events.k8s.io/v1 for (k8s.io/kubernetes/pkg/apis/core/validation/events.go); `undefined`
 * when it takes it, or when the request is about something else.
 */
export function eventRefusal(route: Route, verb: FakeApiVerb, body: unknown): StatusAnswer | undefined {
  if (route.groupVersion !== 'events.k8s.io/v1' || route.resource !== 'events') return undefined;
  if (verb === 'POST' && metadataOf(body)['namespace'] !== route.namespace) {
    const message = 'the namespace of the provided object does not match the namespace sent on the request';
    return { code: 400, message };
  }
  const problems =
    verb === 'POST' ? eventProblems(body as Json) : verb === 'PATCH' ? patchProblems(body as Json) : [];
  if (problems.length === 0) return undefined;
  const name = route.name ?? text(metadataOf(body)['name']);
  const message = `Event.events.k8s.io "${name}" is invalid: ${problems.join(', ')}`;
  return { code: 422, message };
}

/** What is wrong with an event that is to be created, each with its field. */
export function eventProblems(event: Json): readonly string[] {
  const { name, namespace } = metadataOf(event);
  const regarding = (event['regarding'] ?? {}) as Json;
  return [
    ...(isSubdomain(text(name)) ? [] : [`metadata.name: Invalid value: ${JSON.stringify(name)}`]),
    ...(isSubdomain(text(namespace)) ? [] : [`namespace: Invalid value: ${JSON.stringify(namespace)}`]),
    ...namespaceProblems(text(regarding['namespace']), text(namespace)),
    ...isRequired.flatMap((field) => (text(event[field]) === '' ? [`${field}: Required value`] : [])),
    ...Object.entries(limits).flatMap(([field, limit]) =>
      Buffer.byteLength(text(event[field])) > limit
        ? [`${field}: Invalid value: "": can have at most ${limit} characters`]
        : [],
    ),
    ...(qualifiedName.test(text(event['reportingController'])) ? [] : ['reportingController: Invalid value']),
    ...(microTime.test(text(event['eventTime'])) ? [] : ['eventTime: Required value']),
    ...(['Normal', 'Warning'].includes(text(event['type'])) ? [] : ['type: Invalid value']),
    ...seriesProblems(event['series'] as Json | undefined),
  ];
}

/** Of a merge patch: everything but the series stays as it was. */
function patchProblems({ series, ...others }: Json): readonly string[] {
  const immutable = Object.keys(others).filter((field) => field !== 'metadata');
  return [
    ...immutable.map((field) => `${field}: Invalid value: field is immutable`),
    ...seriesProblems(series as Json | undefined),
  ];
}

function namespaceProblems(regarding: string, namespace: string): readonly string[] {
  if (regarding !== '' || namespace === 'default' || namespace === 'kube-system') return [];
  return ['involvedObject.namespace: Invalid value: "": does not match event.namespace'];
}

function seriesProblems(series: Json | undefined): readonly string[] {
  if (series === undefined) return [];
  return [
    ...(Number(series['count']) >= 2 ? [] : ['series.count: Invalid value: "": should be at least 2']),
    ...(microTime.test(text(series['lastObservedTime'])) ? [] : ['series.lastObservedTime: Required value']),
  ];
}

function isSubdomain(name: string): boolean {
  return name.length <= longestName && subdomain.test(name);
}

function metadataOf(body: unknown): Json {
  return ((body as Json | undefined)?.['metadata'] ?? {}) as Json;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
