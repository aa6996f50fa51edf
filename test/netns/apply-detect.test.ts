import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DetectedTools, detectBackend } from '../../pkg/apply/index.ts';
import { createCommandRunner } from '../../pkg/runtime/index.ts';
import { capabilities } from '../support/capabilities.ts';
import { inNamespace } from '../support/in-namespace.ts';

const namespace = 'weir-detect';
const outside = createCommandRunner();
const commands = inNamespace(outside, namespace);

async function inside(file: string, ...args: readonly string[]): Promise<string> {
  const result = await commands.run({ file, args, timeoutMs: 10_000, captureOutput: true });
  if (result.exitCode !== 0) throw new Error(`${file} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

beforeEach(() => outside.run({ file: 'ip', args: ['netns', 'add', namespace], timeoutMs: 10_000 }));
afterEach(() => outside.run({ file: 'ip', args: ['netns', 'del', namespace], timeoutMs: 10_000 }));

const able =
  capabilities.netns &&
  capabilities.ipset &&
  capabilities.ipv6 &&
  capabilities['iptables-legacy'] &&
  capabilities['iptables-nft'];

function detect(): Promise<DetectedTools> {
  return detectBackend({ commands, choice: 'auto' });
}

describe.skipIf(!able)('the backend of a node', () => {
  test('is nf_tables where nobody has written anything, for both families', async () => {
    const detected = await detect();
    expect(detected).toMatchObject({ backend: 'nft', warnings: [] });
    expect(detected.families.map((tools) => tools.family)).toEqual(['IPv4', 'IPv6']);
  });

  test.each(['iptables-legacy', 'ip6tables-legacy'])('is legacy where the kubelet used %s', async (tool) => {
    await inside(tool, '-t', 'mangle', '-N', 'KUBE-KUBELET-CANARY');
    expect(await detect()).toMatchObject({ backend: 'legacy', warnings: [] });
  });

  test.each(['iptables-nft', 'ip6tables-nft'])('is nf_tables where the kubelet used %s', async (tool) => {
    await inside(tool, '-t', 'mangle', '-N', 'KUBE-IPTABLES-HINT');
    await inside('iptables-legacy', '-N', 'KUBE-SERVICES');
    const detected = await detect();
    expect(detected.backend).toBe('nft');
    expect(detected.warnings).toEqual([
      expect.stringContaining('both iptables backends hold Kubernetes rules'),
    ]);
  });

  test('is found without creating a table', async () => {
    const before = [await inside('nft', 'list', 'ruleset'), await inside('cat', '/proc/net/ip_tables_names')];
    await detect();
    expect([
      await inside('nft', 'list', 'ruleset'),
      await inside('cat', '/proc/net/ip_tables_names'),
    ]).toEqual(before);
  });
});
