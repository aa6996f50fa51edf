import type { Family } from '../net/index.ts';
import type { Json, JsonReader, Path } from './json-reader.ts';
import { describe } from './json-reader.ts';
import { type Protocol, protocols } from './meta.ts';
import { metadataOf, metadataPath } from './object-name.ts';
import { isPortName } from './port-name.ts';
import { specialUse } from './special-address.ts';

/** discovery.k8s.io/v1 EndpointSlice. Slices of type FQDN, of headless Services or without a Service never become one of these. */
export interface EndpointSlice {
  readonly kind: 'EndpointSlice';
  readonly namespace: string;
  readonly name: string;
  /** Label `kubernetes.io/service-name`. */
  readonly serviceName: string;
  readonly family: Family;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}

export interface EndpointPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

export interface Endpoint {
  /** First address of the endpoint, canonical text. */
  readonly ip: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly nodeName: string | undefined;
  /** Empty when there are no hints. */
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
}

const portsPath: Path = { parent: undefined, key: 'ports' };
const endpointsPath: Path = { parent: undefined, key: 'endpoints' };
const noHints: readonly string[] = Object.freeze([]);

/**
 * `ignored` for slices that can't belong to a Service port: of type FQDN, of a headless Service, or without Service.
 * `undefined` when address type or Service name are unusable.
 */
export function decodeEndpointSlice(
  reader: JsonReader,
  raw: Json,
): EndpointSlice | { readonly ignored: string } | undefined {
  const labels = reader.record(metadataOf(raw), 'labels', metadataPath) ?? {};
  if (Object.hasOwn(labels, 'service.kubernetes.io/headless'))
    return { ignored: 'EndpointSlice of a headless Service' };
  const labelsPath: Path = { parent: metadataPath, key: 'labels' };
  const serviceName = reader.text(labels, 'kubernetes.io/service-name', labelsPath);
  const addressType = reader.choice(raw, 'addressType', undefined, ['IPv4', 'IPv6', 'FQDN']);
  if (addressType === undefined && reader.errors === 0) {
    reader.error(undefined, 'addressType', 'an EndpointSlice needs an addressType, IPv4 or IPv6');
  }
  if (addressType === undefined || reader.errors > 0) return undefined;
  if (addressType === 'FQDN') return { ignored: 'EndpointSlice of type FQDN' };
  if (serviceName === undefined || serviceName === '') return { ignored: 'EndpointSlice without a Service' };
  return {
    kind: 'EndpointSlice',
    namespace: reader.namespace,
    name: reader.name,
    serviceName,
    family: addressType,
    ports: readPorts(reader, raw),
    endpoints: readEndpoints(reader, raw, addressType),
  };
}

/** A missing name is the empty one, as the API server fills in: it fits a Service port without a name. */
function readPorts(reader: JsonReader, raw: Json): readonly EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const [index, value] of reader.list(raw, 'ports', undefined).entries()) {
    const path: Path = { parent: portsPath, key: index };
    const before = reader.errors;
    const entry = reader.element(value, path);
    if (entry === undefined) continue;
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
    if (reader.errors > before) continue;
    if (port !== undefined) ports.push({ name, protocol, port });
    else
      reader.report(
        'warning',
        path,
        'port',
        'has no number; "all ports" is nothing a Service can be sent to',
      );
  }
  return ports;
}

function readEndpoints(reader: JsonReader, raw: Json, family: Family): readonly Endpoint[] {
  const list = reader.list(raw, 'endpoints', undefined);
  const endpoints: Endpoint[] = [];
  for (let index = 0; index < list.length; index++) {
    const endpoint = readEndpoint(reader, list[index], family, { parent: endpointsPath, key: index });
    if (endpoint !== undefined) endpoints.push(endpoint);
  }
  return endpoints;
}

/** An endpoint with anything unreadable about whether it may be used is left out. */
function readEndpoint(reader: JsonReader, value: unknown, family: Family, path: Path): Endpoint | undefined {
  const before = reader.errors;
  const entry = reader.element(value, path);
  const ip = entry && readEndpointAddress(reader, entry, family, path);
  if (entry === undefined || ip === undefined) return undefined;
  const conditions = reader.record(entry, 'conditions', path) ?? {};
  const nodeName = reader.text(entry, 'nodeName', path);
  const conditionsPath: Path = { parent: path, key: 'conditions' };
  const ready = reader.flag(conditions, 'ready', conditionsPath) ?? true;
  const serving = reader.flag(conditions, 'serving', conditionsPath) ?? true;
  const terminating = reader.flag(conditions, 'terminating', conditionsPath) ?? false;
  if (reader.errors > before) return undefined;
  const hints = reader.record(entry, 'hints', path);
  const zoneHints = hints === undefined ? noHints : readHints(reader, hints, 'forZones', path);
  const nodeHints = hints === undefined ? noHints : readHints(reader, hints, 'forNodes', path);
  return { ip, ready, serving, terminating, nodeName: nodeName || undefined, zoneHints, nodeHints };
}

/** Only the first address counts; the others are a part of the API that never came to mean anything. */
function readEndpointAddress(
  reader: JsonReader,
  entry: Json,
  family: Family,
  path: Path,
): string | undefined {
  const before = reader.errors;
  const addresses = reader.list(entry, 'addresses', path);
  if (addresses.length === 0) {
    if (reader.errors === before) reader.error(path, 'addresses', 'an endpoint needs an address');
    return undefined;
  }
  const addressesPath: Path = { parent: path, key: 'addresses' };
  const address = reader.address(addresses[0], addressesPath, 0);
  if (address === undefined) return undefined;
  const use = specialUse(address.ip);
  if (address.family === family && use === undefined) return address.ip;
  const problem = use ?? `of family ${address.family} in a slice of type ${family}`;
  reader.error(addressesPath, 0, `${address.ip} is ${problem}`);
  return undefined;
}

function readHints(
  reader: JsonReader,
  hints: Json,
  key: 'forZones' | 'forNodes',
  endpointPath: Path,
): readonly string[] {
  const hintsPath: Path = { parent: endpointPath, key: 'hints' };
  const list = reader.list(hints, key, hintsPath);
  if (list.length === 0) return noHints;
  const names: string[] = [];
  for (const [index, value] of list.entries()) {
    const path: Path = { parent: { parent: hintsPath, key }, key: index };
    const entry = reader.element(value, path);
    const name = entry && reader.text(entry, 'name', path);
    if (name !== undefined && name !== '') names.push(name);
  }
  return names;
}
