import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { capabilities } from '../support/capabilities.ts';
import { type CliNode, createCliNode, serviceObjects } from '../support/cli-node.ts';
import { confined } from '../support/confinement.ts';
import { type HostPath, type ImageRoot, imageVariable, unpackImage } from '../support/image-root.ts';
import { namespaceManifest, podManifest, policyManifest } from '../support/policy-manifests.ts';
import { parsePrometheusText, sampleValue } from '../support/prometheus-text.ts';
import { frontendsOf } from '../support/service-manifests.ts';
import { WeirProcess } from '../support/weir-process.ts';

const archive = process.env[imageVariable];
const usable = capabilities.netns && capabilities.ipv6 && archive !== undefined;
const backends = (['legacy', 'nft'] as const).filter((backend) => capabilities[`iptables-${backend}`]);
const manifests = new URL('../../manifests/', import.meta.url);
const sizeLimit = 110e6;

describe.skipIf(!usable)('the image', () => {
  let root: ImageRoot;

  beforeAll(async () => {
    root = await unpackImage(archive ?? '');
  });
  afterAll(() => root.remove());

  test('is small', () => {
    expect(root.image.compressedBytes).toBeLessThan(sizeLimit);
  });

  test('holds Weir, what Weir starts, and no other program', async () => {
    const iptables = ['legacy', 'nft'].flatMap((backend) =>
      ['iptables', 'ip6tables'].flatMap((program) =>
        ['', '-restore', '-save'].map((verb) => `/usr/sbin/${program}-${backend}${verb}`),
      ),
    );
    const expected = [
      ...iptables,
      '/usr/bin/dash',
      '/usr/bin/env',
      '/usr/bin/kmod',
      '/usr/bin/sh',
      '/usr/local/bin/node',
      '/usr/local/bin/weir',
      '/usr/sbin/conntrack',
      '/usr/sbin/ipset',
      '/usr/sbin/modprobe',
      '/usr/sbin/nft',
      '/usr/sbin/xtables-legacy-multi',
      '/usr/sbin/xtables-nft-multi',
    ];
    expect(await root.programs()).toEqual(expected.toSorted());
  });

  describe.each(backends)("started as the DaemonSet's containers on %s", (backend) => {
    let cli: CliNode;
    let mounts: readonly HostPath[];
    let weir: WeirProcess | undefined;

    beforeAll(async () => {
      cli = await createCliNode(backend);
      await cli.write('policies.json', [
        namespaceManifest(),
        podManifest({ name: 'web', node: 'node', addresses: ['10.244.1.10', 'fd00:10:244:1::a'] }),
        policyManifest('deny', { podSelector: {}, policyTypes: ['Ingress'] }),
      ]);
      const state = `${cli.folder}-state`;
      const config = `${cli.folder}-config`;
      await Promise.all([mkdir(state), mkdir(config)]);
      const shipped = await readFile(new URL('config.yaml', manifests), 'utf8');
      await writeFile(join(config, 'config.yaml'), shipped);
      mounts = [
        { from: config, to: '/var/lib/weir-config', readOnly: true },
        { from: state, to: '/var/lib/weir' },
        { from: cli.folder, to: '/var/lib/cluster', readOnly: true },
      ];
    });
    afterEach(async () => {
      await weir?.kill();
    });
    afterAll(async () => {
      await cli.dispose();
      for (const { from } of mounts) await rm(from, { recursive: true, force: true });
    });

    /** What the DaemonSet says, with manifests in place of an API server. */
    async function argsOf(containers: 'initContainers' | 'containers'): Promise<readonly string[]> {
      const [document] = parseAllDocuments(await readFile(new URL('daemonset.yaml', manifests), 'utf8'));
      const daemonSet = document?.toJS() as {
        readonly spec: {
          readonly template: {
            readonly spec: Readonly<Record<string, readonly { readonly args: readonly string[] }[]>>;
          };
        };
      };
      const args = daemonSet.spec.template.spec[containers]?.[0]?.args ?? [];
      return [
        ...args.map((arg) => arg.replace('$(NODE_NAME)', 'node')),
        '--manifests=/var/lib/cluster',
        `--iptables-backend=${backend}`,
      ];
    }

    function start(args: readonly string[], before: readonly string[] = []): WeirProcess {
      return new WeirProcess(cli.node.namespace, args, {}, [...before, ...root.command(mounts)]);
    }

    test('writes Services and policies, finds no difference afterwards, and takes all away', async () => {
      const init = start(await argsOf('initContainers'));
      expect({ exit: await init.exited, lines: init.lines }).toMatchObject({ exit: { code: 0 } });

      const args = await argsOf('containers');
      // Beyond what the DaemonSet allows: what it takes to get into the image's root here.
      weir = start([...args, '-v=1'], confined(['net_admin', 'net_raw', 'sys_admin', 'sys_chroot']));
      await weir.waitForLine(/ready: /);
      await cli.write('more.json', serviceObjects('more', 2));
      for (const family of ['IPv4', 'IPv6'])
        await weir.waitForLine(new RegExp(`${family} service rules written services=1 `));
      expect(await answer('/livez')).toBe(200);
      expect(await answer('/readyz')).toBe(200);
      // What its programs show at a glance is what they have written.
      const from = weir.lines.length;
      await expect.poll(() => glances(), { timeout: 30_000 }).toBe(2);
      expect(weir.lines.slice(from).filter((line) => line.includes('somebody else'))).toEqual([]);
      expect(await weir.stop()).toEqual({ code: 0, signal: null });
      expect(weir.lines.filter((line) => / (WARN|ERROR) /.test(line))).toEqual([]);

      const rules = await cli.rules();
      expect(rules).toContain(`-d ${frontendsOf(2, 'IPv4').clusterIP}/32 `);
      expect(rules).toMatch(/^-A KUBE-SVC-\S+ .*-j DNAT --to-destination/m);
      expect(rules).toMatch(/^-A WEIR-INGRESS /m);
      const plan = start(['plan', ...args.slice(1)]);
      expect({ exit: await plan.exited, lines: plan.lines }).toMatchObject({ exit: { code: 0 } });
      const cleanup = start(['cleanup', `--iptables-backend=${backend}`]);
      expect({ exit: await cleanup.exited, lines: cleanup.lines }).toMatchObject({ exit: { code: 0 } });
      // The guard of 127.0.0.0/8 stays, as with kube-proxy: the kubelet relies on it, too.
      expect(await cli.rules()).not.toMatch(/KUBE-(?!FIREWALL)|WEIR-/);
    });

    async function answer(path: string): Promise<number> {
      return Number(await evaluated(`(await fetch('http://127.0.0.1:10256${path}')).status`));
    }

    /** How many families were looked at, and found right, since their last sync. */
    async function glances(): Promise<number> {
      const text = await evaluated(`await (await fetch('http://127.0.0.1:10249/metrics')).text()`);
      const metrics = parsePrometheusText(text);
      return ['IPv4', 'IPv6'].filter((family) => {
        const [synced = 0, seen = 0] = [
          ['kubeproxy_sync_proxy_rules_last_timestamp_seconds', {}] as const,
          ['weir_last_sync_success_timestamp_seconds', { part: 'services' }] as const,
        ].map(([name, labels]) => sampleValue(metrics, name, { ip_family: family, ...labels }));
        return seen > synced;
      }).length;
    }

    /** What an expression says in the node's network. */
    async function evaluated(expression: string): Promise<string> {
      const args = ['--input-type=module', '--eval', `console.log(${expression})`];
      return (await cli.node.run(process.execPath, args)).stdout;
    }
  });
});
