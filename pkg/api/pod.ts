import type { Json, JsonReader, Path } from './json-reader.ts';
import { type Labels, type PodAddress, type Protocol, protocols } from './meta.ts';
import { metadataOf, metadataPath } from './object-name.ts';

/** core/v1 Pod, trimmed to what policies and derived EndpointSlices need. */
export interface Pod {
  readonly kind: 'Pod';
  readonly namespace: string;
  readonly name: string;
  /** Empty when the file gives none. */
  readonly uid: string;
  readonly labels: Labels;
  readonly nodeName: string | undefined;
  readonly hostNetwork: boolean;
  /** At most one a family; empty until the kubelet reports one. */
  readonly addresses: readonly PodAddress[];
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  readonly ready: boolean;
  /** metadata.deletionTimestamp is set. */
  readonly terminating: boolean;
  /** Container ports that have a name, of containers and restartable init containers. */
  readonly namedPorts: readonly NamedPort[];
}

export interface NamedPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

const specPath: Path = { parent: undefined, key: 'spec' };
const statusPath: Path = { parent: undefined, key: 'status' };
const phases = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const;

export function decodePod(reader: JsonReader, raw: Json): Pod | undefined {
  const metadata = metadataOf(raw);
  const spec = reader.record(raw, 'spec', undefined);
  const status = reader.record(raw, 'status', undefined) ?? {};
  if (reader.errors > 0) return undefined;
  return {
    kind: 'Pod',
    namespace: reader.namespace,
    name: reader.name,
    uid: reader.text(metadata, 'uid', metadataPath) ?? '',
    labels: reader.labels(metadata, 'labels', metadataPath),
    nodeName: (spec && reader.text(spec, 'nodeName', specPath)) || undefined,
    hostNetwork: (spec && reader.flag(spec, 'hostNetwork', specPath)) ?? false,
    addresses: readAddresses(reader, status),
    phase: readPhase(reader, status),
    ready: readReady(reader, status),
    terminating: metadata['deletionTimestamp'] !== undefined && metadata['deletionTimestamp'] !== null,
    namedPorts: spec === undefined ? [] : readNamedPorts(reader, spec),
  };
}

function readPhase(reader: JsonReader, status: Json): Pod['phase'] {
  const before = reader.errors;
  const phase = reader.choice(status, 'phase', statusPath, phases);
  return phase ?? (reader.errors > before ? 'Unknown' : 'Pending');
}

function readAddresses(reader: JsonReader, status: Json): readonly PodAddress[] {
  const list = reader.list(status, 'podIPs', statusPath);
  if (list.length === 0) {
    const ip = status['podIP'];
    const only =
      ip === undefined || ip === null || ip === '' ? undefined : reader.address(ip, statusPath, 'podIP');
    return only === undefined ? [] : [only];
  }
  const addresses: PodAddress[] = [];
  for (const [index, value] of list.entries()) {
    const path: Path = { parent: { parent: statusPath, key: 'podIPs' }, key: index };
    const entry = reader.element(value, path);
    const address = entry && reader.address(entry['ip'], path, 'ip');
    if (address === undefined) continue;
    if (addresses.some((earlier) => earlier.family === address.family)) {
      reader.error(
        path,
        'ip',
        `there is already an address of family ${address.family}; the first one counts`,
      );
    } else {
      addresses.push(address);
    }
  }
  return addresses;
}

function readReady(reader: JsonReader, status: Json): boolean {
  for (const [index, value] of reader.list(status, 'conditions', statusPath).entries()) {
    const path: Path = { parent: { parent: statusPath, key: 'conditions' }, key: index };
    const condition = reader.element(value, path);
    if (condition?.['type'] === 'Ready') return reader.text(condition, 'status', path) === 'True';
  }
  return false;
}

/** Ordinary init containers have ended when the pod takes connections; restartable ones (sidecars) run beside it. */
function readNamedPorts(reader: JsonReader, spec: Json): readonly NamedPort[] {
  const ports: NamedPort[] = [];
  for (const key of ['containers', 'initContainers'] as const) {
    for (const [index, value] of reader.list(spec, key, specPath).entries()) {
      const path: Path = { parent: { parent: specPath, key }, key: index };
      const container = reader.element(value, path);
      if (container === undefined || (key === 'initContainers' && container['restartPolicy'] !== 'Always'))
        continue;
      readContainerPorts(reader, container, path, ports);
    }
  }
  return ports;
}

function readContainerPorts(
  reader: JsonReader,
  container: Json,
  containerPath: Path,
  ports: NamedPort[],
): void {
  for (const [index, value] of reader.list(container, 'ports', containerPath).entries()) {
    const path: Path = { parent: { parent: containerPath, key: 'ports' }, key: index };
    const before = reader.errors;
    const entry = reader.element(value, path);
    const name = entry && reader.text(entry, 'name', path);
    if (entry === undefined || name === undefined || name === '') continue;
    const protocol = reader.choice(entry, 'protocol', path, protocols) ?? 'TCP';
    const port = reader.integer(entry, 'containerPort', path, 1, 65_535);
    if (port !== undefined && reader.errors === before) ports.push({ name, protocol, port });
    else if (reader.errors === before) reader.error(path, 'containerPort', 'a container port needs a number');
  }
}
