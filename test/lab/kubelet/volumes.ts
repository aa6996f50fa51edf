import { mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ApiClient } from '../api-client.ts';
import { fieldOf, type NodeFacts, resourceOf } from './environment.ts';
import type { NamedSource, Pod, PodStatus, Volume, VolumeSource } from './pod.ts';

/** What is put into a volume, by path below its folder. */
type Files = ReadonlyMap<string, string | Buffer>;

export interface VolumeContext {
  readonly api: ApiClient;
  readonly pod: Pod;
  readonly status: PodStatus;
  readonly node: NodeFacts;
  /** The pod's own folder on the node. */
  readonly folder: string;
  /** Stands for the root of the node's file system where that is the node's own. */
  readonly nodeRoot: string;
}

/** Folders of the node itself, which several nodes of one machine must not share. */
const nodeFolders = /^\/(etc\/cni|opt\/cni|run|var\/lib|var\/run|var\/log)(\/|$)/u;

/** Makes the folder of a volume and returns its path. Contents are those of this moment: none is refreshed. */
export async function prepareVolume(context: VolumeContext, volume: Volume): Promise<string> {
  if (volume.hostPath !== undefined) return hostPath(context, volume.hostPath);
  const folder = join(context.folder, 'volumes', volume.name);
  await mkdir(folder, { recursive: true, mode: 0o777 });
  const sources = volume.projected?.sources ?? (volume.emptyDir === undefined ? [volume] : []);
  for (const source of sources) {
    for (const [path, content] of await filesOf(context, source)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
  }
  return folder;
}

async function hostPath(
  context: VolumeContext,
  { path, type = '' }: { readonly path: string; readonly type?: string },
): Promise<string> {
  // What the machine does not have is made, but not on the machine.
  const shared = !nodeFolders.test(path) && (await stat(path).catch(() => undefined)) !== undefined;
  if (shared) return path;
  const own = join(context.nodeRoot, path);
  if (type.startsWith('File')) {
    await mkdir(dirname(own), { recursive: true });
    await writeFile(own, '', { flag: 'a' });
  } else await mkdir(own, { recursive: true });
  return own;
}

async function filesOf(context: VolumeContext, source: VolumeSource): Promise<Files> {
  const { api, pod, status, node } = context;
  const namespace = pod.metadata.namespace ?? 'default';
  if (source.configMap !== undefined) {
    return selected(await readData(api, namespace, 'configmaps', source.configMap), source.configMap);
  }
  if (source.secret !== undefined) {
    const named = { ...source.secret, name: source.secret.secretName ?? source.secret.name ?? '' };
    return selected(await readData(api, namespace, 'secrets', named), named);
  }
  if (source.downwardAPI !== undefined) {
    return new Map(
      (source.downwardAPI.items ?? []).map(({ path, fieldRef, resourceFieldRef }) => {
        const container = pod.spec.containers[0];
        if (fieldRef !== undefined) return [path, fieldOf(pod, status, node, fieldRef.fieldPath)];
        if (resourceFieldRef === undefined || container === undefined) return [path, ''];
        return [path, resourceOf(pod, container, node, resourceFieldRef)];
      }),
    );
  }
  const wanted = source.serviceAccountToken;
  if (wanted === undefined) return new Map();
  const account = pod.spec.serviceAccountName ?? 'default';
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
  const { status: issued } = await api.request<{ readonly status: { readonly token: string } }>(
    'POST',
    path,
    {
      spec: {
        audiences: wanted.audience === undefined ? [] : [wanted.audience],
        expirationSeconds: wanted.expirationSeconds ?? 3607,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid },
      },
    },
  );
  return new Map([[wanted.path, issued.token]]);
}

function selected(data: Files, source: NamedSource): Files {
  if (source.items === undefined) return data;
  const entries = source.items.flatMap(({ key, path }) => {
    const content = data.get(key);
    if (content === undefined && source.optional !== true)
      throw new Error(`${source.name} has no key ${key}`);
    return content === undefined ? [] : [[path, content] as const];
  });
  return new Map(entries);
}

/** Data of a ConfigMap or Secret. Throws where there is none and it is not optional. */
export async function readData(
  api: ApiClient,
  namespace: string,
  resource: 'configmaps' | 'secrets',
  { name = '', optional = false }: { readonly name?: string; readonly optional?: boolean },
): Promise<Files> {
  const object = await api.find<{
    readonly data?: Readonly<Record<string, string>>;
    readonly binaryData?: Readonly<Record<string, string>>;
  }>(`/api/v1/namespaces/${namespace}/${resource}/${name}`);
  if (object === undefined && !optional) throw new Error(`${resource} "${name}" not found`);
  const decode = (value: string): Buffer => Buffer.from(value, 'base64');
  const plain = Object.entries(object?.data ?? {}).map(
    ([key, value]) => [key, resource === 'secrets' ? decode(value) : value] as const,
  );
  const binary = Object.entries(object?.binaryData ?? {}).map(
    ([key, value]) => [key, decode(value)] as const,
  );
  return new Map([...plain, ...binary]);
}
