import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { type CliNode, createCliNode } from '../support/cli-node.ts';
import { kubeadmConfig } from '../support/kubeadm-config.ts';
import { WeirProcess } from '../support/weir-process.ts';

const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset && capabilities['iptables-nft'];

describe.skipIf(!usable)('weir with --config', () => {
  let cli: CliNode;
  let weir: WeirProcess | undefined;
  let flags: readonly string[];

  beforeAll(async () => {
    cli = await createCliNode('nft');
    // Manifests end in .yaml or .json; so this is none.
    await cli.write('config.conf', kubeadmConfig.replace('10.244.0.0/16', '10.244.0.0/16,fd00:10:244::/48'));
    flags = [`--config=${cli.path('config.conf')}`, `--manifests=${cli.folder}`, '--hostname-override=Node'];
  });
  afterEach(async () => {
    await weir?.kill();
    weir = undefined;
    await cli.reset();
  });
  afterAll(() => cli.dispose());

  test("run and plan take kubeadm's file, and mean the same as with the flags", async () => {
    const all = [...flags, '--iptables-backend=nft'];
    weir = new WeirProcess(cli.node.namespace, ['run', ...all]);
    await weir.waitForLine(/ready: /);
    await weir.stop();
    const noChange = { code: 0, lines: ['IPv4: no change', 'IPv6: no change'] };
    expect(await cli.weir(['plan', ...all])).toMatchObject(noChange);
    expect(await cli.plan()).toMatchObject(noChange);
  });

  test('config prints what run and plan read again', async () => {
    const printed = await cli.weir(['config', ...flags, '--iptables-backend=nft']);
    expect(printed.code).toBe(0);
    await cli.write('printed.conf', `${printed.lines.join('\n')}\n`);
    const again = await cli.weir(['config', `--config=${cli.path('printed.conf')}`]);
    expect(again).toMatchObject({ code: 0, lines: printed.lines });
  });

  test('says all that is wrong, a line each with its place, and exits with 1', async () => {
    const lines = ['mode: userspace', 'iptables:', '  masqueradeBit: 32', '  foo: 1', ''];
    const head = ['apiVersion: kubeproxy.config.k8s.io/v1alpha1', 'kind: KubeProxyConfiguration'];
    await cli.write('bad.conf', [...head, ...lines].join('\n'));
    for (const command of ['config', 'run', 'plan']) {
      const exit = await cli.weir([command, `--config=${cli.path('bad.conf')}`, '--node-name=node']);
      expect(exit).toMatchObject({
        code: 1,
        lines: [
          `error: ${cli.path('bad.conf')}:3:7: mode: "userspace" is not one of iptables, ipvs, nftables`,
          `error: ${cli.path('bad.conf')}:5:18: iptables.masqueradeBit: 32 is not a number from 0 to 31`,
        ],
      });
    }
  });
});
