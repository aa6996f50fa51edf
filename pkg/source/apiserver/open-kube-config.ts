import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { WeirError } from '../../runtime/index.ts';
import { isGone } from '../system-error.ts';
import { inClusterAddress, serverAddress } from './server-address.ts';

export interface CredentialsOptions {
  /** Path of the kubeconfig; empty or `undefined`: the service account of the pod that this runs in. */
  readonly kubeconfig?: string | undefined;
  /** Address of the API server; takes the place of the kubeconfig's or the pod's. */
  readonly master?: string | undefined;
  /** Folder below which the service account's `/var/run/secrets` is; empty in a pod. */
  readonly serviceAccountRoot?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Where credentials come from, with nothing of them read yet that can change. */
export interface OpenKubeConfig {
  readonly kubeConfig: KubeConfig;
  /** Address of the API server, without a slash at its end. */
  readonly server: string;
  /** The file that holds the bearer token. client-node would keep a copy for a minute whatever happens. */
  readonly tokenFile: string | undefined;
  /** Who named all this, to begin a message with. */
  readonly origin: string;
}

/**
 * Finds the API server and how to be let in. Never falls back to an address nobody named, as the library's default does. Throws
 * WEIR_API_CREDENTIALS with what to do about it.
 */
export async function openKubeConfig(options: CredentialsOptions): Promise<OpenKubeConfig> {
  const { kubeconfig = '', master = '' } = options;
  const { KubeConfig } = await import('./kube-config.ts');
  const kubeConfig = new KubeConfig();
  if (kubeconfig !== '') return fromFile(kubeConfig, kubeconfig, master);
  return fromCluster(kubeConfig, options, master);
}

async function fromFile(kubeConfig: KubeConfig, file: string, master: string): Promise<OpenKubeConfig> {
  const origin = `kubeconfig ${file}`;
  let tokenFiles: ReadonlyMap<string, string>;
  try {
    tokenFiles = tokenFilesOf(parse(await readFile(file, 'utf8')), dirname(file));
    kubeConfig.loadFromFile(file);
  } catch (error) {
    throw unusable(`${origin}: ${reasonOf(error)}`, error);
  }
  const context = kubeConfig.getContextObject(kubeConfig.getCurrentContext());
  if (context === null) {
    const named = kubeConfig.getContexts().map(({ name }) => name);
    const choice = named.length === 0 ? 'it has no contexts' : `it has the contexts ${named.join(', ')}`;
    throw unusable(`${origin}: its current-context names none of its contexts (${choice}); set it`);
  }
  const cluster = kubeConfig.getCluster(context.cluster);
  if (cluster === null && master === '') {
    const name = `"${context.cluster}"`;
    throw unusable(`${origin}: there is no cluster ${name}, which the context "${context.name}" names`);
  }
  const user = kubeConfig.getUser(context.user);
  if (user === null && context.user) {
    throw unusable(
      `${origin}: there is no user "${context.user}", which the context "${context.name}" names`,
    );
  }
  if (cluster?.proxyUrl) {
    throw unusable(`${origin}: proxy-url is not supported; name an address that can be reached directly`);
  }
  const speaksTls = Boolean(
    cluster?.caFile || cluster?.caData || cluster?.skipTLSVerify || user?.certFile || user?.certData,
  );
  const server = serverAddress(
    master === '' ? (cluster?.server ?? '') : master,
    master === '' ? origin : '--master',
    speaksTls,
  );
  kubeConfig.loadFromClusterAndUser({ ...cluster, ...clusterAt(server, cluster) }, { ...user, name: 'user' });
  return { kubeConfig, server, tokenFile: tokenFiles.get(context.user), origin };
}

async function fromCluster(
  kubeConfig: KubeConfig,
  options: CredentialsOptions,
  master: string,
): Promise<OpenKubeConfig> {
  const found = inClusterAddress(options.env);
  if (found === undefined && master === '') {
    const why = 'as this is no pod (KUBERNETES_SERVICE_HOST is not set)';
    throw unusable(`no API server is known, ${why}: give --kubeconfig or --master`);
  }
  kubeConfig.loadFromCluster(options.serviceAccountRoot ?? '');
  const cluster = kubeConfig.getCurrentCluster();
  const user = kubeConfig.getCurrentUser();
  const config = user?.authProvider as { readonly config: { readonly tokenFile: string } } | undefined;
  const tokenFile = config?.config.tokenFile ?? '';
  const hasAccount = await exists(tokenFile);
  const server = master === '' ? (found ?? '') : serverAddress(master, '--master', hasAccount);
  if (!hasAccount && master !== '') {
    // Somebody who names only an address outside of a pod wants to be anonymous there.
    kubeConfig.loadFromClusterAndUser(clusterAt(server, null), { name: 'anonymous' });
    return { kubeConfig, server, tokenFile: undefined, origin: '--master' };
  }
  if (!hasAccount) {
    const advice = 'set automountServiceAccountToken: true for the pod, or give --kubeconfig';
    throw unusable(`the token ${tokenFile} of the pod's service account is missing; ${advice}`);
  }
  const plain = server.startsWith('http:');
  const inCluster = plain ? clusterAt(server, null) : { ...cluster, ...clusterAt(server, cluster) };
  kubeConfig.loadFromClusterAndUser(inCluster, { name: 'service-account' });
  return { kubeConfig, server, tokenFile, origin: "the pod's service account" };
}

/** The library refuses plain http unless told that TLS does not matter. */
function clusterAt(server: string, cluster: { readonly skipTLSVerify?: boolean } | null) {
  const skipTLSVerify = server.startsWith('http:') || cluster?.skipTLSVerify === true;
  return { name: 'cluster', server, skipTLSVerify };
}

/** The `tokenFile` of each user, which the library passes over. Relative paths begin at the kubeconfig. */
function tokenFilesOf(kubeconfig: unknown, folder: string): ReadonlyMap<string, string> {
  interface Users {
    readonly users?:
      | readonly { readonly name: string; readonly user?: { readonly tokenFile?: string } }[]
      | null;
  }
  if (typeof kubeconfig !== 'object' || kubeconfig === null) throw new Error('it is not a kubeconfig');
  const files = new Map<string, string>();
  for (const { name, user } of (kubeconfig as Users).users ?? []) {
    if (user?.tokenFile) files.set(name, resolve(folder, user.tokenFile));
  }
  return files;
}

async function exists(file: string): Promise<boolean> {
  try {
    await readFile(file);
    return true;
  } catch (error) {
    return !isGone(error);
  }
}

export function unusable(message: string, cause?: unknown): WeirError {
  return new WeirError('WEIR_API_CREDENTIALS', message, cause === undefined ? {} : { cause });
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
