import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { type CliNode, createCliNode } from '../support/cli-node.ts';
import { confined } from '../support/confinement.ts';
import { builtProgram, WeirProcess } from '../support/weir-process.ts';

const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset && capabilities.conntrack;
const backends = (['legacy', 'nft'] as const).filter((backend) => capabilities[`iptables-${backend}`]);
const routeLocalnet = 'net.ipv4.conf.all.route_localnet';
const udpTimeout = 'net.netfilter.nf_conntrack_udp_timeout';
const bridges = capabilities['bridge-netfilter']
  ? ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables']
  : [];

describe.skipIf(!usable).each(backends)('weir run --init-only on %s', (backend) => {
  let cli: CliNode;
  let stateDir: string;
  let weir: WeirProcess | undefined;
  const timeoutFlag = '--conntrack-udp-timeout=45s';

  beforeAll(async () => {
    cli = await createCliNode(backend);
    stateDir = await mkdtemp(join(tmpdir(), 'weir-state-'));
  });
  beforeEach(() =>
    set({
      [routeLocalnet]: '0',
      [udpTimeout]: '30',
      ...Object.fromEntries(bridges.map((name) => [name, '0'])),
    }),
  );
  afterEach(async () => {
    await weir?.kill();
    weir = undefined;
    await cli.reset();
  });
  afterAll(async () => {
    await cli.dispose();
    await rm(stateDir, { recursive: true, force: true });
  });

  async function set(values: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, value] of Object.entries(values))
      await cli.node.run('sysctl', ['-qw', `${name}=${value}`]);
  }

  async function settings(...names: readonly string[]): Promise<readonly string[]> {
    const { stdout } = await cli.node.run('sysctl', ['-n', ...names]);
    return stdout.trim().split('\n');
  }

  async function init(...flags: readonly string[]): Promise<readonly string[]> {
    const { code, lines } = await cli.weir(['run', '--init-only', ...cli.flags, timeoutFlag, ...flags]);
    expect({ code, lines }).toMatchObject({ code: 0 });
    return lines;
  }

  /** As the DaemonSet's container: kernel settings can only be read. */
  async function startConfined(...flags: readonly string[]): Promise<WeirProcess> {
    const command = [...confined(['net_admin', 'net_raw']), ...builtProgram];
    weir = new WeirProcess(cli.node.namespace, ['run', ...cli.flags, timeoutFlag, ...flags], {}, command);
    await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
    return weir;
  }

  const complaints = ({ lines }: WeirProcess): readonly string[] =>
    lines.filter((line) => / (?:WARN|ERROR) /.test(line));

  test('sets what only root may set, and lets nobody reach the loopback of the node; the second time it changes nothing', async () => {
    const lines = await init();
    expect(lines.at(-1)).toMatch(/the node is set up; "weir run" needs no more than NET_ADMIN and NET_RAW/);
    expect(await settings(routeLocalnet, udpTimeout, ...bridges)).toEqual([
      '1',
      '45',
      ...bridges.map(() => '1'),
    ]);
    const rules = await cli.rules();
    expect(rules).toMatch(/^-A KUBE-FIREWALL ! -s 127\.0\.0\.0\/8 -d 127\.0\.0\.0\/8 .*-j DROP$/m);
    expect(rules).toMatch(/^-A INPUT (?:-\S+ .*)?-j KUBE-FIREWALL$/m);
    // Service rules are the agent's.
    expect(rules).not.toMatch(/KUBE-SERVICES|WEIR-/);
    const again = await init();
    expect(await cli.rules()).toBe(rules);
    expect(again.filter((line) => line.includes('set to'))).toEqual([]);
  });

  test('leaves the loopback alone where node ports are not to answer there', async () => {
    await init('--iptables-localhost-nodeports=false');
    expect(await settings(routeLocalnet)).toEqual(['0']);
    expect(await cli.rules()).not.toContain('KUBE-FIREWALL');
  });

  test('closes the pods of a node that had policies before it went down', async () => {
    const flags = ['--policy-closed-start=boot', `--state-dir=${stateDir}`];
    const keep = async (policiesExist: boolean): Promise<void> => {
      await mkdir(stateDir, { recursive: true });
      const state = { policiesExist, ranges: ['10.244.1.0/24', 'fd00:10:244:1::/64'] };
      await writeFile(join(stateDir, 'boot-guard.json'), JSON.stringify(state));
    };
    await keep(false);
    await init(...flags);
    expect(await cli.rules()).not.toContain('WEIR-');
    await keep(true);
    expect((await init(...flags)).some((line) => /IPv4 and IPv6 pod ranges are closed/.test(line))).toBe(
      true,
    );
    const closed = await cli.rules();
    expect(closed).toMatch(/^-A WEIR-\S+ .*10\.244\.1\.0\/24/m);
    expect(closed).toMatch(/^-A WEIR-\S+ .*fd00:10:244:1::\/64/m);
    expect((await init(...flags)).some((line) => /pod ranges are closed/.test(line))).toBe(false);
    expect(await cli.rules()).toBe(closed);
  });

  test('ends with 1 and says what it could not set', async () => {
    const command = [...confined(['net_admin', 'net_raw']), ...builtProgram];
    weir = new WeirProcess(
      cli.node.namespace,
      ['run', '--init-only', ...cli.flags, timeoutFlag],
      {},
      command,
    );
    expect(await weir.exited).toEqual({ code: 1, signal: null });
    expect(weir.lines.at(-1)).toMatch(
      / ERROR the node can't be set up: .*nf_conntrack_udp_timeout should be 45 and is 30 \(EROFS\)/,
    );
  });

  test('is all that an agent needs that can not set anything itself', async () => {
    await init();
    const agent = await startConfined();
    expect(complaints(agent)).toEqual([]);
  });

  test('without it, such an agent says what is missing, once, and routes all the same', async () => {
    const agent = await startConfined('--iptables-sync-period=1s');
    // Another sync, and one that reads everything.
    await cli.node.run(`iptables-${backend}`, ['-w', '5', '-F', 'KUBE-FORWARD']);
    await agent.waitForLine(/rules were changed by somebody else: repaired/, { timeoutMs: 60_000 });
    const said = complaints(agent).filter((line) => !line.includes('changed by somebody else'));
    expect(said.filter((line) => line.includes('connection tracking is not set up'))).toEqual([
      expect.stringMatching(/udp_timeout should be 45 and is 30 \(EROFS\)\. Run "weir run --init-only"/),
    ]);
    expect(said.filter((line) => line.includes('127.0.0.1'))).toEqual([
      expect.stringMatching(/node ports do not answer on 127\.0\.0\.1: run "weir run --init-only"/),
    ]);
    expect(said).toHaveLength(2);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });
});
