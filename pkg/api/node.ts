import type { Json, JsonReader, Path } from './json-reader.ts';
import { metadataOf, metadataPath } from './object-name.ts';
import { isIPv4Mapped } from './special-address.ts';

/** core/v1 Node. */
export interface Node {
  readonly kind: 'Node';
  readonly name: string;
  readonly namespace: '';
  /** Empty where nobody gave one, as in a file. */
  readonly uid: string;
  /** InternalIP addresses in order, then ExternalIP addresses; canonical text. */
  readonly addresses: readonly string[];
  /** Canonical CIDR text. */
  readonly podCIDRs: readonly string[];
  /** Label `topology.kubernetes.io/zone`. */
  readonly zone: string | undefined;
  /** It has a deletion timestamp: deletion has begun, and waits for finalizers. */
  readonly beingDeleted: boolean;
  /** Taint `ToBeDeletedByClusterAutoscaler`, with any value and effect: load balancers should send nothing new here. */
  readonly toBeDeletedTaint: boolean;
}

/** The cluster autoscaler's word for a node that it is about to take away. */
const autoscalerTaint = 'ToBeDeletedByClusterAutoscaler';

const specPath: Path = { parent: undefined, key: 'spec' };
const statusPath: Path = { parent: undefined, key: 'status' };

export function decodeNode(reader: JsonReader, raw: Json): Node {
  const metadata = metadataOf(raw);
  const zone = reader.labels(metadata, 'labels', metadataPath)['topology.kubernetes.io/zone'];
  const spec = reader.record(raw, 'spec', undefined) ?? {};
  return {
    kind: 'Node',
    name: reader.name,
    namespace: '',
    uid: reader.text(metadata, 'uid', metadataPath) ?? '',
    addresses: readAddresses(reader, raw),
    podCIDRs: readPodCIDRs(reader, spec),
    zone: zone === '' ? undefined : zone,
    beingDeleted: metadata['deletionTimestamp'] !== undefined && metadata['deletionTimestamp'] !== null,
    toBeDeletedTaint: hasTaint(reader, spec, autoscalerTaint),
  };
}

function hasTaint(reader: JsonReader, spec: Json, key: string): boolean {
  const taintsPath: Path = { parent: specPath, key: 'taints' };
  return reader.list(spec, 'taints', specPath).some((value, index) => {
    const path: Path = { parent: taintsPath, key: index };
    const taint = reader.element(value, path);
    return taint !== undefined && reader.text(taint, 'key', path) === key;
  });
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
function readPodCIDRs(reader: JsonReader, spec: Json): readonly string[] {
  const list = reader.list(spec, 'podCIDRs', specPath);
  if (list.length === 0) {
    const only = reader.text(spec, 'podCIDR', specPath);
    const cidr =
      only === undefined || only === '' ? undefined : readPodCIDR(reader, only, specPath, 'podCIDR');
    return cidr === undefined ? [] : [cidr];
  }
  const path = { parent: specPath, key: 'podCIDRs' };
  return list
    .map((value, index) => readPodCIDR(reader, value, path, index))
    .filter((cidr) => cidr !== undefined);
}

/** A range of every address would make every client one of this node's pods. */
function readPodCIDR(
  reader: JsonReader,
  value: unknown,
  path: Path,
  key: string | number,
): string | undefined {
  const cidr = reader.cidr(value, path, key);
  if (cidr === undefined || (!cidr.endsWith('/0') && !isIPv4Mapped(cidr))) return cidr;
  const problem = isIPv4Mapped(cidr) ? 'an IPv4 block written as IPv6' : 'every address there is';
  reader.error(path, key, `${cidr} is ${problem}`);
  return undefined;
}
