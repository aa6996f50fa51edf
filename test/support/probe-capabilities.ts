import type { Command, CommandRunner } from '../../pkg/runtime/index.ts';
import type { CapabilityName } from './capability-names.ts';
import { conformanceFile } from './conformance-file.ts';
import { sandboxVariable } from './sandbox.ts';

/** Capabilities that are not there, each with the reason, for people. */
export type MissingCapabilities = Readonly<Partial<Record<CapabilityName, string>>>;

/**
 * Tries each capability where it leaves nothing behind: in a network namespace that ends with the probe. Outside a
 * sandbox everything that needs the kernel counts as missing, so that no test touches the machine's own network.
 */
export async function probeCapabilities(runner: CommandRunner): Promise<MissingCapabilities> {
  const missing: Partial<Record<CapabilityName, string>> = {};
  if (conformanceFile() === undefined) missing.conformance = 'the file with the policy cases is not there';
  const attempts = probes.map(async ([name, probe]) => {
    const reason = await attempt(runner, probe);
    if (reason !== undefined) missing[name] = reason;
  });
  await Promise.all(attempts);
  return missing;
}

async function attempt(
  runner: CommandRunner,
  probe: Omit<Command, 'timeoutMs'>,
): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'not root';
  if (process.env[sandboxVariable] === undefined)
    return 'not in namespaces of its own; start it through `npm test`';
  const args = ['--net', '--', probe.file, ...probe.args];
  const result = await runner.run({ ...probe, file: 'unshare', args, timeoutMs: 20_000 });
  if (result.exitCode === 0) return undefined;
  return result.stderr.trim().split('\n')[0] || (result.spawnError ?? `${probe.file} failed`);
}

const probes: readonly (readonly [Exclude<CapabilityName, 'conformance'>, Omit<Command, 'timeoutMs'>])[] = [
  ['root', { file: 'true', args: [] }],
  ['netns', shell('name=probe-$$; ip netns add $name && ip netns del $name')],
  ['iptables-legacy', shell(restoreBothFamilies('legacy'))],
  ['iptables-nft', shell(restoreBothFamilies('nft'))],
  ['nft', shell('nft add table ip probe')],
  ['ipset', shell('ipset create probe hash:ip,port,ip && ipset add probe 192.0.2.1,udp:53,192.0.2.1')],
  ['conntrack', shell('conntrack -L >/dev/null')],
  ['ipv6', shell('ip link set lo up && ip -6 address add fd00::1/128 dev lo')],
  [
    'bridge-netfilter',
    shell(
      'test -w /proc/sys/net/bridge/bridge-nf-call-iptables || { echo "needs: modprobe br_netfilter" >&2; exit 1; }',
    ),
  ],
  [
    'perl-raw',
    { file: 'perl', args: ['-MSocket', '-e', 'socket(my $s, AF_INET6, SOCK_RAW, 132) or die "$!\n"'] },
  ],
];

function shell(script: string): Omit<Command, 'timeoutMs'> {
  return { file: 'sh', args: ['-c', script] };
}

/** The rarer matches and targets that the rules use: a kernel may lack any of them. */
function restoreBothFamilies(backend: 'legacy' | 'nft'): string {
  const restore = (tool: string, family: string, to: string): string => `
ipset create ${family} hash:ip family ${family}
${tool}-${backend}-restore <<END
*filter
:PROBE - [0:0]
-A PROBE -m conntrack --ctstate DNAT -m set --match-set ${family} src -j REJECT
COMMIT
*nat
:PROBE - [0:0]
-A PROBE -p tcp -m statistic --mode random --probability 0.5 -m recent --set --name PROBE -j DNAT --to-destination ${to}
-A PROBE -m mark --mark 0x4000/0x4000 -m addrtype --dst-type LOCAL -j MASQUERADE --random-fully
COMMIT
END`;
  return `set -e${restore('iptables', 'inet', '192.0.2.1:80')}${restore('ip6tables', 'inet6', '[2001:db8::1]:80')}`;
}
