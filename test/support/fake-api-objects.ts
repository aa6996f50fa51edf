import type { ServerResponse } from 'node:http';
import { kindPrefix } from './fake-api-list.ts';
import { type Route, resources } from './fake-api-resources.ts';
import { sendStatus } from './fake-api-status.ts';
import { type FakeApiStore, parsed } from './fake-api-store.ts';

type Json = Readonly<Record<string, unknown>>;

/** POST of one object. */
export function createObject(store: FakeApiStore, route: Route, body: Json, response: ServerResponse): void {
  const given = (body['metadata'] ?? {}) as { readonly name?: string; readonly generateName?: string };
  const name = given.name ?? `${given.generateName ?? ''}${store.version}`;
  const { resource, namespace = '' } = route;
  if (store.get(resource, namespace, name) !== undefined) {
    return sendStatus(response, { code: 409, message: `${resource} "${name}" already exists` });
  }
  store.put({ ...body, kind: resources[resource].kind, metadata: { ...given, namespace, name } });
  sendObject(store, { ...route, name }, response, 201);
}

/** PATCH of one object, if it is there. */
export function patchObject(store: FakeApiStore, route: Route, patch: unknown): void {
  const { resource, namespace = '', name = '' } = route;
  const object = store.get(resource, namespace, name);
  if (object === undefined) return;
  store.put({ ...(mergePatch(parsed(object), patch) as Json), kind: resources[resource].kind });
}

/** The object as it is now, or that there is none. */
export function sendObject(store: FakeApiStore, route: Route, response: ServerResponse, code = 200): void {
  const { resource, groupVersion, namespace = '', name = '' } = route;
  const object = store.get(resource, namespace, name);
  if (object === undefined)
    return sendStatus(response, { code: 404, message: `${resource} "${name}" not found` });
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(Buffer.concat([kindPrefix(resource, groupVersion), object.rest]));
}

/** RFC 7396. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const base = typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {};
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}
