/**
 * The words in front of a program that then has what a container of the DaemonSet has: root with no capabilities but these (names
 * as setpriv takes them: `net_admin`), never more than that, and kernel settings that can only be read. The program replaces them.
 */
export function confined(capabilities: readonly string[]): readonly [string, ...string[]] {
  const kept = ['-all', ...capabilities.map((name) => `+${name}`)].join(',');
  const script = [
    // The mount shows the network namespace of the process that looks, so it is that of the node.
    'mount --bind /proc/sys /proc/sys',
    'mount -o remount,bind,ro /proc/sys',
    'exec setpriv --no-new-privs --inh-caps=-all --ambient-caps=-all --bounding-set="$0" "$@"',
  ].join('\n');
  return ['unshare', '--mount', '--propagation=private', 'sh', '-ec', script, kept];
}
