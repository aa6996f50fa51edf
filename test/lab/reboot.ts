import { execa } from 'execa';
import { wordsInside } from './lab.ts';
import { tellProgram } from './program-socket.ts';
import { type LabNode, type LabState, labFiles, nodeRoot } from './settings.ts';

/**
 * Restarts a node as a machine restarts: its processes die, and its rules, sets, connections, pods and `/run` are gone; what
 * is on its disk stays, and so do its pods' objects, whose containers the kubelet starts anew. Interfaces, routes and kernel
 * settings of the node are those that it had before. Only where Weir or nobody is the proxy: one that is no pod would not
 * come back.
 */
export async function rebootNode(state: LabState, node: LabNode): Promise<void> {
  const kubelet = `kubelet-${node.name}`;
  await tellProgram(labFiles.programSocket, 'kill', kubelet);
  await runInside(state, undefined, endOfMachine(node));
  await runInside(state, node.name, emptyKernel);
  await tellProgram(labFiles.programSocket, 'start', kubelet);
}

function endOfMachine({ name, namespace }: LabNode): string {
  const pods = `/run/netns/${name}-pod-*`;
  return [
    // A process may start another while it is killed.
    `for network in /run/netns/${namespace} ${pods}; do`,
    '  [ -e $network ] || continue',
    '  while pids=$(ip netns pids ${network##*/}) && [ -n "$pids" ]; do kill -9 $pids || true; sleep 0.05; done',
    'done',
    // The node's ends of the pods' interfaces go with them.
    `for network in ${pods}; do [ -e $network ] && ip netns delete \${network##*/}; done`,
    `rm -rf ${nodeRoot(name)}/run ${nodeRoot(name)}/var/run`,
  ].join('\n');
}

const tables = ['filter', 'nat', 'mangle', 'raw', 'security'];
const emptyKernel = [
  ...['legacy', 'nft'].flatMap((backend) =>
    ['iptables', 'ip6tables'].flatMap((family) =>
      tables.flatMap((table) => ['-F', '-X'].map((verb) => `${family}-${backend} -w -t ${table} ${verb}`)),
    ),
  ),
  'ipset destroy',
  'conntrack -F 2>/dev/null',
].join('\n');

async function runInside(state: LabState, node: string | undefined, script: string): Promise<void> {
  const [file, ...prefix] = wordsInside(state, node);
  const result = await execa(file, [...prefix, 'sh', '-ec', script], { reject: false, stdin: 'ignore' });
  if (result.failed) throw new Error(result.stderr || result.shortMessage);
}
