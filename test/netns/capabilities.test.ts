import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { type CliNode, createCliNode, serviceObjects } from '../support/cli-node.ts';
import { confined } from '../support/confinement.ts';
import { namespaceManifest, podManifest, policyManifest } from '../support/policy-manifests.ts';
import { frontendsOf } from '../support/service-manifests.ts';
import { builtProgram, WeirProcess } from '../support/weir-process.ts';

const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset;
const backends = (['legacy', 'nft'] as const).filter((backend) => capabilities[`iptables-${backend}`]);
/** Bits 12 and 13 of the kernel's list. */
const netAdminAndNetRaw = '0000000000003000';

describe.skipIf(!usable).each(backends)('with the privileges of the DaemonSet on %s', (backend) => {
  let cli: CliNode;
  let weir: WeirProcess | undefined;

  beforeAll(async () => {
    cli = await createCliNode(backend);
    await cli.write('policies.json', [
      namespaceManifest(),
      podManifest({ name: 'web', node: 'node', addresses: ['10.244.1.10', 'fd00:10:244:1::a'] }),
      policyManifest('deny', { podSelector: {}, policyTypes: ['Ingress'] }),
    ]);
  });
  afterEach(async () => {
    await weir?.kill();
    weir = undefined;
    await cli.reset();
  });
  afterAll(() => cli.dispose());

  /** As the init container, with everything. */
  async function setUpNode(): Promise<void> {
    const { code, lines } = await cli.weir(['run', '--init-only', ...cli.flags]);
    expect({ code, lines }).toMatchObject({ code: 0 });
  }

  function confinedWeir(args: readonly string[], ...names: readonly string[]): WeirProcess {
    return new WeirProcess(cli.node.namespace, args, {}, [...confined(names), ...builtProgram]);
  }

  function start(...names: readonly string[]): WeirProcess {
    return confinedWeir(['run', ...cli.flags], ...names);
  }

  test('writes Services and policies, and what changes later', async () => {
    await setUpNode();
    weir = start('net_admin', 'net_raw');
    await weir.waitForLine(/ready: /);
    expect(await privileges(weir.pid)).toEqual({
      CapPrm: netAdminAndNetRaw,
      CapEff: netAdminAndNetRaw,
      CapBnd: netAdminAndNetRaw,
      CapAmb: '0000000000000000',
      NoNewPrivs: '1',
    });
    const first = await cli.rules();
    const from = weir.lines.length;
    await cli.write('more.json', serviceObjects('more', 2));
    for (const family of ['IPv4', 'IPv6'])
      await weir.waitForLine(new RegExp(`${family} service rules written services=1 `), { from });
    const second = await cli.rules();
    expect(await weir.stop()).toEqual({ code: 0, signal: null });

    for (const rules of [first, second]) {
      expect(rules).toMatch(/^-A KUBE-SVC-\S+ .*-j DNAT --to-destination/m);
      expect(rules).toMatch(/^-A WEIR-INGRESS /m);
    }
    const added = `-d ${frontendsOf(2, 'IPv4').clusterIP}/32 `;
    expect(first).not.toContain(added);
    expect(second).toContain(added);
    expect((await cli.plan()).lines.filter((line) => line.startsWith('IPv'))).toEqual([
      'IPv4: no change',
      'IPv6: no change',
    ]);
    expect(weir.lines.filter((line) => / (WARN|ERROR) /.test(line))).toEqual([]);

    const cleanup = confinedWeir(['cleanup', ...cli.backendFlag], 'net_admin', 'net_raw');
    expect({ exit: await cleanup.exited, lines: cleanup.lines }).toMatchObject({ exit: { code: 0 } });
    expect(await cli.rules()).not.toMatch(/KUBE-SERVICES|WEIR-/);
  });

  test('without NET_RAW it says what is missing, and is not ready', async () => {
    await setUpNode();
    weir = start('net_admin');
    // The first is Weir's word, the second that of iptables-nft-restore.
    await weir.waitForLine(/NET_RAW|Can't open socket to ipset/);
    expect(weir.lines.filter((line) => line.includes('ready: '))).toEqual([]);
  });

  test('without NET_ADMIN it ends and says what is missing', async () => {
    weir = start('net_raw');
    expect(await weir.exited).toEqual({ code: 1, signal: null });
    expect(weir.lines.at(-1)).toContain('NET_ADMIN');
  });
});

/** What the kernel says that a process may do. */
async function privileges(pid: number): Promise<Readonly<Record<string, string>>> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const names = ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs'];
  return Object.fromEntries(
    names.map((name) => [name, new RegExp(`^${name}:\\s*(\\S+)$`, 'm').exec(status)?.[1] ?? '']),
  );
}
