import type { Json, JsonReader } from './json-reader.ts';

/** networking.k8s.io/v1 ServiceCIDR; canonical CIDR text. */
export interface ServiceCIDR {
  readonly kind: 'ServiceCIDR';
  readonly name: string;
  readonly namespace: '';
  readonly cidrs: readonly string[];
}

export function decodeServiceCIDR(reader: JsonReader, raw: Json): ServiceCIDR | undefined {
  const spec = reader.record(raw, 'spec', undefined);
  if (reader.errors > 0) return undefined;
  const path = { parent: { parent: undefined, key: 'spec' }, key: 'cidrs' };
  const cidrs: string[] = [];
  const list = spec === undefined ? [] : reader.list(spec, 'cidrs', path.parent);
  for (const [index, value] of list.entries()) {
    const cidr = reader.cidr(value, path, index);
    if (cidr !== undefined) cidrs.push(cidr);
  }
  return { kind: 'ServiceCIDR', name: reader.name, namespace: '', cidrs };
}
