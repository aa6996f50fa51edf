import { type Command, Option } from 'commander';

/** The flags on which the rules depend, with kube-proxy's names where kube-proxy has the flag; the same for run and plan. */
export function addRuleFlags(command: Command): Command {
  return command
    .requiredOption('--manifests <path>', 'file or folder of YAML or JSON with the objects of the cluster')
    .addOption(new Option('--node-name <name>', 'name of the Node this is').conflicts('hostnameOverride'))
    .addOption(new Option('--hostname-override <name>', "kube-proxy's name for --node-name"))
    .option('--cluster-cidr <cidrs>', 'CIDR of the pods in the cluster, one or one for each family')
    .option(
      '--detect-local-mode <mode>',
      'how pod traffic is told from other traffic: ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix',
      'ClusterCIDR',
    )
    .option('--pod-bridge-interface <name>', 'bridge of the pods, for BridgeInterface')
    .option(
      '--pod-interface-name-prefix <prefix>',
      "start of the names of the pods' interfaces, for InterfaceNamePrefix",
    )
    .option(
      '--nodeport-addresses <cidrs>',
      'CIDRs of the node addresses that answer on node ports, or "primary" for the address of the Node',
    )
    .option('--masquerade-all [boolean]', 'masquerade all traffic to cluster IPs', 'false')
    .option(
      '--iptables-masquerade-bit <bit>',
      'bit of the packet mark that means "masquerade", 0 to 31',
      '14',
    )
    .option('--iptables-localhost-nodeports [boolean]', 'answer on node ports at 127.0.0.1, too', 'true')
    .option(
      '--iptables-backend <backend>',
      'legacy, nft, or auto: the one that the node uses already',
      'auto',
    )
    .option(
      '--conntrack-tcp-be-liberal [boolean]',
      'accept TCP packets outside the window instead of dropping them',
      'false',
    );
}

/** Flag values as the configuration reads them: `--flag` alone means true, and the node has one name. */
export function flagValues(options: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { hostnameOverride, ...rest } = options;
  return { ...rest, nodeName: rest['nodeName'] ?? hostnameOverride };
}
