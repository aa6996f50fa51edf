import { type Command, Option } from 'commander';
import type { Flags } from '../../pkg/config/index.ts';

/** Flag as commander reads it, default as the help shows it (the configuration fills it in), and what it means. */
type Flag = readonly [flags: string, shownDefault: string | undefined, text: string];

/** On these the rules depend, with kube-proxy's names where kube-proxy has the flag; the same for run and plan. */
const ruleFlags: readonly Flag[] = [
  [
    '--manifests <path>',
    undefined,
    'File or folder of YAML or JSON with the objects of the cluster, such as the output of "kubectl get services,endpointslices,pods,nodes -A -o yaml". Required.',
  ],
  ['--node-name <name>', undefined, 'Name of the Node that this machine is. Required.'],
  ['--hostname-override <name>', undefined, "kube-proxy's name for --node-name."],
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
    'Node ports answer on those addresses of the node that are in these CIDRs (separated by commas), or on the address of the Node object only, with the word primary. Empty: on all.',
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
];

export function addRunFlags(command: Command): Command {
  return addFlags(command, [
    ...ruleFlags,
    [
      '--iptables-sync-period <duration>',
      '30s',
      'How often the kernel is compared with what should be there, such as 30s or 1m. Less often where reading it is slow.',
    ],
    [
      '--iptables-min-sync-period <duration>',
      undefined,
      'Shortest time between two syncs. Without it Weir goes by how long a sync takes.',
    ],
    [
      '--cni-cache-dir <path>',
      undefined,
      'Where the container runtime keeps the results of CNI, from which Weir learns new pods before the API tells. Without it /var/lib/cni and /var/lib/cni/cache.',
    ],
    [
      '--state-dir <path>',
      '/var/lib/weir',
      'Where --policy-closed-start=boot keeps what it needs at the next start of the node.',
    ],
    ['--logging-format <format>', 'text', 'text for people, json for programs.'],
    ['-v, --v <level>', '0', 'From 1 on the log tells more.'],
  ]);
}

export function addPlanFlags(command: Command): Command {
  return addFlags(command, [
    ...ruleFlags,
    ['-o, --output <format>', 'text', 'text for people, json for programs.'],
    [
      '--against <file...>',
      '[]',
      'Compare with saved rules instead of the kernel: files with the output of iptables-save, ip6tables-save and ipset save, one or several of them in each.',
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
    ['--force [boolean]', 'false', 'Also while Weir or another proxy runs on this node.'],
    [
      '--iptables-backend <backend>',
      'auto',
      'legacy, nft, or auto: the one that the rest of the node uses already.',
    ],
  ]);
}

/** Flag values as the configuration reads them: the node has one name, whichever flag says it. */
export function flagValues(options: Flags): Flags {
  const { hostnameOverride, ...rest } = options;
  return { ...rest, nodeName: rest['nodeName'] ?? hostnameOverride };
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
