import { type Command, Option } from 'commander';
import { inertFlags } from '../../pkg/config/index.ts';

/** Flag as commander reads it, default as the help shows it (the configuration fills it in), and what it means. */
type Flag = readonly [flags: string, shownDefault: string | undefined, text: string];

function partsFlag(text: string): Flag {
  return ['--parts <parts>', 'policies,services', text];
}

/** On these the rules depend, with kube-proxy's names where kube-proxy has the flag; the same for run, config and plan. */
const ruleFlags: readonly Flag[] = [
  [
    '--config <path>',
    "''",
    "File with a KubeProxyConfiguration, such as kubeadm's config.conf, a WeirConfiguration, or both. Beside it the flags that kube-proxy has do not count, but for --hostname-override, --master, --init-only, --logging-format and -v; those that only Weir has override the file.",
  ],
  [
    '--kubeconfig <path>',
    "''",
    "File with the API server's address and the credentials for it. Without it and --master those of the pod's service account.",
  ],
  ['--master <url>', "''", 'URL of the API server, in place of what --kubeconfig says.'],
  [
    '--manifests <path>',
    undefined,
    'File or folder of YAML or JSON with the objects of the cluster, such as the output of "kubectl get services,endpointslices,pods,nodes -A -o yaml". Without it the API server is asked.',
  ],
  partsFlag(
    'What Weir has to do with on this node: policies, services or both, separated by commas. The rest is left alone, for a kube-proxy or another policy enforcer beside Weir.',
  ),
  [
    '--node-name <name>',
    undefined,
    'Name of the Node that this machine is. Required with --manifests; else the name of the machine will do.',
  ],
  ['--hostname-override <name>', undefined, "kube-proxy's name for --node-name."],
  [
    '--bind-address <address>',
    '0.0.0.0',
    "Overrides the node's primary address, and with it the family that comes first. Nothing is bound to it.",
  ],
  [
    '--proxy-mode <mode>',
    'iptables',
    "iptables. With ipvs or nftables Weir goes by that mode's settings, warns, and routes with iptables rules.",
  ],
  [
    '--cluster-cidr <cidrs>',
    "''",
    'CIDR of the pods of the cluster; with a comma, one for each family. Clients outside it are masqueraded on their way to a cluster IP.',
  ],
  [
    '--detect-local-mode <mode>',
    'ClusterCIDR',
    'How pods are told from other clients: ClusterCIDR (by --cluster-cidr), NodeCIDR (by the podCIDRs of the Node), BridgeInterface or InterfaceNamePrefix.',
  ],
  [
    '--pod-bridge-interface <name>',
    "''",
    'Bridge to which the pods are connected. For --detect-local-mode=BridgeInterface.',
  ],
  [
    '--pod-interface-name-prefix <prefix>',
    "''",
    "What the names of the pods' interfaces begin with. For --detect-local-mode=InterfaceNamePrefix.",
  ],
  [
    '--nodeport-addresses <cidrs>',
    "''",
    'Node ports answer on those addresses of the node that are in these CIDRs (separated by commas). The word primary stands for the addresses of the Node object, localhost for 127.0.0.0/8 and ::1/128, all for every address. Empty: all.',
  ],
  ['--masquerade-all [boolean]', 'false', 'Masquerade everything that goes to a cluster IP.'],
  [
    '--iptables-masquerade-bit <bit>',
    '14',
    'Bit of the packet mark, from 0 to 31, that says that a packet is to be masqueraded.',
  ],
  [
    '--iptables-localhost-nodeports [boolean]',
    'true',
    'Node ports answer on 127.0.0.1, too. Sets net.ipv4.conf.all.route_localnet.',
  ],
  [
    '--iptables-backend <backend>',
    'auto',
    'legacy, nft, or auto: the one that the rest of the node uses already.',
  ],
  [
    '--conntrack-tcp-be-liberal [boolean]',
    'false',
    'Let TCP packets outside the window pass instead of dropping them. Sets net.netfilter.nf_conntrack_tcp_be_liberal.',
  ],
  [
    '--policy-deny <how>',
    'drop',
    'What a pod that a NetworkPolicy closes does with a connection: drop (silence) or reject (an answer at once).',
  ],
  [
    '--policy-established <what>',
    'keep',
    'What becomes of open connections that a change of policies forbids: keep, or cut them at once.',
  ],
  [
    '--policy-closed-start <mode>',
    'known',
    "Whether addresses of this node's pod range are closed while no known pod owns them: off, known (once a policy exists), or boot (also between the start of the node and that of Weir).",
  ],
  [
    '--local-pod-cidrs <cidrs>',
    "''",
    'Pod range of this node, for --policy-closed-start, where the Node object has no podCIDRs.',
  ],
  [
    '--cni-cache-dir <path>',
    undefined,
    'Where the container runtime keeps the results of CNI, from which Weir learns new pods before the API shows their addresses. Defaults to /var/lib/cni and /var/lib/cni/cache; with --against, to none.',
  ],
];

/** The rest of what `run` takes. */
const runFlags: readonly Flag[] = [
  [
    '--init-only [boolean]',
    'false',
    'Do what needs full privileges (sysctls, bridges, the guard of --policy-closed-start=boot), and end. For an init container.',
  ],
  [
    '--cleanup [boolean]',
    'false',
    "Remove Weir's rules and sets from the kernel, and end: weir cleanup, under kube-proxy's name.",
  ],
  [
    '--write-config-to <path>',
    "''",
    'Write the effective configuration to this file, and end: weir config, into a file.',
  ],
  [
    '--iptables-sync-period <duration>',
    '30s',
    'How often sets, and all rules where any may have changed, are compared with what should be there, such as 30s or 1m. Less often where reading is slow.',
  ],
  [
    '--iptables-min-sync-period <duration>',
    undefined,
    'Shortest time between two syncs. Without it Weir goes by how long a sync takes.',
  ],
  [
    '--healthz-bind-address <address>',
    '0.0.0.0:10256',
    'IP address and port of the health server. Without a port: 10256, or 10356 where Services are not among --parts.',
  ],
  ['--healthz-port <port>', '10256', 'Deprecated: --healthz-bind-address. 0: no health server.'],
  [
    '--metrics-bind-address <address>',
    '127.0.0.1:10249',
    'IP address and port of the metrics server. Without a port: 10249, or 10349 where Services are not among --parts.',
  ],
  ['--metrics-port <port>', '10249', 'Deprecated: --metrics-bind-address. 0: no metrics server.'],
  [
    '--bind-address-hard-fail [boolean]',
    'false',
    'End when the health or the metrics server can not listen, instead of trying again.',
  ],
  [
    '--oom-score-adj <number>',
    '-999',
    "The process's oom_score_adj, from -1000 to 1000: the lower, the later it is killed for want of memory.",
  ],
  [
    '--conntrack-max-per-core <number>',
    '32768',
    'Connections that the kernel tracks, for each core. Sets net.netfilter.nf_conntrack_max. 0: leave it, whatever --conntrack-min says.',
  ],
  ['--conntrack-min <number>', '131072', 'Connections that the kernel tracks at least.'],
  [
    '--conntrack-tcp-timeout-established <duration>',
    '24h',
    'How long an idle TCP connection is remembered. 0: leave it.',
  ],
  [
    '--conntrack-tcp-timeout-close-wait <duration>',
    '1h',
    'How long a half-closed TCP connection is remembered. 0: leave it.',
  ],
  ['--conntrack-udp-timeout <duration>', '0s', 'How long UDP without an answer is remembered. 0: leave it.'],
  [
    '--conntrack-udp-timeout-stream <duration>',
    '0s',
    'How long UDP that was answered is remembered. 0: leave it.',
  ],
  [
    '--state-dir <path>',
    '/var/lib/weir',
    'Where --policy-closed-start=boot keeps what it needs at the next start of the node.',
  ],
  ['--logging-format <format>', 'text', 'text for people, json for programs.'],
  ['-v, --v <level>', '0', 'From 1 on the log tells more.'],
];

/** Also for `config`, so that it takes the arguments of a `run` as they are. */
export function addRunFlags(command: Command): Command {
  addFlags(command, [...ruleFlags, ...runFlags]);
  for (const { key, isBoolean, why } of inertFlags) {
    const name = key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    command.addOption(new Option(`--${name} ${isBoolean ? '[boolean]' : '<value>'}`, why).hideHelp());
  }
  return command;
}

export function addPlanFlags(command: Command): Command {
  return addFlags(command, [
    ...ruleFlags,
    ['-o, --output <format>', 'text', 'text for people, json for programs.'],
    [
      '--summary [boolean]',
      'false',
      'Print the summary alone: how many Services, policies, pods, chains, rules and set members differ, and the first of their names.',
    ],
    [
      '--against <file...>',
      '[]',
      'Compare with saved rules instead of the kernel: files with the output of iptables-save, ip6tables-save, ipset save and nft list tables, one or several of them in each.',
    ],
  ]);
}

export function addCleanupFlags(command: Command): Command {
  return addFlags(command, [
    [
      '--hand-back [boolean]',
      'false',
      "Remove only what is Weir's own, and leave every KUBE- chain to kube-proxy. For after kube-proxy's first sync.",
    ],
    partsFlag('Whose rules are removed: policies, services or both, separated by commas.'),
    ['--force [boolean]', 'false', 'Also while Weir or another proxy runs on this node.'],
    [
      '--iptables-backend <backend>',
      'auto',
      'legacy, nft, or auto: the one that the rest of the node uses already.',
    ],
  ]);
}

function addFlags(command: Command, flags: readonly Flag[]): Command {
  for (const [name, shownDefault, text] of flags) {
    const option = new Option(name, text).default(undefined, shownDefault);
    if (option.short !== undefined) option.argParser(withoutEqualsSign);
    if (option.name() === 'node-name') option.conflicts('hostnameOverride');
    command.addOption(option);
  }
  return command;
}

/** `-v=2`, as Go programs take it, comes as `=2`. */
function withoutEqualsSign(value: string): string {
  return value.startsWith('=') ? value.slice(1) : value;
}
