/** What a container runtime noted when it gave a pod its network. */
export interface CniResult {
  readonly namespace: string;
  readonly name: string;
  /** The pod's uid as the API shows it; empty when the runtime gives none, or one that the API does not know. */
  readonly uid: string;
  /** Of the sandbox. A pod whose sandbox is made anew gets another one, and mostly another address. */
  readonly containerId: string;
  /** At least one, in the plugin's order, without prefix lengths and otherwise as the plugin wrote them. */
  readonly addresses: readonly string[];
  /** When the file was written, in nanoseconds of the node's clock. */
  readonly addedNs: bigint;
}

/**
 * The interface whose address is the pod's address: the runtimes take that of `eth0` and no other. The others are `lo`
 * and what Multus adds, which NetworkPolicy does not know.
 */
export const podInterface = 'eth0';

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads one file of the CNI result cache (libcni's `cachedInfo`, kind `cniCacheV1`), with results of CNI 0.1 to 1.1.
 * `undefined` for what is half-written, of another kind, not of a Kubernetes pod, not of its `eth0`, or without addresses.
 */
export function readCniResult(text: string, addedNs: bigint): CniResult | undefined {
  const cached = recordOf(parseJson(text));
  if (cached?.['kind'] !== 'cniCacheV1' || cached['ifName'] !== podInterface) return undefined;
  const args = readArgs(cached['cniArgs']);
  const namespace = args.get('K8S_POD_NAMESPACE') ?? '';
  const name = args.get('K8S_POD_NAME') ?? '';
  const containerId = textOf(cached['containerId']);
  const addresses = readAddresses(recordOf(cached['result']) ?? {});
  if (namespace === '' || name === '' || containerId === '' || addresses.length === 0) return undefined;
  return { namespace, name, uid: apiUid(args.get('K8S_POD_UID') ?? ''), containerId, addresses, addedNs };
}

/** A static pod runs under a hash of its manifest, which the API shows nowhere as a uid: its mirror pod has another. */
function apiUid(uid: string): string {
  return /^[0-9a-f]{32}$/.test(uid) ? '' : uid;
}

/** A list of pairs: `[["K8S_POD_NAMESPACE", "shop"], …]`. */
function readArgs(value: unknown): ReadonlyMap<string, string> {
  const args = new Map<string, string>();
  for (const pair of listOf(value)) {
    const [key, text] = listOf(pair);
    if (typeof key === 'string' && typeof text === 'string') args.set(key, text);
  }
  return args;
}

/** CNI 0.3 and later have the list `ips`; 0.1 and 0.2 have `ip4` and `ip6`. */
function readAddresses(result: Json): readonly string[] {
  const interfaces = listOf(result['interfaces']);
  const texts = listOf(result['ips'])
    .map((ip) => recordOf(ip) ?? {})
    .filter((ip) => isOfPod(ip, interfaces))
    .map((ip) => ip['address']);
  if (texts.length === 0) texts.push(recordOf(result['ip4'])?.['ip'], recordOf(result['ip6'])?.['ip']);
  return texts.map((text) => textOf(text).replace(/\/.*$/, '')).filter((address) => address !== '');
}

/** `interface` is a place in `interfaces`, where plugins also list the node's end and interfaces for their own use. */
function isOfPod(ip: Json, interfaces: readonly unknown[]): boolean {
  const index = ip['interface'];
  const owner = typeof index === 'number' ? recordOf(interfaces[index]) : undefined;
  return owner === undefined || owner['name'] === podInterface;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Half-written: the runtime does not replace the file in one step. Another event comes when it goes on.
    return undefined;
  }
}

function recordOf(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
