import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../pkg/apply/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { capabilities } from './capabilities.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { type NodeRules, nodeRules } from './node-rules.ts';
import {
  endpointSlices,
  type Manifest,
  nodeManifest,
  type ServiceSpec,
  serviceManifest,
  targetPort,
} from './service-manifests.ts';
import { runWeir, type WeirExit, WeirProcess } from './weir-process.ts';
import { createWorld, type World } from './world.ts';

export const backends = ['legacy', 'nft'] as const satisfies readonly Backend[];
export const families = ['IPv4', 'IPv6'] as const satisfies readonly Family[];
export const clusterCidrs = { IPv4: '10.244.0.0/16', IPv6: 'fd00:10:244::/48' } as const;
export type PodName = 'a' | 'b' | 'c';

/** A Service and the pods behind it. */
export interface FaultService extends ServiceSpec {
  readonly pods: readonly PodName[];
}

/** One Service of each kind that a fault may hurt. */
export const liveServices = {
  /** Every kind of address, two endpoints. */
  shop: { name: 'shop', number: 1, pods: ['a', 'b'] },
  /** For hairpin: a pod that reaches itself. */
  alone: { name: 'alone', number: 2, pods: ['a'] },
  sticky: { name: 'sticky', number: 3, pods: ['a', 'b'], affinitySeconds: 10_800 },
  /** Connections to it are refused. */
  empty: { name: 'empty', number: 4, pods: [] },
} as const satisfies Readonly<Record<string, FaultService>>;

export function canRunFaults(backend: Backend): boolean {
  return capabilities.netns && capabilities.ipv6 && capabilities.ipset && capabilities[`iptables-${backend}`];
}

/** One node with pods a, b and c, and a client outside, on which the program is started, hurt and watched. */
export async function createFaultWorld(backend: Backend): Promise<FaultWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-faults-'));
  const world = await createWorld({
    nodes: [{ name: 'node-a', pods: ['a', 'b', 'c'] }],
    clients: ['outside'],
  });
  await world.startAgents();
  const requests = (['tcp', 'udp'] as const).map((protocol) => ({ protocol, port: targetPort }));
  await Promise.all(['a', 'b', 'c'].map((pod) => world.pod(pod).listen(...requests)));
  return new FaultWorld(world, backend, folder);
}

export class FaultWorld {
  readonly world: World;
  readonly backend: Backend;
  readonly #folder: string;
  readonly #started: WeirProcess[] = [];

  constructor(world: World, backend: Backend, folder: string) {
    this.world = world;
    this.backend = backend;
    this.#folder = folder;
  }

  get node(): NetworkNamespace {
    return this.world.node;
  }

  pod(name: PodName): NetworkNamespace {
    return this.world.pod(name);
  }

  get outside(): NetworkNamespace {
    return this.world.client('outside');
  }

  /** What the cluster holds from now on, beside the node itself. */
  async setServices(services: readonly FaultService[], more: readonly Manifest[] = []): Promise<void> {
    const items = [
      nodeManifest('node-a', this.node.addresses),
      ...services.flatMap((service) => [
        serviceManifest(service),
        ...endpointSlices(
          service.name,
          service.pods.map((pod) => ({ pod: this.pod(pod), node: 'node-a' })),
        ),
      ]),
      ...more,
    ];
    const unfinished = join(this.#folder, 'objects.unfinished');
    await writeFile(unfinished, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await rename(unfinished, join(this.#folder, 'objects.json'));
  }

  /** A file of objects beside those of `setServices`; `undefined`: it goes, and all its objects with it. */
  async setFile(name: string, items: readonly Manifest[] | undefined): Promise<void> {
    const file = join(this.#folder, `${name}.json`);
    if (items === undefined) return rm(file);
    await writeFile(`${file}.unfinished`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await rename(`${file}.unfinished`, file);
  }

  /** Starts `weir run` and does not wait. It looks at everything in the kernel as often as it allows itself. */
  launch(...flags: readonly string[]): WeirProcess {
    const often = ['--iptables-sync-period', '1s', '-v', '1'];
    const weir = new WeirProcess(this.node.namespace, ['run', ...this.#ruleFlags(), ...often, ...flags]);
    this.#started.push(weir);
    return weir;
  }

  /** Starts `weir run` and waits until every Service is in the kernel. */
  async start(...flags: readonly string[]): Promise<WeirProcess> {
    const weir = this.launch(...flags);
    await weir.waitForLine(/\bready:/, { timeoutMs: 60_000 });
    return weir;
  }

  /** Runs `weir plan` to its end: code 0 when the kernel holds exactly what it should. */
  plan(...flags: readonly string[]): Promise<WeirExit & { readonly lines: readonly string[] }> {
    return runWeir(this.node.namespace, ['plan', ...this.#ruleFlags(), ...flags]);
  }

  cleanup(...flags: readonly string[]): Promise<WeirExit & { readonly lines: readonly string[] }> {
    return runWeir(this.node.namespace, ['cleanup', '--iptables-backend', this.backend, ...flags]);
  }

  /** The name of a program of the backend under test. */
  tool(family: Family, suffix: '' | '-save' | '-restore' = ''): string {
    return `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${this.backend}${suffix}`;
  }

  /** Arguments of `iptables` (or `ip6tables`), done by somebody else in one restore, so that nobody can come in between. */
  async iptables(family: Family, ...lines: readonly string[]): Promise<void> {
    const sections = lines.map((line) => {
      const [, table = 'filter', command = line] = /^-t (\S+) (.*)/.exec(line) ?? [];
      return { table, command };
    });
    const tables = [...new Set(sections.map(({ table }) => table))];
    const input = tables.flatMap((table) => [
      `*${table}`,
      ...sections.filter((section) => section.table === table).map(({ command }) => command),
      'COMMIT',
    ]);
    await this.restore(family, `${input.join('\n')}\n`);
  }

  /** One restore by somebody else. */
  async restore(family: Family, input: string): Promise<void> {
    await this.node.run(this.tool(family, '-restore'), ['--noflush', '-w', '30'], { input });
  }

  async save(family: Family, ...args: readonly string[]): Promise<string> {
    return (await this.node.run(this.tool(family, '-save'), args)).stdout;
  }

  /** All that the node's kernel holds of both families, ours and others' apart. */
  async rules(): Promise<NodeRules> {
    const [ipv4, ipv6, sets] = await Promise.all([
      this.save('IPv4'),
      this.save('IPv6'),
      this.node.run('ipset', ['save']),
    ]);
    return nodeRules({ IPv4: ipv4, IPv6: ipv6 }, sets.stdout);
  }

  /** Ends every program that still runs, without asking. */
  async killAll(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((weir) => weir.kill()));
  }

  /** Takes away all rules and sets, ours and others'. */
  async wipe(): Promise<void> {
    await this.killAll();
    const tables = ['filter', 'nat', 'mangle'];
    const lines = families.flatMap((family) =>
      tables.flatMap((table) => ['-F', '-X'].map((what) => `${this.tool(family)} -w 30 -t ${table} ${what}`)),
    );
    const policies = families.map((family) => `${this.tool(family)} -w 30 -P FORWARD ACCEPT`);
    // nf_tables lets go of a set a moment after the rule that looked into it is gone.
    const sets = 'for try in 1 2 3 4 5 6 7 8 9 10; do ipset destroy && exit 0; sleep 0.3; done; exit 1';
    await this.node.run('sh', ['-ec', [...lines, ...policies, sets].join('\n')]);
  }

  async dispose(): Promise<void> {
    await this.killAll();
    await this.world.dispose();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #ruleFlags(): readonly string[] {
    const where = ['--manifests', this.#folder, '--node-name', 'node-a'];
    const cidrs = Object.values(clusterCidrs).join(',');
    return [...where, '--cluster-cidr', cidrs, '--iptables-backend', this.backend];
  }
}
