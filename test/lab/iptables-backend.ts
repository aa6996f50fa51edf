import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { namespacePrefix } from '../support/in-namespace.ts';
import { type Backend, type LabNode, runFolder } from './settings.ts';

const families = ['iptables', 'ip6tables'] as const;

/** Leaves on a node the mark that the real kubelet leaves, by which others know which kind of iptables it uses. */
export async function markBackend(node: LabNode, backend: Backend): Promise<void> {
  if (backend === 'auto') return;
  const [file, ...prefix] = namespacePrefix(node.namespace);
  for (const family of families) {
    await execa(file, [...prefix, `${family}-${backend}`, '-w', '-t', 'mangle', '-N', 'KUBE-KUBELET-CANARY']);
  }
}

/** A folder for the front of PATH, in which `iptables` is of that kind; for programs that ask for nothing else. */
export async function toolFolder(backend: Backend): Promise<string> {
  const folder = join(runFolder, `iptables-${backend}`);
  await mkdir(folder, { recursive: true });
  if (backend === 'auto') return folder;
  for (const family of families) {
    for (const verb of ['', '-save', '-restore'])
      await symlink(`/usr/sbin/xtables-${backend}-multi`, join(folder, `${family}${verb}`));
  }
  return folder;
}
