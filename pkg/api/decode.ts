import type { Diagnostic } from './diagnostic.ts';
import { decodeEndpointSlice } from './endpoint-slice.ts';
import { describe, isJson, type Json, JsonReader } from './json-reader.ts';
import { decodeNamespace } from './namespace.ts';
import { decodeNetworkPolicy } from './network-policy.ts';
import { decodeNode } from './node.ts';
import type { ApiObject, ObjectKind } from './object.ts';
import { readObjectName } from './object-name.ts';
import { decodePod } from './pod.ts';
import { decodeService } from './service.ts';
import { decodeServiceCIDR } from './service-cidr.ts';

/**
 * What became of one wire object.
 * `object`: usable; its diagnostics name the parts that were left out or look wrong.
 * `invalid`: dropped whole; at least one diagnostic says why.
 * `ignored`: nothing wrong with it, and not for Weir: a kind it does not read, or an EndpointSlice that no Service port uses.
 */
export type DecodeResult =
  | { readonly outcome: 'object'; readonly object: ApiObject; readonly diagnostics: readonly Diagnostic[] }
  | { readonly outcome: 'invalid'; readonly diagnostics: readonly Diagnostic[] }
  | { readonly outcome: 'ignored'; readonly reason: string };

interface KindEntry {
  readonly group: string;
  readonly version: string;
  readonly namespaced: boolean;
  readonly decode: (reader: JsonReader, raw: Json) => ApiObject | { readonly ignored: string } | undefined;
}

const kinds: Readonly<Record<ObjectKind, KindEntry>> = {
  Service: { group: '', version: 'v1', namespaced: true, decode: decodeService },
  EndpointSlice: { group: 'discovery.k8s.io', version: 'v1', namespaced: true, decode: decodeEndpointSlice },
  NetworkPolicy: { group: 'networking.k8s.io', version: 'v1', namespaced: true, decode: decodeNetworkPolicy },
  Pod: { group: '', version: 'v1', namespaced: true, decode: decodePod },
  Namespace: { group: '', version: 'v1', namespaced: false, decode: decodeNamespace },
  Node: { group: '', version: 'v1', namespaced: false, decode: decodeNode },
  ServiceCIDR: { group: 'networking.k8s.io', version: 'v1', namespaced: false, decode: decodeServiceCIDR },
};

/**
 * Decodes one wire object (a plain value out of YAML or JSON) that says itself what it is by `apiVersion` and `kind`.
 * Never throws. A known kind of another API group is another thing of the same name (Knative has a Service too) and is
 * ignored; of another version, or without apiVersion, it is read as the version Weir knows, with a warning: to skip
 * a policy over that would open its pods.
 */
export function decodeObject(raw: unknown): DecodeResult {
  if (!isJson(raw)) return refused('', '', `expected an object, not ${describe(raw)}`);
  const kind = raw['kind'];
  if (typeof kind !== 'string' || kind === '') return refused('', 'kind', 'an object needs a kind');
  if (!isObjectKind(kind)) return { outcome: 'ignored', reason: `kind ${kind}` };

  const apiVersion = raw['apiVersion'];
  const entry = kinds[kind];
  const wanted = entry.group === '' ? entry.version : `${entry.group}/${entry.version}`;
  if (apiVersion === wanted) return decodeAs(kind, raw);
  if (typeof apiVersion === 'string' && groupOf(apiVersion) !== entry.group) {
    return { outcome: 'ignored', reason: `kind ${kind} of ${apiVersion}` };
  }
  return decodeAs(kind, raw, `should be ${wanted}; read as if it were`);
}

/**
 * Decodes a wire object whose kind is known from where it came from: the API server leaves `kind` and `apiVersion` out of
 * the items of a list. Never throws.
 */
export function decodeAs(kind: ObjectKind, raw: unknown, apiVersionWarning?: string): DecodeResult {
  if (!isJson(raw)) return refused(kind, '', `expected an object, not ${describe(raw)}`);
  const entry = kinds[kind];
  const reader = new JsonReader(kind);
  if (!readObjectName(reader, raw, entry.namespaced))
    return { outcome: 'invalid', diagnostics: reader.diagnostics };
  if (apiVersionWarning !== undefined) reader.report('warning', undefined, 'apiVersion', apiVersionWarning);
  const object = entry.decode(reader, raw);
  if (object === undefined) return { outcome: 'invalid', diagnostics: reader.diagnostics };
  if ('ignored' in object) return { outcome: 'ignored', reason: object.ignored };
  return { outcome: 'object', object, diagnostics: reader.diagnostics };
}

function isObjectKind(kind: string): kind is ObjectKind {
  return Object.hasOwn(kinds, kind);
}

function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? '' : apiVersion.slice(0, slash);
}

function refused(kind: string, field: string, message: string): DecodeResult {
  return {
    outcome: 'invalid',
    diagnostics: [{ severity: 'error', kind, namespace: '', name: '', field, message }],
  };
}
