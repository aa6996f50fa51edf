import type { Json, JsonReader, Path } from './json-reader.ts';
import { describe } from './json-reader.ts';
import { type Protocol, protocols } from './meta.ts';
import { isPortName } from './port-name.ts';

export interface ServicePort {
  /** May be empty when it is the only one. */
  readonly name: string;
  readonly protocol: Protocol;
  /** 1–65535. */
  readonly port: number;
  /** 0 when there is none. */
  readonly nodePort: number;
  /** Port number or container port name; used only where slices are derived from Pods. */
  readonly targetPort: number | string;
}

const portsPath: Path = { parent: { parent: undefined, key: 'spec' }, key: 'ports' };

/**
 * The usable ports of a Service in their order. A port that is wrong, or that says again what an earlier one says (the
 * same name, or the same number and protocol: both identify a port), is left out and reported. A node port that an
 * earlier port of this Service has is taken off the later one.
 */
export function readServicePorts(reader: JsonReader, spec: Json): readonly ServicePort[] {
  const list = reader.list(spec, 'ports', portsPath.parent);
  const ports: ServicePort[] = [];
  for (const [index, value] of list.entries()) {
    const path: Path = { parent: portsPath, key: index };
    const port = readServicePort(reader, value, path);
    if (port !== undefined && isNew(reader, ports, port, path)) {
      ports.push(withoutTakenNodePort(reader, ports, port, path));
    }
  }
  return ports;
}

function readServicePort(reader: JsonReader, value: unknown, path: Path): ServicePort | undefined {
  const before = reader.errors;
  const entry = reader.element(value, path);
  if (entry === undefined) return undefined;
  const name = reader.text(entry, 'name', path) ?? '';
  if (name !== '' && !isPortName(name)) {
    reader.error(
      path,
      'name',
      `${describe(name)} is not a port name: lower-case letters, digits and '-', at most 63`,
    );
  }
  const protocol = reader.choice(entry, 'protocol', path, protocols) ?? 'TCP';
  const port = reader.integer(entry, 'port', path, 1, 65_535);
  if (port === undefined && reader.errors === before)
    reader.error(path, 'port', 'a Service port needs a number');
  if (port === undefined || reader.errors > before) return undefined;
  return {
    name,
    protocol,
    port,
    nodePort: reader.integer(entry, 'nodePort', path, 0, 65_535) ?? 0,
    targetPort: readTargetPort(reader, entry, path) ?? port,
  };
}

/** Number or name; 0 and the empty name mean the Service port's own number, as the API server fills in. */
function readTargetPort(reader: JsonReader, entry: Json, path: Path): number | string | undefined {
  const value = entry['targetPort'];
  if (typeof value !== 'string') return reader.integer(entry, 'targetPort', path, 0, 65_535) || undefined;
  if (value === '' || isPortName(value)) return value || undefined;
  reader.error(path, 'targetPort', `${describe(value)} is neither a port number nor a container port name`);
  return undefined;
}

function isNew(reader: JsonReader, ports: readonly ServicePort[], port: ServicePort, path: Path): boolean {
  if (ports.some((earlier) => earlier.name === port.name)) {
    const what = port.name === '' ? 'without a name' : `named ${describe(port.name)}`;
    reader.error(path, 'name', `there is already a port ${what}; the first one counts`);
    return false;
  }
  if (ports.some((earlier) => earlier.port === port.port && earlier.protocol === port.protocol)) {
    reader.error(path, 'port', `there is already a port ${port.protocol} ${port.port}; the first one counts`);
    return false;
  }
  return true;
}

function withoutTakenNodePort(
  reader: JsonReader,
  ports: readonly ServicePort[],
  port: ServicePort,
  path: Path,
): ServicePort {
  const { nodePort, protocol } = port;
  if (nodePort === 0) return port;
  if (!ports.some((earlier) => earlier.nodePort === nodePort && earlier.protocol === protocol)) return port;
  reader.error(
    path,
    'nodePort',
    `there is already a node port ${protocol} ${nodePort}; the first one counts`,
  );
  return { ...port, nodePort: 0 };
}
