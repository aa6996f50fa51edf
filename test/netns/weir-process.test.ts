import { readFileSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { childrenOf } from '../support/process-facts.ts';
import { builtProgram, runWeir, WeirProcess } from '../support/weir-process.ts';
import { createWorld, type World } from '../support/world.ts';

const usable = capabilities.netns && capabilities.ipv6 && capabilities['iptables-nft'] && capabilities.ipset;
const manifest = 'apiVersion: v1\nkind: Node\nmetadata:\n  name: node\n';

describe.skipIf(!usable)('the built program', () => {
  let world: World;
  let manifests: string;

  beforeAll(async () => {
    world = await createWorld({ nodes: [{ name: 'node' }] });
    manifests = await mkdtemp(join(tmpdir(), 'weir-manifests-'));
    await writeFile(join(manifests, 'node.yaml'), manifest);
  });
  afterAll(async () => {
    await world.dispose();
    await rm(manifests, { recursive: true, force: true });
  });

  test('writes rules in its namespace, ends with 0 on SIGTERM and leaves them there', async () => {
    const weir = new WeirProcess(world.node.namespace, [
      'run',
      '--manifests',
      manifests,
      '--node-name',
      'node',
    ]);
    await weir.waitForLine(/ready/);
    expect(await weir.stop()).toEqual({ code: 0, signal: null });
    const { stdout } = await world.node.run('iptables-nft-save', ['-t', 'nat']);
    expect(stdout).toMatch(/^-A PREROUTING .*-j KUBE-SERVICES$/m);
  });

  describe('takes the flags that keep its memory small', () => {
    const [node = '', program = ''] = builtProgram;
    let link: string;

    beforeAll(async () => {
      link = join(manifests, 'weir');
      await symlink(program, link);
    });

    function wordsOf(pid: number, file: 'cmdline' | 'environ'): readonly string[] {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0');
    }

    test.each<[string, () => readonly string[], Readonly<Record<string, string>>]>([
      ['by its name', () => [program], {}],
      ['through a link', () => [link], {}],
      ['by Node.js', () => [node, program], {}],
      ['by Node.js with a flag of its own', () => [node, '--enable-source-maps', program], {}],
      ['by Node.js through a link', () => [node, link], { NODE_OPTIONS: '--no-warnings' }],
      ['by a shell that becomes it', () => ['sh', '-c', 'exec "$@"', 'sh', node, program], {}],
    ])('when it is started %s, in the same process', async (_way, command, environment) => {
      const weir = new WeirProcess(
        world.node.namespace,
        ['run', '--manifests', manifests, '--node-name', 'node'],
        environment,
        command(),
      );
      await weir.waitForLine(/ready/);
      expect(wordsOf(weir.pid, 'cmdline')).toContain('--max-semi-space-size=4');
      expect(wordsOf(weir.pid, 'environ')).toContain('MALLOC_ARENA_MAX=1');
      expect(await weir.stop()).toEqual({ code: 0, signal: null });
    });

    test('when it is started by a program that stays', async () => {
      const weir = new WeirProcess(
        world.node.namespace,
        ['run', '--manifests', manifests, '--node-name', 'node'],
        {},
        ['sh', '-c', '"$@"; exit $?', 'sh', ...builtProgram],
      );
      await weir.waitForLine(/ready/);
      const [pid = 0] = childrenOf(weir.pid);
      expect(wordsOf(pid, 'cmdline')).toContain('--max-semi-space-size=4');
      expect(wordsOf(pid, 'environ')).toContain('MALLOC_ARENA_MAX=1');
      process.kill(pid, 'SIGTERM');
      expect(await weir.exited).toEqual({ code: 0, signal: null });
    });
  });

  test('answers a flag it does not know with one line and exit code 1', async () => {
    const { code, lines } = await runWeir(world.node.namespace, ['run', '--no-such-flag']);
    expect(code).toBe(1);
    expect(lines).toHaveLength(1);
  });
});
