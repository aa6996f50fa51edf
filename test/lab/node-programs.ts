import { join } from 'node:path';
import type { KubeletPlan } from './kubelet/main.ts';
import type { ProgramSpec } from './program.ts';
import type { LabNode } from './settings.ts';

/** The virtual kubelet of a node. */
export function kubelet(plan: KubeletPlan): ProgramSpec {
  return {
    name: `kubelet-${plan.node.name}`,
    file: process.execPath,
    namespace: plan.node.namespace,
    args: [new URL('kubelet/main.ts', import.meta.url).pathname, JSON.stringify(plan)],
  };
}

/** Upstream's proxy, as kubeadm runs it, for comparison. */
export function kubeProxy(
  node: LabNode,
  options: {
    readonly programs: string;
    readonly kubeconfig: string;
    readonly podCidrs: readonly string[];
    /** Folder with the `iptables` to use. */
    readonly tools: string;
  },
): ProgramSpec {
  return {
    name: `kube-proxy-${node.name}`,
    file: join(options.programs, 'kube-proxy'),
    namespace: node.namespace,
    env: { PATH: `${options.tools}:${process.env['PATH'] ?? ''}` },
    args: [
      `--kubeconfig=${options.kubeconfig}`,
      `--hostname-override=${node.name}`,
      '--proxy-mode=iptables',
      `--cluster-cidr=${options.podCidrs.join(',')}`,
      // The table's size belongs to the machine, which the lab leaves alone.
      '--conntrack-max-per-core=0',
      '--conntrack-min=0',
      '--iptables-min-sync-period=0s',
    ],
  };
}
