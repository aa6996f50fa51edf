import type { Family } from '../../pkg/net/index.ts';
import { systemClock } from '../../pkg/runtime/index.ts';
import { clusterCidrs, type FaultService, type FaultWorld, families } from './fault-world.ts';
import { type KubeProxyServicePort, kubeProxyJumps, kubeProxySync } from './kube-proxy-rules.ts';
import { frontendsOf, type Manifest, servicePort, targetPort } from './service-manifests.ts';

/** By these chains kube-proxy notices that its rules were taken away: it looks in the first table. */
const canaryTables = ['mangle', 'nat', 'filter'] as const;
const canary = 'KUBE-PROXY-CANARY';

/** A node on which kube-proxy has run: live Services, and many that only fill its tables. */
export class KubeProxyNode {
  readonly #faults: FaultWorld;
  readonly #services: readonly FaultService[];
  readonly #fillers: Readonly<Record<Family, number>>;

  /** `fillers`: how many Services without anybody behind them; each means four chains. */
  constructor(
    faults: FaultWorld,
    services: readonly FaultService[],
    fillers: Readonly<Record<Family, number>>,
  ) {
    this.#faults = faults;
    this.#services = services;
    this.#fillers = fillers;
  }

  /** Jumps from the built-in chains, as after the first start. */
  async insertJumps(family: Family): Promise<void> {
    await this.#faults.restore(family, kubeProxyJumps());
  }

  /** Which of its jumps kube-proxy would miss and insert; that to KUBE-FIREWALL is the kubelet's. */
  async missingJumps(family: Family): Promise<readonly string[]> {
    const saved = new Set((await this.#faults.save(family)).split('\n'));
    const inserts = kubeProxyJumps()
      .split('\n')
      .filter((line) => line.startsWith('-I '));
    const appended = inserts.map((line) => line.replace('-I ', '-A '));
    return appended.filter((line) => !line.includes('KUBE-FIREWALL') && !saved.has(line));
  }

  /** A full sync: everything written, and stale per-service chains deleted, in one restore. */
  async sync(family: Family): Promise<void> {
    const saved = await this.#faults.save(family, '-t', 'nat');
    const existingNatChains = [...saved.matchAll(/^:(\S+)/gm)].map((match) => match[1] ?? '');
    const ports = [
      ...this.#services.flatMap((service) => this.#portsOf(service, family)),
      ...Array.from({ length: this.#fillers[family] }, (_, number) => fillerPort(number, family)),
    ];
    const options = { family, clusterCidr: clusterCidrs[family], existingNatChains };
    await this.#faults.restore(family, kubeProxySync(ports, options));
  }

  /**
   * What a kube-proxy that runs does about its rules: all that it writes at its start, and all of it again whenever its canary has gone or
   * a restore has failed. It looks far more often than its sync period of 30 s. Resolves when the signal ends it.
   */
  async run(signal: AbortSignal): Promise<void> {
    const isPending = new Set<Family>(families);
    while (!signal.aborted) {
      for (const family of families) {
        if (!isPending.has(family) && (await this.#hasCanary(family))) continue;
        isPending.add(family);
        // Somebody else may write at the same time.
        await this.#writeAll(family).then(
          () => isPending.delete(family),
          () => undefined,
        );
      }
      await systemClock.sleep(200, signal).catch(() => undefined);
    }
  }

  async #hasCanary(family: Family): Promise<boolean> {
    return (await this.#faults.save(family, '-t', canaryTables[0])).includes(`:${canary} `);
  }

  async #writeAll(family: Family): Promise<void> {
    const lines = canaryTables.flatMap((table) => [`*${table}`, `:${canary} - [0:0]`, 'COMMIT']);
    await this.#faults.restore(family, `${lines.join('\n')}\n`);
    const missing = new Set(await this.missingJumps(family));
    const isThere = (line: string): boolean =>
      line.startsWith('-I ') && !missing.has(line.replace('-I ', '-A '));
    await this.#faults.restore(
      family,
      kubeProxyJumps()
        .split('\n')
        .filter((line) => !isThere(line))
        .join('\n'),
    );
    await this.sync(family);
  }

  /** TCP and UDP. */
  #portsOf(service: FaultService, family: Family): readonly KubeProxyServicePort[] {
    const { clusterIP, loadBalancerIP, externalIP, nodePort } = frontendsOf(service.number, family);
    return (['tcp', 'udp'] as const).map((protocol) => ({
      id: `default/${service.name}:${protocol}`,
      protocol,
      clusterIP,
      port: servicePort,
      nodePort,
      loadBalancerIPs: [loadBalancerIP],
      externalIPs: [externalIP],
      ...(service.affinitySeconds === undefined ? {} : { affinitySeconds: service.affinitySeconds }),
      endpoints: service.pods.map((pod) => ({
        address: this.#faults.pod(pod).address(family),
        port: targetPort,
        local: true,
      })),
    }));
  }
}

function fillerPort(number: number, family: Family): KubeProxyServicePort {
  return {
    id: `default/${fillerName(number, family)}`,
    protocol: 'tcp',
    clusterIP: fillerAddress(number, family),
    port: servicePort,
    endpoints: fillerEndpoints(family).map((address) => ({ address, port: targetPort })),
  };
}

/** The same Services for the program under test: one in each family's own list, so that it has something to rewrite. */
export function fillerManifests(count: number, family: Family): readonly Manifest[] {
  return Array.from({ length: count }, (_, number) => {
    const name = fillerName(number, family);
    const clusterIP = fillerAddress(number, family);
    const port = { name: '', protocol: 'TCP', port: servicePort };
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: { clusterIP, clusterIPs: [clusterIP], ipFamilies: [family], ports: [port] },
    };
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
      addressType: family,
      ports: [{ ...port, port: targetPort }],
      endpoints: fillerEndpoints(family).map((address) => ({
        addresses: [address],
        conditions: { ready: true },
      })),
    };
    return [service, slice];
  }).flat();
}

function fillerName(number: number, family: Family): string {
  return `filler-${family.toLowerCase()}-${number}`;
}

function fillerAddress(number: number, family: Family): string {
  const [high, low] = [number >> 8, number & 255];
  return family === 'IPv4' ? `10.97.${high}.${low}` : `fd00:10:97::${(number + 1).toString(16)}`;
}

function fillerEndpoints(family: Family): readonly string[] {
  return [1, 2, 3].map((last) => (family === 'IPv4' ? `10.244.9.${last}` : `fd00:10:244:9::${last}`));
}
