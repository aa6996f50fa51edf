import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { type CliNode, createCliNode, serviceObjects } from '../support/cli-node.ts';
import { podManifest, policyManifest } from '../support/policy-manifests.ts';
import { frontendsOf } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset;
const backends = (['legacy', 'nft'] as const).filter((backend) => capabilities[`iptables-${backend}`]);
const patience = { timeout: 60_000, interval: 200 };

describe.skipIf(!usable).each(backends)('rules of others that refer to what is Weir’s, on %s', (backend) => {
  let cli: CliNode;
  let weir: WeirProcess;

  beforeAll(async () => {
    cli = await createCliNode(backend);
    await cli.write('other.json', serviceObjects('other', 2));
    const ipBlock = { cidr: '198.51.100.0/24', except: ['198.51.100.7/32'] };
    await cli.write('pod.json', [
      podManifest({ name: 'closed', node: 'node', addresses: ['10.244.1.20', 'fd00:10:244:1::14'] }),
    ]);
    await cli.write('policy.json', [
      policyManifest('block', {
        podSelector: {},
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ ipBlock }] }],
      }),
    ]);
    weir = await cli.start();
  });
  afterEach(() => cli.restore('*mangle\n-F PREROUTING\nCOMMIT\n'));
  afterAll(() => cli.dispose());

  async function linesOf(chain: string, table: string): Promise<readonly string[]> {
    const { stdout } = await cli.node.run(`iptables-${backend}`, ['-w', '5', '-t', table, '-S', chain]);
    return stdout
      .trim()
      .split('\n')
      .filter((line) => line.startsWith('-A'));
  }

  test('a way of their own into a chain is theirs: it is no difference, and stays when Weir repairs its own', async () => {
    const theirs = [
      '-A PREROUTING -s 192.0.2.7/32 -j KUBE-SERVICES',
      '-A PREROUTING -i theirs0 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      '-A PREROUTING -j KUBE-SERVICES',
    ];
    await cli.restore(['*nat', ...theirs, 'COMMIT', ''].join('\n'));
    expect((await cli.plan()).lines).toEqual(['IPv4: no change', 'IPv6: no change']);
    const [ours = '', ...behind] = await linesOf('PREROUTING', 'nat');
    expect(behind).toEqual(theirs);
    const from = weir.lines.length;
    // Its own is gone, and there twice in OUTPUT.
    const duplicate = ours.replace('-A PREROUTING', '-A OUTPUT');
    await cli.restore(['*nat', ours.replace('-A', '-D'), duplicate, 'COMMIT', ''].join('\n'));
    await weir.waitForLine(/rules were changed by somebody else: repaired.*nat PREROUTING/, { from });
    await expect.poll(() => linesOf('PREROUTING', 'nat'), patience).toEqual([ours, ...theirs]);
    await expect
      .poll(async () => (await cli.plan()).lines, patience)
      .toEqual(['IPv4: no change', 'IPv6: no change']);
  });

  test('a chain or a set that they hold does not keep Weir from writing, and is named', async () => {
    const clusterIP = (number: number): string => frontendsOf(number, 'IPv4').clusterIP;
    const leads = new RegExp(`-d ${clusterIP(2)}/32 .*-j (KUBE-SVC-[A-Z2-7]{16})$`, 'm');
    const [, service = ''] = leads.exec(await cli.rules()) ?? [];
    const [blocks = ''] = (await cli.rules()).match(/WEIR-4-NETS-\S+/) ?? [];
    const rules = [
      '*mangle',
      `-A PREROUTING -m set --match-set ${blocks} src -j ACCEPT`,
      'COMMIT',
      '*nat',
      ':THEIRS - [0:0]',
      `-A THEIRS -s 192.0.2.0/24 -j ${service}`,
      'COMMIT',
      '',
    ];
    await cli.restore(rules.join('\n'));
    const from = weir.lines.length;
    await cli.write('other.json', []);
    await cli.write('policy.json', []);
    expect(await weir.waitForLine(/can not be removed/, { from })).toContain(`set ${blocks} `);
    expect(await weir.waitForLine(/because nat THEIRS refers to it/, { from })).toContain(
      `chain nat ${service} was emptied`,
    );
    expect(await linesOf(service, 'nat')).toEqual([]);
    await cli.write('other.json', serviceObjects('third', 3));
    await expect.poll(() => cli.rules(), patience).toContain(`-d ${clusterIP(3)}/32 `);
  });
});
