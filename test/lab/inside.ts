// Runs inside the sandbox: makes the network of the lab, then hands over to the cluster, which lives in the network of
// the control plane. All of it ends with the sandbox, so nothing is ever taken down here.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { namespacePrefix } from '../support/in-namespace.ts';
import { createWorld } from '../support/world.ts';
import type { ClusterPlan } from './cluster.ts';
import type { LabSettings } from './settings.ts';

const [settingsText = '{}', programs = ''] = process.argv.slice(2);
const settings = JSON.parse(settingsText) as LabSettings;

// Without it a lab would look bridged, and no rule would see what goes from pod to pod.
if (settings.network === 'bridged' && !existsSync('/proc/sys/net/bridge'))
  throw new Error('A bridged network needs br_netfilter of the kernel: modprobe br_netfilter');

const names = Array.from({ length: settings.nodes }, (_, index) => `node-${index + 1}`);
const world = await createWorld({
  nodes: names.map((name) => ({ name, mode: settings.network })),
  clients: ['control-plane', 'outside'],
});
const controlPlane = world.client('control-plane');
const outside = world.client('outside');
const plan: ClusterPlan = {
  settings,
  programs,
  controlPlane: controlPlane.namespace,
  address: controlPlane.address('IPv4'),
  outside: { namespace: outside.namespace, addresses: outside.addresses },
  nodes: names.map((name) => {
    const { namespace, addresses } = world.nodeNamed(name);
    return { name, namespace, addresses, podCidrs: world.podCidrs(name) };
  }),
};

const [file, ...prefix] = namespacePrefix(controlPlane.namespace);
const cluster = new URL('cluster.ts', import.meta.url).pathname;
const child = spawn(file, [...prefix, process.execPath, cluster, JSON.stringify(plan)], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
child.once('exit', (code) => {
  process.exitCode = code ?? 1;
});
