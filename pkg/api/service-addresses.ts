import type { Family } from '../net/index.ts';
import type { Json, JsonReader, Path } from './json-reader.ts';
import { describe, familyOfCanonical } from './json-reader.ts';
import { isIPv4Mapped, specialUse } from './special-address.ts';

/** At most one address of each family. */
export type ClusterIPs = Readonly<Partial<Record<Family, string>>>;

const specPath: Path = { parent: undefined, key: 'spec' };
const statusPath: Path = { parent: undefined, key: 'status' };
const families = ['IPv4', 'IPv6'] as const;

/**
 * The cluster IP of each family, as kube-proxy finds it: where `ipFamilies` is set, the address at the family's place in
 * `clusterIPs`; without it, by the address's own family, which is what the API server would have filled in.
 */
export function readClusterIPs(
  reader: JsonReader,
  spec: Json,
  externalName: boolean,
): { readonly clusterIPs: ClusterIPs; readonly headless: boolean } {
  if (externalName) return { clusterIPs: {}, headless: false };
  const first = reader.text(spec, 'clusterIP', specPath) ?? '';
  const all = reader.texts(spec, 'clusterIPs', specPath);
  const effective = first === '' ? (all[0] ?? '') : first;
  if (effective === 'None') return { clusterIPs: {}, headless: true };
  if (effective === '') {
    if (reader.errors === 0) {
      reader.report(
        'warning',
        specPath,
        'clusterIP',
        'has no cluster IP; nothing is routed until it gets one',
      );
    }
    return { clusterIPs: {}, headless: false };
  }
  if (all[0] !== undefined && all[0] !== effective) {
    reader.report(
      'warning',
      specPath,
      'clusterIP',
      `differs from clusterIPs[0], ${describe(all[0])}, which counts`,
    );
  }
  return { clusterIPs: byFamily(reader, spec, all, effective), headless: false };
}

function byFamily(
  reader: JsonReader,
  spec: Json,
  clusterIPs: readonly string[],
  clusterIP: string,
): ClusterIPs {
  const wanted = reader.texts(spec, 'ipFamilies', specPath);
  const texts = clusterIPs.length > 0 ? clusterIPs : [clusterIP];
  const found: Partial<Record<Family, string>> = {};
  for (const [index, text] of texts.entries()) {
    const [path, key] = clusterIPs.length > 0 ? [clusterIPsPath, index] : [specPath, 'clusterIP'];
    const address = reader.address(text, path, key);
    if (address === undefined || (wanted.length > 0 && wanted[index] === undefined)) continue;
    if (wanted.length > 0 && wanted[index] !== address.family) {
      reader.error(path, key, `is ${address.family}, but ipFamilies[${index}] is ${describe(wanted[index])}`);
    } else if (found[address.family] === undefined) {
      found[address.family] = address.ip;
    } else {
      reader.error(
        path,
        key,
        `there is already a cluster IP of family ${address.family}; the first one counts`,
      );
    }
  }
  return found;
}

const clusterIPsPath: Path = { parent: specPath, key: 'clusterIPs' };
const externalIPsPath: Path = { parent: specPath, key: 'externalIPs' };

/** Blank entries are skipped in silence, as kube-proxy does. Addresses the API server refuses here would catch the node's own traffic. */
export function readExternalIPs(reader: JsonReader, spec: Json): readonly string[] {
  const list = reader.list(spec, 'externalIPs', specPath);
  if (list.length === 0) return [];
  const ips = new Set<string>();
  for (const [index, value] of list.entries()) {
    if (typeof value === 'string' && value.trim() === '') continue;
    const address = reader.address(value, externalIPsPath, index);
    if (address === undefined) continue;
    const use = specialUse(address.ip);
    if (use === undefined) ips.add(address.ip);
    else reader.error(externalIPsPath, index, `${address.ip} is ${use}`);
  }
  return [...ips];
}

/** Only VIP mode is routed here: a Proxy-mode balancer expects its packets to travel to it and back, and host names are for DNS. */
export function readLoadBalancerIPs(reader: JsonReader, raw: Json): readonly string[] {
  const status = reader.record(raw, 'status', undefined);
  const loadBalancer = status && reader.record(status, 'loadBalancer', statusPath);
  if (loadBalancer === undefined) return [];
  const loadBalancerPath: Path = { parent: statusPath, key: 'loadBalancer' };
  const list = reader.list(loadBalancer, 'ingress', loadBalancerPath);
  if (list.length === 0) return [];
  const ips = new Set<string>();
  for (const [index, value] of list.entries()) {
    const path: Path = { parent: { parent: loadBalancerPath, key: 'ingress' }, key: index };
    const entry = reader.element(value, path);
    if (entry === undefined) continue;
    const ip = reader.text(entry, 'ip', path) ?? '';
    const before = reader.errors;
    const mode = reader.choice(entry, 'ipMode', path, ['VIP', 'Proxy']) ?? 'VIP';
    if (ip === '' || mode === 'Proxy' || reader.errors > before) continue;
    const address = reader.address(ip, path, 'ip');
    if (address !== undefined) ips.add(address.ip);
  }
  return [...ips];
}

/** A block no client is in: it stands for "nobody" where an empty list would mean "everybody". */
export const nobody = { IPv4: '0.0.0.0/32', IPv6: '::/128' } as const;

/**
 * Canonical source ranges. As in kube-proxy, a /0 of a family takes all ranges of that family off the list, which opens
 * it to everybody. Unlike kube-proxy, a family whose every range is unreadable is closed instead of open.
 */
export function readSourceRanges(reader: JsonReader, spec: Json): readonly string[] {
  const list = reader.list(spec, 'loadBalancerSourceRanges', specPath);
  if (list.length === 0) return isUnreadableList(spec) ? Object.values(nobody) : [];
  const path: Path = { parent: specPath, key: 'loadBalancerSourceRanges' };
  const ranges: Record<Family, Set<string>> = { IPv4: new Set(), IPv6: new Set() };
  const unreadable = new Set<Family>();
  for (const [index, value] of list.entries()) {
    const text = typeof value === 'string' ? value.trim() : value;
    const range = readSourceRange(reader, text, path, index);
    if (range !== undefined) ranges[familyOfCanonical(range)].add(range);
    else for (const family of familiesMeant(text)) unreadable.add(family);
  }
  return families.flatMap((family) => {
    if (ranges[family].size === 0) return unreadable.has(family) ? [nobody[family]] : [];
    return [...ranges[family]].some((range) => range.endsWith('/0')) ? [] : [...ranges[family]];
  });
}

function readSourceRange(reader: JsonReader, text: unknown, path: Path, index: number): string | undefined {
  const range = reader.cidr(text, path, index);
  if (range === undefined || !isIPv4Mapped(range)) return range;
  reader.error(path, index, `${range} is an IPv4 block written as IPv6`);
  return undefined;
}

function isUnreadableList(spec: Json): boolean {
  const value = spec['loadBalancerSourceRanges'];
  return value !== undefined && value !== null && !Array.isArray(value);
}

function familiesMeant(text: unknown): readonly Family[] {
  if (typeof text !== 'string' || text === '') return families;
  return [text.includes(':') ? 'IPv6' : 'IPv4'];
}
