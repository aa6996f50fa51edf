import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import { type CliNode, createCliNode, serviceObjects } from '../support/cli-node.ts';
import { kubeProxyJumps, kubeProxySync } from '../support/kube-proxy-rules.ts';

const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset;
const backends = (['legacy', 'nft'] as const).filter((backend) => capabilities[`iptables-${backend}`]);

/** What kube-proxy has for one port of `default/web`, and for a Service that is not among the objects. */
const kubeProxyRules = kubeProxySync(
  [
    {
      id: 'default/web:tcp',
      protocol: 'tcp',
      clusterIP: '10.96.0.1',
      port: 80,
      endpoints: [{ address: '10.244.1.99', port: 8080 }],
    },
    {
      id: 'default/old',
      protocol: 'tcp',
      clusterIP: '10.96.0.77',
      port: 80,
      endpoints: [{ address: '10.244.1.9', port: 80 }],
    },
  ],
  { family: 'IPv4', clusterCidr: '10.244.0.0/16' },
);

describe.skipIf(!usable).each(backends)('weir plan on %s', (backend) => {
  let cli: CliNode;

  beforeAll(async () => {
    cli = await createCliNode(backend);
  });
  afterEach(() => cli.reset());
  afterAll(() => cli.dispose());

  test('tells what would come, with exit code 2, and leaves nothing behind on a fresh machine', async () => {
    const fresh = await createCliNode(backend);
    try {
      const before = await fresh.everything();
      const { code, lines } = await fresh.plan();
      expect(code).toBe(2);
      expect(lines).toContain('IPv4');
      expect(lines).toContainEqual(
        expect.stringMatching(/^ {2}\+ set WEIR-4-HAIRPIN \(hash:ip,port,ip\) {2}# for all Services$/),
      );
      expect(lines).toContainEqual(expect.stringMatching(/^ {2}\+ jump nat PREROUTING: .*\(missing\)$/));
      expect(lines).toContain('  Service default/web:tcp');
      expect(lines[0]).toMatch(/^IPv4: \d+ sets to create, .* chains to add, .* jumps to insert$/);
      expect(lines[1]).toBe('  Services to add: 1 (default/web)');
      expect(lines).toContainEqual(expect.stringMatching(/^IPv6: \d+ sets to create, /));
      expect(await fresh.everything()).toBe(before);
    } finally {
      await fresh.dispose();
    }
  });

  test('finds no difference after a sync, with exit code 0, and changes nothing', async () => {
    const weir = await cli.start();
    await weir.stop();
    const before = await cli.everything();
    const { code, lines } = await cli.plan();
    expect({ code, lines }).toEqual({ code: 0, lines: ['IPv4: no change', 'IPv6: no change'] });
    expect(await cli.everything()).toBe(before);
  });

  test('shows a changed rule under the name of its Service', async () => {
    const weir = await cli.start();
    await weir.stop();
    const [chain = ''] = /KUBE-SVC-[A-Z2-7]{16}/.exec(await cli.rules()) ?? [];
    await cli.node.run(`iptables-${backend}`, ['-w', '5', '-t', 'nat', '-F', chain]);
    const { code, lines } = await cli.plan();
    expect(code).toBe(2);
    const summary = [
      'IPv4: 1 chain to change',
      '  Services to change: 1 (default/web)',
      '  Service rules: 1 chain to change, 1 rule to add',
      'IPv6: no change',
    ];
    expect(lines).toEqual([
      ...summary,
      '',
      'IPv4',
      expect.stringMatching(/^ {2}Service default\/web:(tcp|udp|sctp)$/),
      expect.stringMatching(
        new RegExp(`^ {4}~ chain nat ${chain} {2}# Service default/web spec\\.ports \\((tcp|udp|sctp)\\)$`),
      ),
      expect.stringMatching(
        /^ {8}\+ -p (tcp|udp|sctp) -j DNAT --to-destination 10\.244\.1\.10:8080 {2}# EndpointSlice default\/web-ipv4-0 endpoints\.addresses \(10\.244\.1\.10\)$/,
      ),
    ]);
    expect(await cli.plan('--summary')).toMatchObject({ code: 2, lines: summary });
  });

  test('says what taking over from kube-proxy means, and changes nothing', async () => {
    await cli.restore(kubeProxyJumps());
    await cli.restore(kubeProxyRules);
    const before = await cli.everything();
    const { code, lines } = await cli.plan();
    const start = lines.findIndex((line) => line.includes('Takes over from kube-proxy'));
    expect(code).toBe(2);
    expect(lines).toContain('  Services to remove: 1 (default/old)');
    expect(lines.slice(start, start + 9)).toEqual([
      '  Takes over from kube-proxy: 0 of its 2 balancing chains keep their endpoints.',
      '  Other endpoints:',
      '    default/web:tcp: kube-proxy 10.244.1.99:8080; Weir 10.244.1.10:8080',
      '  Routed by kube-proxy only, and no longer with Weir:',
      '    default/old',
      '  Routed by Weir only:',
      '    default/web:sctp',
      '    default/web:udp',
      expect.stringMatching(/^IPv6: /),
    ]);
    expect(await cli.everything()).toBe(before);
  });

  test('compares with saved rules as with the kernel that they came from', async () => {
    await cli.restore(kubeProxyJumps());
    await cli.restore(kubeProxyRules);
    const programs = [`iptables-${backend}-save`, `ip6tables-${backend}-save`, 'ipset save'];
    const save = async (file: string, commands: readonly string[]): Promise<string> => {
      await cli.node.run('sh', ['-ec', `{ ${commands.join('; ')}; } > ${cli.path(file)}`]);
      return `--against=${cli.path(file)}`;
    };
    const oneFile = await save('all.rules', programs);
    const threeFiles = await Promise.all(programs.map((program, index) => save(`${index}.rules`, [program])));
    const running = await cli.plan();
    const ofKernel = running.lines.filter((line) => !line.startsWith('warning'));
    /** The first changes of IPv4; what is not in a saved file is not there. */
    const changes = (lines: readonly string[]): readonly string[] =>
      lines.slice(lines.indexOf('IPv4')).slice(0, 20);
    for (const flags of [[oneFile], threeFiles]) {
      const { code, lines } = await cli.plan(...flags);
      expect(code).toBe(2);
      expect(changes(lines)).toEqual(changes(ofKernel));
      expect(lines).toContain(
        '  Takes over from kube-proxy: 0 of its 2 balancing chains keep their endpoints.',
      );
    }
  });

  test('tells programs everything as JSON', async () => {
    const { code, lines } = await cli.plan('-o', 'json');
    const report: unknown = JSON.parse(lines.join('\n'));
    expect(code).toBe(2);
    expect(report).toMatchObject({
      changes: expect.any(Number) as number,
      families: [{ family: 'IPv4' }, { family: 'IPv6' }],
    });
    expect(JSON.stringify(report)).toContain('"owner":"default/web:udp"');
  });

  test('has no colours where there is no terminal', async () => {
    const { lines } = await cli.weir(['plan', ...cli.flags], { FORCE_COLOR: '1' });
    expect(lines.join('\n')).not.toContain('\u001b');
  });

  test('has colours on a terminal, unless NO_COLOR asks for none', async () => {
    const command = ['node', `${process.cwd()}/dist/weir.js`, 'plan', ...cli.flags].join(' ');
    const onTerminal = async (noColor: string): Promise<string> => {
      const script = `export TERM=xterm NO_COLOR=${noColor}; script -qec '${command.replace('node', process.execPath)}' /dev/null || true`;
      return (await cli.node.run('sh', ['-c', script])).stdout;
    };
    expect(await onTerminal('')).toContain('\u001b[');
    expect(await onTerminal('1')).not.toContain('\u001b[');
  });

  test('warns of a Node that is not among the objects, and of Services that claim the same port', async () => {
    await cli.write('other.json', serviceObjects('another', 1));
    const { lines } = await cli.plan('--node-name=nod');
    await cli.write('other.json', []);
    expect(lines).toContainEqual(
      "warning: Node nod: not among the objects (only node): without it Weir knows neither the node's zone nor its addresses and pod CIDRs",
    );
    const conflicts = lines.filter((line) => line.includes('TCP node port 30001'));
    expect(conflicts).toEqual([
      'warning: Service default/web: TCP node port 30001 is not routed to default/web:tcp: default/another:tcp has it already (the first by name keeps it)',
    ]);
  });

  test.each([
    ['--against=/no/such/file', '--against: /no/such/file does not exist'],
    ['--against=/dev/null', '--against: /dev/null has no rules of iptables-save'],
    [
      '--manifests=/no/such/folder',
      "can't read manifests from /no/such/folder: there is no such file or folder",
    ],
    ['--output=yaml', '--output: "yaml" is not one of text, json'],
  ])('%s ends with one line and exit code 1', async (flag, line) => {
    expect(await cli.plan(flag)).toMatchObject({ code: 1, lines: [`error: ${line}`] });
  });
});
