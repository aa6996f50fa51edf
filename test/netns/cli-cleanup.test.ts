import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { type CliNode, createCliNode } from '../support/cli-node.ts';
import { kubeProxyJumps, kubeProxySync } from '../support/kube-proxy-rules.ts';

const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset;
const backends = (['legacy', 'nft'] as const).filter((backend) => capabilities[`iptables-${backend}`]);

/** Chains of kubelet's and somebody else's, which are there before Weir comes. */
const foreignRules = [
  '*filter',
  ':MINE - [0:0]',
  '-A INPUT -j MINE',
  '-A MINE -p tcp -m tcp --dport 9999 -j DROP',
  'COMMIT',
  '*nat',
  ':MINE - [0:0]',
  '-A MINE -j RETURN',
  'COMMIT',
  '',
].join('\n');

describe.skipIf(!usable).each(backends)('weir cleanup on %s', (backend) => {
  let cli: CliNode;

  beforeAll(async () => {
    cli = await createCliNode(backend);
  });
  afterEach(() => cli.reset());
  afterAll(() => cli.dispose());

  test('removes what Weir wrote, says what, and leaves what others wrote', async () => {
    await cli.restore(foreignRules);
    const weir = await cli.start('--iptables-localhost-nodeports=false');
    await weir.stop();
    const { code, lines } = await cli.cleanup();
    expect(code).toBe(0);
    expect(lines).toContainEqual(
      expect.stringMatching(/^IPv4 \(\w+\): removed \d+ jumps, \d+ chains, \d+ sets$/),
    );
    expect(lines).toContainEqual(
      expect.stringMatching(/^IPv6 \(\w+\): removed \d+ jumps, \d+ chains, \d+ sets$/),
    );
    expect(lines).toContain('  chain nat KUBE-SERVICES');
    expect(lines).toContain('  set WEIR-6-HAIRPIN');
    const left = await cli.rules();
    expect(left).not.toMatch(/KUBE|WEIR/);
    expect(left.match(/^-A .*$/gm)).toEqual(
      backend === 'nft'
        ? ['-A INPUT -j MINE', '-A MINE -p tcp -m tcp --dport 9999 -j DROP', '-A MINE -j RETURN']
        : ['-A MINE -j RETURN', '-A INPUT -j MINE', '-A MINE -p tcp -m tcp --dport 9999 -j DROP'],
    );
  });

  test('keeps the guard of the loopback addresses, which kubelet writes, too', async () => {
    const weir = await cli.start();
    await weir.stop();
    await cli.cleanup();
    const left = (await cli.rules()).match(/^.*(KUBE|WEIR).*$/gm) ?? [];
    expect(left.filter((line) => !line.includes('KUBE-FIREWALL'))).toEqual([]);
    expect(left).toContainEqual(
      expect.stringMatching(/^-A KUBE-FIREWALL ! -s 127\.0\.0\.0\/8 -d 127\.0\.0\.0\/8 .*-j DROP$/),
    );
  });

  test('does all it can where others refer to what is theirs to remove, and names them', async () => {
    const tool = `iptables-${backend}`;
    const foreign = [
      '*mangle',
      '-A PREROUTING -m set --match-set WEIR-4-CLUSTER-IPS dst,dst -j ACCEPT',
      'COMMIT',
      '*nat',
      ':THEIRS - [0:0]',
      '-A THEIRS -s 192.0.2.0/24 -j KUBE-SERVICES',
      '-A PREROUTING -s 192.0.2.7/32 -j KUBE-SERVICES',
      'COMMIT',
      '*filter',
      ':THEIRS - [0:0]',
      '-A THEIRS -m set --match-set WEIR-4-HAIRPIN src,dst,dst -j ACCEPT',
      'COMMIT',
      '',
    ].join('\n');
    const weir = await cli.start('--iptables-localhost-nodeports=false');
    await weir.stop();
    await cli.restore(foreign);
    await cli.node.run('ipset', ['create', 'LIST', 'list:set']);
    await cli.node.run('ipset', ['add', 'LIST', 'WEIR-6-HAIRPIN']);
    try {
      const { code, lines } = await cli.cleanup();
      expect(code).toBe(2);
      const report = lines.filter((line) => !/^ {2}(?:jump|set|chain) \S+(?: \S+)?(?::.*)?$/.test(line));
      expect(report).toEqual([
        expect.stringMatching(/^IPv4 \(\w+\): removed \d+ jumps, \d+ chains, \d+ sets$/),
        'IPv4: not removed, because others refer to it:',
        '  chain nat KUBE-SERVICES, emptied',
        '    nat THEIRS has: -s 192.0.2.0/24 -j KUBE-SERVICES',
        `      remove it with: ${tool} -t nat -D THEIRS -s 192.0.2.0/24 -j KUBE-SERVICES`,
        '    nat PREROUTING has: -s 192.0.2.7/32 -j KUBE-SERVICES',
        `      remove it with: ${tool} -t nat -D PREROUTING -s 192.0.2.7/32 -j KUBE-SERVICES`,
        '    filter THEIRS has: -m set --match-set WEIR-4-HAIRPIN src,dst,dst -j ACCEPT',
        `      remove it with: ${tool} -t filter -D THEIRS -m set --match-set WEIR-4-HAIRPIN src,dst,dst -j ACCEPT`,
        '    mangle PREROUTING has: -m set --match-set WEIR-4-CLUSTER-IPS dst,dst -j ACCEPT',
        `      remove it with: ${tool} -t mangle -D PREROUTING -m set --match-set WEIR-4-CLUSTER-IPS dst,dst -j ACCEPT`,
        '  Remove these references, then run weir cleanup again.',
        expect.stringMatching(/^IPv6 \(\w+\): removed \d+ jumps, \d+ chains, \d+ sets$/),
        'IPv6: not removed, because others refer to it:',
        '    set LIST has it as a member; remove it with: ipset del LIST WEIR-6-HAIRPIN',
        '  Remove these references, then run weir cleanup again.',
      ]);
      const left = await cli.rules();
      expect(left.match(/^[-:].*KUBE-.*$/gm)?.toSorted()).toEqual([
        '-A PREROUTING -s 192.0.2.7/32 -j KUBE-SERVICES',
        '-A THEIRS -s 192.0.2.0/24 -j KUBE-SERVICES',
        ':KUBE-SERVICES - [0:0]',
      ]);
      expect(left.match(/^create WEIR-\S+/gm)?.toSorted()).toEqual([
        'create WEIR-4-CLUSTER-IPS',
        'create WEIR-4-HAIRPIN',
        'create WEIR-6-HAIRPIN',
      ]);
      // What it says does it.
      for (const line of lines) {
        const [command, ...words] = /remove it with: (.*)$/.exec(line)?.[1]?.split(' ') ?? [];
        if (command !== undefined) await cli.node.run(command, words);
      }
      expect(await cli.cleanup()).toMatchObject({ code: 0 });
      expect(await cli.rules()).not.toMatch(/KUBE|WEIR/);
    } finally {
      await cli.node.run(tool, ['-t', 'mangle', '-F']);
      await cli.node.run('ipset', ['destroy', 'LIST']);
    }
  });

  test('has nothing to do the second time', async () => {
    const weir = await cli.start();
    await weir.stop();
    await cli.cleanup();
    const before = await cli.rules();
    const { code, lines } = await cli.cleanup();
    expect(code).toBe(0);
    expect(lines).toEqual([
      expect.stringMatching(/^IPv4 \(\w+\): nothing to remove$/),
      expect.stringMatching(/^IPv6 \(\w+\): nothing to remove$/),
    ]);
    expect(await cli.rules()).toBe(before);
  });

  test('counts what would be a long list', async () => {
    const many = Array.from(
      { length: 60 },
      (_, index) => `:KUBE-SVC-${String(index).padStart(16, 'A')} - [0:0]`,
    );
    await cli.restore(['*nat', ...many, 'COMMIT', ''].join('\n'));
    const { lines } = await cli.cleanup();
    expect(lines.filter((line) => line.startsWith('  chain nat'))).toHaveLength(30);
    expect(lines).toContain('  … and 30 more chains');
  });

  test('refuses while another Weir runs, unless it is forced', async () => {
    const weir = await cli.start();
    const before = await cli.rules();
    expect(await cli.cleanup()).toMatchObject({
      code: 1,
      lines: [expect.stringMatching(/^error: Weir runs on this node .*--force$/)],
    });
    expect(await cli.rules()).toBe(before);
    await weir.kill();
    expect(await cli.cleanup('--force')).toMatchObject({ code: 0 });
  });

  test("refuses while a proxy answers on its port, unless only what is Weir's goes", async () => {
    const weir = await cli.start();
    await weir.stop();
    const before = await cli.rules();
    await cli.node.listen({ protocol: 'tcp', port: 10_256 });
    try {
      expect(await cli.cleanup()).toMatchObject({
        code: 1,
        lines: [
          expect.stringMatching(/^error: another proxy runs on this node \(port 10256 answers\).*--force$/),
        ],
      });
      expect(await cli.rules()).toBe(before);
      expect(await cli.cleanup('--force=true')).toMatchObject({ code: 0 });
    } finally {
      await cli.node.stopAgent();
    }
  });

  test("hands back: after kube-proxy wrote its rules, Weir's own go and every KUBE- chain stays", async () => {
    const weir = await cli.start();
    await weir.stop();
    await writeAsKubeProxy(cli, backend);
    const kubeLines = (text: string): readonly string[] => text.match(/^[-:].*KUBE-.*$/gm) ?? [];
    const before = kubeLines(await cli.rules());
    const { code, lines } = await cli.cleanup('--hand-back');
    expect({ code, lines }).toMatchObject({ code: 0 });
    expect(lines).toContainEqual(expect.stringMatching(/^IPv4 \(\w+\): removed \d+ sets$/));
    const after = await cli.rules();
    expect(kubeLines(after)).toEqual(before);
    expect(after).not.toContain('WEIR-');
    expect((await cli.cleanup('--hand-back')).lines).toContainEqual(
      expect.stringContaining('nothing to remove'),
    );
  });

  test('does not hand back before kube-proxy wrote its rules, and says so', async () => {
    await cli.restore(kubeProxyJumps());
    const weir = await cli.start();
    await weir.stop();
    const before = await cli.rules();
    expect(await cli.cleanup('--hand-back')).toMatchObject({
      code: 1,
      lines: [expect.stringMatching(/^error: IPv4 rules are still Weir's .*wait for its first sync/)],
    });
    expect(await cli.rules()).toBe(before);
  });
});

/** What kube-proxy writes in its first sync when it has no Services: its own rules, and Weir's chains go as stale ones. */
async function writeAsKubeProxy(cli: CliNode, backend: string): Promise<void> {
  for (const [family, program] of [
    ['IPv4', 'iptables'],
    ['IPv6', 'ip6tables'],
  ] as const) {
    const { stdout } = await cli.node.run(`${program}-${backend}-save`, ['-t', 'nat']);
    const existingNatChains = [...stdout.matchAll(/^:(KUBE-\S+) /gm)].map((match) => match[1] ?? '');
    const input = kubeProxySync([], { family, existingNatChains });
    await cli.node.run(`${program}-${backend}-restore`, ['--noflush'], { input });
  }
}
