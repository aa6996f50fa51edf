import { seededRandom } from './random.ts';
import type { Manifest } from './service-manifests.ts';

/** An object and what was done to it. */
export interface MutatedObject {
  readonly manifest: Manifest;
  readonly mutations: readonly string[];
}

export interface MutationOptions {
  readonly seed: number;
  readonly count: number;
  /** Goes into every name, and into the numbers of the addresses: no two rounds share any. 0 to 15. */
  readonly round: number;
  /** The node that the objects' pods and endpoints are on. */
  readonly node: string;
  /** Addresses of others: cluster IPs, pods, nodes. */
  readonly taken: readonly string[];
}

type Random = () => number;
type Path = readonly (string | number)[];

export const mutatedNamespace = 'fuzz';
const kinds = [
  'Service',
  'EndpointSlice',
  'NetworkPolicy',
  'Pod',
  'Namespace',
  'Node',
  'ServiceCIDR',
] as const;
const escape = '\u001b[2J\u0007\r\n*nat\n-F\nCOMMIT\n"\'`$(reboot)\\\u0000\u009b\u202e\ud800';

const strange: readonly unknown[] = [
  [null, true, false, [], {}, [null], [[]], { a: { b: 1 } }, ''],
  [-1, 0, 1, 0.5, 65_535, 65_536, 2 ** 31, 2 ** 53, 1e308, '80', ' 80', '0x50', '080'],
  [
    '0.0.0.0',
    '::',
    '::ffff:10.0.0.1',
    '::1.2.3.4',
    '::1',
    '127.0.0.1',
    '169.254.1.1',
    'fe80::1',
    'fe80::1%eth0',
  ],
  [
    '224.0.0.1',
    '239.255.255.255',
    'ff02::1',
    '255.255.255.255',
    '10.0.0.256',
    '010.0.0.1',
    '1.2.3',
    'fd00:::1',
  ],
  ['10.0.0.1/32', '0.0.0.0/0', '::/0', '0.0.0.0/32', '::/128', '10.0.0.0/33', '10.0.0.1/8', '::ffff:0:0/96'],
  [
    'None',
    'TCP',
    'tcp',
    'SCTP',
    'ICMP',
    'Local',
    'ClientIP',
    'ExternalName',
    'headless',
    'IPv4',
    'IPv6',
    'FQDN',
  ],
  ['*', '-', '--', '!', '-j ACCEPT', '"', "'", '../..', '__proto__', 'constructor', 'a b', 'ü', '\u{1f600}'],
  [escape, 'x'.repeat(300), 'y'.repeat(20_000)],
].flat(1);

/** Objects of every kind, each right but for up to three mutations; the same for the same options. */
export function mutatedObjects(options: MutationOptions): readonly MutatedObject[] {
  const random = seededRandom(options.seed * 16 + options.round);
  const bases = Array.from({ length: options.count }, (_, index) => baseObject(options, index));
  return bases.map((base) => {
    let manifest = structuredClone(base);
    const mutations: string[] = [];
    for (let left = Math.floor(random() * 4); left > 0; left -= 1) {
      const mutation = mutate(manifest, bases, options.taken, random);
      manifest = mutation.manifest;
      mutations.push(mutation.what);
    }
    return { manifest, mutations };
  });
}

function baseObject({ round, node }: MutationOptions, index: number): Manifest {
  const kind = kinds[index % kinds.length] ?? 'Service';
  const number = Math.floor(index / kinds.length);
  // An EndpointSlice belongs to the Service beside it, a policy selects the pod.
  const name = `zz-${round}-${number}`;
  const metadata = { name, namespace: mutatedNamespace, labels: { app: name } };
  const v4 = (network: string): string => `${network}.${round}.${number}`;
  const v6 = (network: string): string => `${network}:${round.toString(16)}::${(number + 1).toString(16)}`;
  switch (kind) {
    case 'Service':
      return {
        apiVersion: 'v1',
        kind,
        metadata,
        spec: {
          type: 'LoadBalancer',
          clusterIP: v4('10.97'),
          clusterIPs: [v4('10.97'), v6('fd00:10:97')],
          ipFamilies: ['IPv4', 'IPv6'],
          ports: [
            {
              name: 'web',
              protocol: 'TCP',
              port: 80,
              targetPort: 8080,
              nodePort: 31_000 + round * 40 + number,
            },
            { name: 'dns', protocol: 'UDP', port: 53 },
          ],
          externalIPs: [v4('198.18'), v6('2001:db8:18')],
          loadBalancerSourceRanges: number % 3 === 0 ? ['203.0.113.0/24', '2001:db8:113::/48'] : [],
          externalTrafficPolicy: number % 4 === 0 ? 'Local' : 'Cluster',
          healthCheckNodePort: number % 4 === 0 ? 32_000 + round * 40 + number : 0,
          ...(number % 5 === 0 ? { sessionAffinity: 'ClientIP' } : {}),
        },
        status: {
          loadBalancer: { ingress: [{ ip: v4('198.19') }, { ip: v6('2001:db8:19'), ipMode: 'VIP' }] },
        },
      };
    case 'EndpointSlice':
      return {
        apiVersion: 'discovery.k8s.io/v1',
        kind,
        metadata: { ...metadata, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        ports: [
          { name: 'web', protocol: 'TCP', port: 8080 },
          { name: 'dns', protocol: 'UDP', port: 53 },
        ],
        endpoints: number % 6 === 5 ? [] : [1, 2].map((part) => endpointOf(v4(`10.24${part}`), node)),
      };
    case 'NetworkPolicy':
      return {
        apiVersion: 'networking.k8s.io/v1',
        kind,
        metadata,
        spec: {
          podSelector: { matchLabels: { app: name } },
          policyTypes: ['Ingress', 'Egress'],
          ingress: [
            {
              from: [
                {
                  podSelector: {
                    matchExpressions: [{ key: 'app', operator: 'In', values: [name, 'other'] }],
                  },
                },
                { ipBlock: { cidr: '10.98.0.0/16', except: ['10.98.3.0/24'] } },
                { ipBlock: { cidr: '2001:db8:98::/48', except: ['2001:db8:98:1::/64'] } },
              ],
              ports: [{ port: 80 }, { port: 'web' }, { port: 1000, endPort: 2000, protocol: 'UDP' }],
            },
          ],
          egress: [{ to: [{ namespaceSelector: {} }] }],
        },
      };
    case 'Pod':
      return {
        apiVersion: 'v1',
        kind,
        metadata: { ...metadata, uid: `uid-${name}` },
        spec: {
          nodeName: node,
          containers: [{ name: 'main', image: 'none', ports: [{ name: 'web', containerPort: 8080 }] }],
        },
        status: {
          phase: 'Running',
          podIP: v4('10.98'),
          podIPs: [{ ip: v4('10.98') }, { ip: v6('2001:db8:98') }],
          conditions: [{ type: 'Ready', status: 'True' }],
        },
      };
    case 'Namespace':
      return { apiVersion: 'v1', kind, metadata: { name, labels: { team: 'a' } } };
    case 'Node':
      return {
        apiVersion: 'v1',
        kind,
        metadata: { name, labels: { 'topology.kubernetes.io/zone': 'z1' } },
        spec: { podCIDRs: [`10.99.${number}.0/24`], taints: [{ key: 'a', effect: 'NoSchedule' }] },
        status: { addresses: [{ type: 'InternalIP', address: v4('10.100') }] },
      };
    case 'ServiceCIDR':
      return {
        apiVersion: 'networking.k8s.io/v1',
        kind,
        metadata: { name },
        spec: { cidrs: ['10.96.0.0/15'] },
      };
  }
}

function endpointOf(address: string, node: string): Manifest {
  return {
    addresses: [address],
    nodeName: node,
    conditions: { ready: true, serving: true, terminating: false },
  };
}

/** Where policies and pods are must stay: elsewhere they would close, rightly, what a test wants open. */
const fixed = new Set(['apiVersion', 'kind', 'namespace', 'metadata']);

function mutate(
  manifest: Manifest,
  others: readonly Manifest[],
  taken: readonly string[],
  random: Random,
): { readonly manifest: Manifest; readonly what: string } {
  const paths = pathsIn(manifest, []).filter(
    (path) => !path.some((key) => fixed.has(String(key)) && path.length === 1),
  );
  const open = paths.filter((path) => !path.includes('namespace'));
  const path = pick(open, random) ?? ['spec'];
  const value = at(manifest, path);
  const other = pick(others, random) ?? manifest;
  switch (Math.floor(random() * 7)) {
    case 0:
      return changed(manifest, path, undefined, 'gone');
    case 1: {
      const list = Array.isArray(value) ? [...(value as unknown[]), ...(value as unknown[])] : [value, value];
      return changed(manifest, path, list, 'twice');
    }
    case 2:
      return changed(
        manifest,
        [...path.slice(0, -1), pick(['unknown', escape, 'z'.repeat(500)], random) ?? ''],
        1,
        'new',
      );
    case 3:
      return changed(manifest, path, at(other, path), "somebody else's");
    case 4:
      // Of two pods with one address both must agree: a second one would close the first, rightly.
      return changed(
        manifest,
        path,
        manifest['kind'] === 'Pod' ? '10.98.98.98' : pick(taken, random),
        'taken',
      );
    default: {
      const word = pick(strange, random);
      return changed(manifest, path, word, JSON.stringify(word).slice(0, 40));
    }
  }
}

function changed(
  manifest: Manifest,
  path: Path,
  value: unknown,
  what: string,
): { readonly manifest: Manifest; readonly what: string } {
  const copy = structuredClone(manifest) as Record<string | number, unknown>;
  let parent: Record<string | number, unknown> = copy;
  for (const key of path.slice(0, -1)) parent = parent[key] as Record<string | number, unknown>;
  const last = path.at(-1) ?? '';
  if (value !== undefined) parent[last] = structuredClone(value);
  else if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else delete parent[last];
  return { manifest: copy, what: `${path.join('.').slice(0, 80)}: ${what}` };
}

/** Of every value in it, those at the top too. */
function pathsIn(value: unknown, path: Path): readonly Path[] {
  if (typeof value !== 'object' || value === null) return path.length > 0 ? [path] : [];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  const below = entries.flatMap(([key, part]) => pathsIn(part, [...path, key]));
  return path.length > 0 ? [path, ...below] : below;
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (part, key) =>
      typeof part === 'object' && part !== null ? (part as Record<string | number, unknown>)[key] : undefined,
    value,
  );
}

function pick<T>(list: readonly T[], random: Random): T | undefined {
  return list[Math.floor(random() * list.length)];
}
