import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { runWeir, WeirProcess } from '../support/weir-process.ts';
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

  test('answers a flag it does not know with one line and exit code 1', async () => {
    const { code, lines } = await runWeir(world.node.namespace, ['run', '--no-such-flag']);
    expect(code).toBe(1);
    expect(lines).toHaveLength(1);
  });
});
