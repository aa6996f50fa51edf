import type { ObjectKind } from '../../pkg/api/index.ts';
import type { Part } from './part-ownership.ts';

/** What each part is decided from. */
const kinds: Readonly<Record<Part, readonly ObjectKind[]>> = {
  services: ['Node', 'Service', 'EndpointSlice'],
  // Of ServiceCIDRs a hint is made; the Services themselves would do for it, too, but are many.
  policies: ['Node', 'Namespace', 'NetworkPolicy', 'Pod', 'ServiceCIDR'],
};

/** The kinds of objects that have to be read for these parts. */
export function kindsOf(parts: readonly Part[]): ReadonlySet<ObjectKind> {
  return new Set(parts.flatMap((part) => kinds[part]));
}
