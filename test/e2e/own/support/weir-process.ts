import type { OwnLab } from './own-lab.ts';

/** Ends the process of Weir on a node, as an update of its container would. Resolves when the next one is ready. */
export async function restartWeir(lab: OwnLab, node: string): Promise<void> {
  const name = await lab.weirPod(node);
  const before = await restartsOf(lab, name);
  const end = 'process.kill(1, "SIGTERM")';
  await lab.kubectl(['-n', 'kube-system', 'exec', name, '-c', 'weir', '--', 'node', '--eval', end]);
  await lab.waitFor(`Weir on ${node} to start again`, async () => (await restartsOf(lab, name)) > before);
  await lab.waitForReadyPod(name, 'kube-system');
}

export async function restartsOf(lab: OwnLab, weirPod: string): Promise<number> {
  const { status } = await lab.pod(weirPod, 'kube-system');
  return status.containerStatuses?.[0]?.restartCount ?? 0;
}
