import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export const serviceAccountFolder = 'var/run/secrets/kubernetes.io/serviceaccount';

/** Lays out a pod's service account below `root`, or replaces what is given of it. */
export async function writeServiceAccount(
  root: string,
  files: { readonly token?: string; readonly ca?: string; readonly namespace?: string },
): Promise<void> {
  const folder = join(root, serviceAccountFolder);
  await mkdir(folder, { recursive: true });
  const names = { token: 'token', ca: 'ca.crt', namespace: 'namespace' } as const;
  for (const [file, name] of Object.entries(names)) {
    const text = files[file as keyof typeof names];
    if (text !== undefined) await writeFile(join(folder, name), text);
  }
}

/** Text of a kubeconfig with one context; JSON is YAML, too. */
export function kubeconfig(
  cluster: Readonly<Record<string, unknown>>,
  user: Readonly<Record<string, unknown>> = {},
): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'default', cluster }],
    users: [{ name: 'default', user }],
    contexts: [{ name: 'default', context: { cluster: 'default', user: 'default' } }],
    'current-context': 'default',
  });
}
