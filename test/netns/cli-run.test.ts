import { mkdir, rename, rm } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { type CliNode, createCliNode, serviceObjects } from '../support/cli-node.ts';
import { FaultyTools } from '../support/faulty-tools.ts';
import { WeirProcess } from '../support/weir-process.ts';

const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset;
const backends = (['legacy', 'nft'] as const).filter((backend) => capabilities[`iptables-${backend}`]);

describe.skipIf(!usable).each(backends)('weir run on %s', (backend) => {
  let cli: CliNode;
  let weir: WeirProcess | undefined;

  beforeAll(async () => {
    cli = await createCliNode(backend);
  });
  afterEach(async () => {
    await weir?.kill();
    weir = undefined;
    await cli.reset();
  });
  afterAll(() => cli.dispose());

  test('ends with 0 on SIGTERM, says that the rules stay, and they do', async () => {
    weir = await cli.start();
    const before = await cli.rules();
    expect(await weir.stop()).toEqual({ code: 0, signal: null });
    expect(weir.lines.at(-1)).toMatch(/ INFO {2}SIGTERM: stopping; the rules stay$/);
    expect(await cli.rules()).toBe(before);
  });

  describe('while a sync runs', () => {
    const restore = `iptables-${backend}-restore`;
    let tools: FaultyTools;

    beforeEach(async () => {
      tools = await FaultyTools.mount([restore]);
    });
    afterEach(() => tools.unmount());

    async function stopDuringSync(seconds: number): Promise<WeirProcess> {
      await tools.delay(restore, seconds);
      const running = new WeirProcess(cli.node.namespace, ['run', ...cli.flags]);
      await expect.poll(() => tools.isSpent(restore), { timeout: 20_000 }).toBe(true);
      running.signal('SIGTERM');
      await running.waitForLine(/SIGTERM: stopping/);
      return running;
    }

    test('SIGTERM lets it finish', async () => {
      weir = await stopDuringSync(1);
      expect(await weir.exited).toEqual({ code: 0, signal: null });
      expect((await cli.plan()).lines).toContain('IPv4: no change');
    });

    test('a second signal ends it at once', async () => {
      weir = await stopDuringSync(30);
      weir.signal('SIGTERM');
      expect(await weir.exited).toEqual({ code: 143, signal: null });
    });
  });

  test('writes nothing when it starts again', async () => {
    weir = await cli.start();
    await weir.stop();
    const before = await cli.rules();
    weir = await cli.start();
    await weir.stop();
    expect(weir.lines.filter((line) => line.includes('rules written'))).toEqual([]);
    expect(await cli.rules()).toBe(before);
  });

  test('repairs what somebody else deletes, and says so', async () => {
    weir = await cli.start();
    const before = await cli.rules();
    await cli.node.run(`iptables-${backend}`, ['-w', '5', '-t', 'nat', '-F', 'PREROUTING']);
    await weir.waitForLine(/WARN {2}IPv4 rules were changed by somebody else: repaired/);
    await weir.waitForLine(/IPv4 service rules written services=0/);
    await weir.stop();
    expect(await cli.rules()).toBe(before);
  });

  test('names both Services that claim one node port and one external IP', async () => {
    await cli.write('other.json', serviceObjects('another', 1));
    weir = await cli.start();
    await weir.stop();
    await rm(cli.path('other.json'));
    for (const what of ['TCP node port 30001', 'TCP 198.51.100.1:80', 'UDP 203.0.113.1:80']) {
      const lines = weir.lines.filter((line) => line.includes(`Service default/web: ${what} is not routed`));
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain('WARN');
      expect(lines[0]).toContain('default/another:');
    }
  });

  test('keeps what a folder gave when the folder goes away, and when a file breaks', async () => {
    weir = await cli.start();
    const before = await cli.rules();
    await cli.write('web.json', '{ "apiVersion": "v1", "kind": "Service", ');
    await weir.waitForLine(/ERROR .*web\.json:1:\d+: /);
    await cli.write('web.json', serviceObjects('web', 1));
    const aside = `${cli.folder}-aside`;
    await rename(cli.folder, aside);
    await weir.waitForLine(/WARN .*what was read before stays in effect/);
    await mkdir(cli.folder);
    await rm(cli.folder, { recursive: true });
    await rename(aside, cli.folder);
    await weir.stop();
    expect(await cli.rules()).toBe(before);
  });

  test('writes nothing while a proxy answers on its port, and goes on when it is gone', async () => {
    await cli.node.listen({ protocol: 'tcp', port: 10_249 });
    const before = await cli.rules();
    try {
      weir = new WeirProcess(cli.node.namespace, ['run', ...cli.flags]);
      await weir.waitForLine(
        /ERROR another proxy \(port 10249 answers\) runs on this node: no Service rules are written/,
      );
      expect(await cli.rules()).toBe(before);
    } finally {
      await cli.node.stopAgent();
    }
    await weir.waitForLine(/ready: /);
  });

  test('one Weir at a time: the second waits for the first', async () => {
    const first = await cli.start();
    weir = new WeirProcess(cli.node.namespace, ['run', ...cli.flags]);
    await weir.waitForLine(/ERROR another Weir runs on this node/);
    expect(await first.stop()).toEqual({ code: 0, signal: null });
    await weir.waitForLine(/ready: /);
  });

  test('is stopped while it waits for another proxy', async () => {
    const first = await cli.start();
    weir = new WeirProcess(cli.node.namespace, ['run', ...cli.flags]);
    await weir.waitForLine(/ERROR another Weir runs on this node/);
    expect(await weir.stop()).toEqual({ code: 0, signal: null });
    await first.stop();
  });

  test('logs JSON for programs, one object a line', async () => {
    weir = await cli.start('--logging-format=json');
    await weir.stop();
    const records = weir.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(records).toContainEqual(
      expect.objectContaining({ level: 'info', msg: 'IPv4 service rules written', services: 1 }),
    );
  });

  test('says in one line that it needs to be root', async () => {
    const program = `${process.cwd()}/dist/weir.js`;
    const command = [process.execPath, program, 'run', ...cli.flags];
    const { exitCode, stderr } = await cli.node.runner.run({
      file: 'setpriv',
      args: ['--bounding-set', '-all', '--inh-caps', '-all', ...command],
      timeoutMs: 30_000,
    });
    expect(exitCode).toBe(1);
    const lines = stderr.trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /ERROR weir can't start: Weir must run as root, or with the capabilities NET_ADMIN/,
    );
  });

  test.each([
    [
      ['--manifests=/no/such/folder'],
      "can't read manifests from /no/such/folder: there is no such file or folder",
    ],
    [['--no-such-flag'], "unknown option '--no-such-flag' (--help lists all)"],
    [['--nodename=x'], "unknown option '--nodename=x' (Did you mean --node-name?)"],
    [['--cluster-cidr=10.0.0.010/8'], '--cluster-cidr: "10.0.0.010/8" is not a CIDR such as 10.244.0.0/16'],
  ])('%s ends with one line and exit code 1, and nothing is written', async (flags, line) => {
    const before = await cli.everything();
    expect(await cli.weir(['run', ...cli.flags, ...flags])).toMatchObject({
      code: 1,
      lines: [`error: ${line}`],
    });
    expect(await cli.everything()).toBe(before);
  });
});
