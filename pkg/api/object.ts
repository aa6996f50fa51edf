import type { EndpointSlice } from './endpoint-slice.ts';
import type { Namespace } from './namespace.ts';
import type { NetworkPolicy } from './network-policy.ts';
import type { Node } from './node.ts';
import type { Pod } from './pod.ts';
import type { Service } from './service.ts';
import type { ServiceCIDR } from './service-cidr.ts';

/** Every kind of object that Weir reads. */
export type ApiObject = Service | EndpointSlice | NetworkPolicy | Pod | Namespace | Node | ServiceCIDR;

export type ObjectKind = ApiObject['kind'];

export type ObjectOfKind<Kind extends ObjectKind> = Extract<ApiObject, { readonly kind: Kind }>;

/**
 * Whether two decoded objects say the same. Decoded values are plain data of one fixed shape a kind, so this compares
 * structure only; the order of lists counts, the order of keys does not.
 */
export function equalObjects(a: ApiObject, b: ApiObject): boolean {
  return equalValues(a, b);
}

function equalValues(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && equalLists(a, b);
  return !Array.isArray(b) && equalRecords(a as Record<string, unknown>, b as Record<string, unknown>);
}

function equalLists(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) {
    if (!equalValues(a[index], b[index])) return false;
  }
  return true;
}

function equalRecords(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  for (const key of keys) {
    if (!Object.hasOwn(b, key) || !equalValues(a[key], b[key])) return false;
  }
  return true;
}
