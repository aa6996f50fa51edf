import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../pkg/apply/index.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { canary } from './node-rules.ts';
import { endpointSlices, type Manifest, nodeManifest, serviceManifest } from './service-manifests.ts';
import { runWeir, type WeirExit, WeirProcess } from './weir-process.ts';
import { createWorld, type World } from './world.ts';

const podAddresses = ['10.244.1.10', 'fd00:10:244:1::a'];

/** A Service of every type, `default/<name>`, with one endpoint. */
export function serviceObjects(name: string, number: number): readonly Manifest[] {
  return [
    serviceManifest({ name, number }),
    ...endpointSlices(name, [{ pod: { addresses: podAddresses }, node: 'node' }]),
  ];
}

/** A machine without pods, the Node `node`, and a folder of manifests that holds the Node and `default/web`. */
export async function createCliNode(backend: Backend): Promise<CliNode> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-cli-'));
  const cli = new CliNode(await createWorld({ nodes: [{ name: 'node' }] }), folder, backend);
  await cli.write('node.json', [nodeManifest('node', cli.node.addresses)]);
  await cli.write('web.json', serviceObjects('web', 1));
  return cli;
}

export class CliNode {
  readonly folder: string;
  readonly #world: World;
  readonly #backend: Backend;

  constructor(world: World, folder: string, backend: Backend) {
    this.#world = world;
    this.folder = folder;
    this.#backend = backend;
  }

  get node(): NetworkNamespace {
    return this.#world.node;
  }

  /** For `run` and `plan`. */
  get flags(): readonly string[] {
    const cidrs = '10.244.0.0/16,fd00:10:244::/48';
    return [`--manifests=${this.folder}`, '--node-name=node', `--cluster-cidr=${cidrs}`, ...this.backendFlag];
  }

  get backendFlag(): readonly string[] {
    return [`--iptables-backend=${this.#backend}`];
  }

  path(file: string): string {
    return join(this.folder, file);
  }

  async write(file: string, objects: readonly Manifest[] | string): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await writeFile(this.path(file), typeof objects === 'string' ? objects : JSON.stringify(list));
  }

  /** Starts `weir run` and waits until it is ready. */
  async start(...flags: readonly string[]): Promise<WeirProcess> {
    const weir = new WeirProcess(this.node.namespace, ['run', ...this.flags, ...flags]);
    await weir.waitForLine(/ready: /);
    return weir;
  }

  weir(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<WeirExit & { readonly lines: readonly string[] }> {
    return runWeir(this.node.namespace, args, environment);
  }

  plan(...flags: readonly string[]): ReturnType<CliNode['weir']> {
    return this.weir(['plan', ...this.flags, ...flags]);
  }

  cleanup(...flags: readonly string[]): ReturnType<CliNode['weir']> {
    return this.weir(['cleanup', ...this.backendFlag, ...flags]);
  }

  /** What iptables (of the backend) and ipset hold, as their programs save it, without dates, counters and the canary. */
  async rules(): Promise<string> {
    const programs = [`iptables-${this.#backend}-save`, `ip6tables-${this.#backend}-save`, 'ipset save'];
    const lines = (await this.#save(programs)).split('\n');
    return lines.filter((line) => !canary.test(line)).join('\n');
  }

  /** The same of both backends, with the names of the legacy tables that exist: looking at one creates it. */
  everything(): Promise<string> {
    const names = (file: string): string => `{ cat /proc/net/${file} 2>/dev/null || true; }`;
    return this.#save([
      names('ip_tables_names'),
      names('ip6_tables_names'),
      'iptables-legacy-save',
      'ip6tables-legacy-save',
      'iptables-nft-save',
      'ip6tables-nft-save',
      'ipset save',
    ]);
  }

  /** Loads the text of an iptables-restore without touching other chains. */
  async restore(text: string): Promise<void> {
    await this.node.run(`iptables-${this.#backend}-restore`, ['--noflush'], { input: text });
  }

  /** Between tests: no rules, no sets. */
  async reset(): Promise<void> {
    await this.cleanup('--force');
    for (const program of [`iptables-${this.#backend}`, `ip6tables-${this.#backend}`]) {
      for (const table of ['filter', 'nat']) {
        await this.node.run(program, ['-w', '5', '-t', table, '-F']);
        await this.node.run(program, ['-w', '5', '-t', table, '-X']);
      }
    }
  }

  async dispose(): Promise<void> {
    await this.#world.dispose();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #save(commands: readonly string[]): Promise<string> {
    const { stdout } = await this.node.run('sh', ['-ec', commands.join('; ')]);
    return stdout.replaceAll(/^# (Generated|Completed).*\n/gm, '').replaceAll(/\[\d+:\d+\]$/gm, '[0:0]');
  }
}
