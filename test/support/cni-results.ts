import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CniResultWords {
  readonly pod: string;
  /** Default: `default`. */
  readonly namespace?: string;
  /** Of the sandbox; default: one for each name of a pod. */
  readonly containerId?: string;
  /** Default: the uid of the pod's manifest. */
  readonly uid?: string;
  readonly addresses: readonly string[];
  readonly interfaceName?: string;
}

/** A cache of CNI results such as container runtimes keep, written as libcni writes it: in place, not in one step. */
export class CniResults {
  /** For `--cni-cache-dir`. */
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<CniResults> {
    const folder = await mkdtemp(join(tmpdir(), 'weir-cni-'));
    await mkdir(join(folder, 'results'));
    return new CniResults(folder);
  }

  /** What the runtime notes when it has given a pod its network; one container for each pod. */
  add(words: CniResultWords): Promise<void> {
    return this.writeText(fileOf(words), cniResultText(words));
  }

  /** Makes the pod's result this much older, or younger than any that is yet to come. */
  async age(pod: string, seconds: number): Promise<void> {
    const time = Date.now() / 1000 - seconds;
    await utimes(join(this.folder, 'results', fileOf({ pod })), time, time);
  }

  /** A file below `results`, whatever it holds. */
  writeText(file: string, text: string): Promise<void> {
    return writeFile(join(this.folder, 'results', file), text);
  }

  /** What the runtime does when the pod's network is taken away. */
  remove(pod: string, containerId = containerOf(pod)): Promise<void> {
    return rm(join(this.folder, 'results', fileOf({ pod, containerId })));
  }

  async dispose(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

function fileOf({
  pod,
  containerId = containerOf(pod),
  interfaceName = 'eth0',
}: Omit<CniResultWords, 'addresses'>): string {
  return `cbr0-${containerId}-${interfaceName}`;
}

function containerOf(pod: string): string {
  return `container-${pod}`;
}

export function cniResultText({
  pod,
  namespace = 'default',
  containerId = containerOf(pod),
  uid = `uid-${pod}`,
  addresses,
  interfaceName = 'eth0',
}: CniResultWords): string {
  return JSON.stringify({
    kind: 'cniCacheV1',
    containerId,
    config: 'e30=',
    ifName: interfaceName,
    networkName: 'cbr0',
    cniArgs: [
      ['IgnoreUnknown', '1'],
      ['K8S_POD_NAMESPACE', namespace],
      ['K8S_POD_NAME', pod],
      ['K8S_POD_INFRA_CONTAINER_ID', containerId],
      ['K8S_POD_UID', uid],
    ],
    capabilityArgs: { dns: {} },
    result: {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'veth' }, { name: interfaceName, sandbox: '/var/run/netns/pod' }],
      ips: addresses.map((address) => ({
        address: `${address}/${address.includes(':') ? 64 : 24}`,
        interface: 1,
      })),
    },
  });
}
