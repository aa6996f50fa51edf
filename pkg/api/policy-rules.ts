import { canonicalAddress, cidrCovers, parseCidr } from '../net/index.ts';
import type { Json, JsonReader, Path } from './json-reader.ts';
import { describe } from './json-reader.ts';
import { readLabelSelector } from './label-selector.ts';
import { type LabelSelector, type Protocol, protocols } from './meta.ts';
import { isContainerPortName } from './port-name.ts';
import { isIPv4Mapped } from './special-address.ts';
import { reportUnknownFields } from './unknown-fields.ts';

export interface PolicyRule {
  /** `undefined`: everybody, also outside the cluster. A list: any of these. An empty list: nobody (all were unreadable). */
  readonly peers: readonly PolicyPeer[] | undefined;
  /** `undefined`: every port and protocol. A list: any of these. An empty list: none (all were unreadable). */
  readonly ports: readonly PolicyPort[] | undefined;
}

export type PolicyPeer =
  | {
      readonly kind: 'pods';
      /** `undefined`: the policy's own namespace. */
      readonly namespaceSelector: LabelSelector | undefined;
      /** `undefined`: every pod of those namespaces. */
      readonly podSelector: LabelSelector | undefined;
    }
  | {
      readonly kind: 'ipBlock';
      /** Canonical CIDR text, host bits masked. */
      readonly cidr: string;
      readonly except: readonly string[];
    };

export type PolicyPort =
  | { readonly kind: 'any'; readonly protocol: Protocol }
  | { readonly kind: 'range'; readonly protocol: Protocol; readonly first: number; readonly last: number }
  | { readonly kind: 'named'; readonly protocol: Protocol; readonly name: string };

/** The rules of one direction. What can't be read allows nothing: a bad rule, peer or port is left out, and reported. */
export function readPolicyRules(
  reader: JsonReader,
  spec: Json,
  direction: 'ingress' | 'egress',
  specPath: Path,
): readonly PolicyRule[] {
  const peersKey = direction === 'ingress' ? 'from' : 'to';
  const rules: PolicyRule[] = [];
  for (const [index, value] of reader.list(spec, direction, specPath).entries()) {
    const path: Path = { parent: { parent: specPath, key: direction }, key: index };
    const rule = reader.element(value, path);
    const before = reader.errors;
    if (rule === undefined) continue;
    reportUnknownFields(reader, rule, [peersKey, 'ports'], path);
    if (reader.errors > before) continue;
    rules.push({
      peers: readParts(reader, rule, peersKey, path, readPeer),
      ports: readParts(reader, rule, 'ports', path, readPort),
    });
  }
  return rules;
}

/** A missing or empty list is `undefined`: no restriction. A list of which nothing can be read is empty: nothing allowed. */
function readParts<Part>(
  reader: JsonReader,
  rule: Json,
  key: string,
  parent: Path,
  read: (reader: JsonReader, value: Json, path: Path) => Part | undefined,
): readonly Part[] | undefined {
  const before = reader.errors;
  const list = reader.list(rule, key, parent);
  if (list.length === 0) return reader.errors > before ? [] : undefined;
  const parts: Part[] = [];
  for (const [index, value] of list.entries()) {
    const path: Path = { parent: { parent, key }, key: index };
    const element = reader.element(value, path);
    const part = element && read(reader, element, path);
    if (part !== undefined) parts.push(part);
  }
  return parts;
}

function readPeer(reader: JsonReader, peer: Json, path: Path): PolicyPeer | undefined {
  const before = reader.errors;
  reportUnknownFields(reader, peer, ['podSelector', 'namespaceSelector', 'ipBlock'], path);
  const namespaceSelector = readLabelSelector(reader, peer, 'namespaceSelector', path);
  const podSelector = readLabelSelector(reader, peer, 'podSelector', path);
  const ipBlock = reader.record(peer, 'ipBlock', path);
  if (reader.errors > before) return undefined;
  const hasSelector = namespaceSelector !== undefined || podSelector !== undefined;
  if (ipBlock === undefined) {
    if (hasSelector) return { kind: 'pods', namespaceSelector, podSelector };
    reader.error(path, undefined, 'a peer needs a podSelector, a namespaceSelector or an ipBlock');
    return undefined;
  }
  if (!hasSelector) return readIPBlock(reader, ipBlock, { parent: path, key: 'ipBlock' });
  reader.error(path, 'ipBlock', 'an ipBlock can not stand in one peer with a selector');
  return undefined;
}

/** An exception that can't be read, or that is no hole in the block, takes the whole block with it: without it more would pass. */
function readIPBlock(reader: JsonReader, block: Json, path: Path): PolicyPeer | undefined {
  const before = reader.errors;
  reportUnknownFields(reader, block, ['cidr', 'except'], path);
  const cidr = readBlockCidr(reader, block['cidr'], path, 'cidr');
  const exceptPath: Path = { parent: path, key: 'except' };
  const except: string[] = [];
  for (const [index, value] of reader.list(block, 'except', path).entries()) {
    const hole = readBlockCidr(reader, value, exceptPath, index);
    if (hole === undefined || cidr === undefined) continue;
    if (isHole(cidr, hole)) except.push(hole);
    else reader.error(exceptPath, index, `${hole} is not a part of ${cidr}`);
  }
  return cidr === undefined || reader.errors > before ? undefined : { kind: 'ipBlock', cidr, except };
}

function readBlockCidr(
  reader: JsonReader,
  value: unknown,
  path: Path,
  key: string | number,
): string | undefined {
  const cidr = reader.cidr(value, path, key);
  if (cidr === undefined || typeof value !== 'string') return undefined;
  const address = canonicalAddress(value.slice(0, value.indexOf('/')));
  if (address !== cidr.slice(0, cidr.indexOf('/'))) {
    reader.report('warning', path, key, `${describe(value)} has host bits set; read as ${cidr}`);
  }
  if (isIPv4Mapped(cidr))
    reader.report('warning', path, key, `${cidr} is an IPv4 block written as IPv6: no packet comes from it`);
  return cidr;
}

function isHole(cidr: string, hole: string): boolean {
  const outer = parseCidr(cidr);
  const inner = parseCidr(hole);
  return (
    outer !== undefined && inner !== undefined && cidrCovers(outer, inner) && inner.length > outer.length
  );
}

function readPort(reader: JsonReader, entry: Json, path: Path): PolicyPort | undefined {
  const before = reader.errors;
  reportUnknownFields(reader, entry, ['protocol', 'port', 'endPort'], path);
  const protocol = reader.choice(entry, 'protocol', path, protocols) ?? 'TCP';
  const endPort = reader.integer(entry, 'endPort', path, 1, 65_535);
  const name = typeof entry['port'] === 'string' ? entry['port'] : undefined;
  const first = name === undefined ? reader.integer(entry, 'port', path, 1, 65_535) : undefined;
  if (name !== undefined && !isContainerPortName(name)) {
    reader.error(path, 'port', `${describe(name)} is neither a port number nor a container port name`);
  }
  if (endPort !== undefined && (first === undefined || endPort < first)) {
    reader.error(path, 'endPort', 'needs a port number that is not greater');
  }
  if (reader.errors > before) return undefined;
  if (name !== undefined) return { kind: 'named', protocol, name };
  if (first !== undefined) return { kind: 'range', protocol, first, last: endPort ?? first };
  return { kind: 'any', protocol };
}
