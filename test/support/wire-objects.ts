import {
  type ApiObject,
  type DecodeResult,
  decodeObject,
  type ObjectKind,
  type ObjectOfKind,
} from '../../pkg/api/index.ts';

type Json = Readonly<Record<string, unknown>>;

const apiVersions: Readonly<Record<ObjectKind, string>> = {
  Service: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  NetworkPolicy: 'networking.k8s.io/v1',
  Pod: 'v1',
  Namespace: 'v1',
  Node: 'v1',
  ServiceCIDR: 'networking.k8s.io/v1',
};

/** A wire object with what every object has: `body` is the rest, and may replace any of it. */
export function wire(kind: ObjectKind, body: Json = {}): Json {
  return { apiVersion: apiVersions[kind], kind, metadata: { name: 'web', namespace: 'shop' }, ...body };
}

export interface Decoded<Kind extends ObjectKind> {
  readonly object: ObjectOfKind<Kind>;
  /** `severity field`, in the order they were found. */
  readonly problems: readonly string[];
}

/** Decodes what must be decodable. */
export function decoded<Kind extends ObjectKind>(kind: Kind, body: Json = {}): Decoded<Kind> {
  const result = decodeObject(wire(kind, body));
  if (result.outcome !== 'object') throw new Error(`not decoded: ${JSON.stringify(result)}`);
  return { object: objectOf(kind, result.object), problems: problemsOf(result) };
}

function objectOf<Kind extends ObjectKind>(kind: Kind, object: ApiObject): ObjectOfKind<Kind> {
  if (object.kind !== kind) throw new Error(`decoded as ${object.kind}`);
  return object as ObjectOfKind<Kind>;
}

export function problemsOf(result: DecodeResult): readonly string[] {
  if (result.outcome === 'ignored') return [];
  return result.diagnostics.map(({ severity, field }) => `${severity} ${field}`);
}
