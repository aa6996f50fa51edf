import type { Json, JsonReader, Path } from './json-reader.ts';
import { metadataOf, metadataPath } from './object-name.ts';

/** core/v1 Node. */
export interface Node {
  readonly kind: 'Node';
  readonly name: string;
  readonly namespace: '';
  /** InternalIP addresses in order, then ExternalIP addresses; canonical text. */
  readonly addresses: readonly string[];
  /** Canonical CIDR text. */
  readonly podCIDRs: readonly string[];
  /** Label `topology.kubernetes.io/zone`. */
  readonly zone: string | undefined;
}

const specPath: Path = { parent: undefined, key: 'spec' };
const statusPath: Path = { parent: undefined, key: 'status' };

export function decodeNode(reader: JsonReader, raw: Json): Node {
  const zone = reader.labels(metadataOf(raw), 'labels', metadataPath)['topology.kubernetes.io/zone'];
  return {
    kind: 'Node',
    name: reader.name,
    namespace: '',
    addresses: readAddresses(reader, raw),
    podCIDRs: readPodCIDRs(reader, raw),
    zone: zone === '' ? undefined : zone,
  };
}

function readAddresses(reader: JsonReader, raw: Json): readonly string[] {
  const status = reader.record(raw, 'status', undefined);
  if (status === undefined) return [];
  const internal: string[] = [];
  const external: string[] = [];
  for (const [index, value] of reader.list(status, 'addresses', statusPath).entries()) {
    const path = { parent: { parent: statusPath, key: 'addresses' }, key: index };
    const entry = reader.element(value, path);
    const type = entry && reader.text(entry, 'type', path);
    if (entry === undefined || (type !== 'InternalIP' && type !== 'ExternalIP')) continue;
    const address = reader.address(entry['address'], path, 'address');
    if (address !== undefined) (type === 'InternalIP' ? internal : external).push(address.ip);
  }
  return [...new Set([...internal, ...external])];
}

/** `podCIDR` is the field of single-stack days; `podCIDRs` repeats it when set. */
function readPodCIDRs(reader: JsonReader, raw: Json): readonly string[] {
  const spec = reader.record(raw, 'spec', undefined);
  if (spec === undefined) return [];
  const list = reader.list(spec, 'podCIDRs', specPath);
  if (list.length === 0) {
    const only = reader.text(spec, 'podCIDR', specPath);
    const cidr = only === undefined || only === '' ? undefined : reader.cidr(only, specPath, 'podCIDR');
    return cidr === undefined ? [] : [cidr];
  }
  const path = { parent: specPath, key: 'podCIDRs' };
  return list.map((value, index) => reader.cidr(value, path, index)).filter((cidr) => cidr !== undefined);
}
