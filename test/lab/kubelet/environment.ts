import type { Container, EnvVar, Pod, PodStatus, ResourceFieldRef } from './pod.ts';

/** What fields may refer to besides the pod itself. */
export interface NodeFacts {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly cpus: number;
  readonly memoryBytes: number;
}

/** Data of the ConfigMaps and Secrets that a pod's environment names. */
export interface EnvironmentSources {
  readonly configMap: (name: string) => Readonly<Record<string, string>> | undefined;
  readonly secret: (name: string) => Readonly<Record<string, string>> | undefined;
}

/**
 * The environment of a container, in upstream's order: services, sources as a whole, then each variable, which may refer
 * to those before it. Throws where something is named that is not there and not optional.
 */
export function environmentOf(
  pod: Pod,
  container: Container,
  status: PodStatus,
  node: NodeFacts,
  sources: EnvironmentSources,
  apiServer: { readonly address: string; readonly port: number },
): Readonly<Record<string, string>> {
  const environment: Record<string, string> = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOSTNAME: pod.spec.hostNetwork === true ? node.name : hostnameOf(pod),
    HOME: '/root',
    KUBERNETES_SERVICE_HOST: apiServer.address,
    KUBERNETES_SERVICE_PORT: `${apiServer.port}`,
    KUBERNETES_SERVICE_PORT_HTTPS: `${apiServer.port}`,
  };
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const reference = configMapRef ?? secretRef;
    const data = (configMapRef === undefined ? sources.secret : sources.configMap)(reference?.name ?? '');
    if (data === undefined && reference?.optional !== true) throw new Error(`there is no ${reference?.name}`);
    for (const [key, value] of Object.entries(data ?? {})) environment[`${prefix}${key}`] = value;
  }
  for (const variable of container.env ?? []) {
    const value = valueOf(variable, pod, container, status, node, sources);
    if (value !== undefined) environment[variable.name] = expand(value, environment);
  }
  return environment;
}

function valueOf(
  variable: EnvVar,
  pod: Pod,
  container: Container,
  status: PodStatus,
  node: NodeFacts,
  sources: EnvironmentSources,
): string | undefined {
  const from = variable.valueFrom;
  if (from === undefined) return variable.value ?? '';
  if (from.fieldRef !== undefined) return fieldOf(pod, status, node, from.fieldRef.fieldPath);
  if (from.resourceFieldRef !== undefined) return resourceOf(pod, container, node, from.resourceFieldRef);
  const reference = from.configMapKeyRef ?? from.secretKeyRef;
  if (reference === undefined) return '';
  const source = from.configMapKeyRef === undefined ? sources.secret : sources.configMap;
  const value = source(reference.name ?? '')?.[reference.key];
  if (value === undefined && reference.optional !== true)
    throw new Error(`there is no key ${reference.key} in ${reference.name}`);
  return value;
}

/** `$(NAME)` stands for a variable's value, `$$(NAME)` for itself; unknown names stay as they are. */
export function expand(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(\$|\(([^)]*)\))/gu, (whole: string, next: string, name: string | undefined) =>
    next === '$' ? '$' : (environment[name ?? ''] ?? whole),
  );
}

export function hostnameOf(pod: Pod): string {
  // Linux allows 63 letters and no more.
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, 63).replace(/[-.]+$/u, '');
}

/** A field of the downward API, as text. */
export function fieldOf(pod: Pod, status: PodStatus, node: NodeFacts, path: string): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/u.exec(path);
  if (keyed !== null) return pod.metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2] ?? ''] ?? '';
  const lines = (values: Readonly<Record<string, string>> = {}): string =>
    Object.entries(values)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
      .join('\n');
  const fields: Readonly<Record<string, string | undefined>> = {
    'metadata.name': pod.metadata.name,
    'metadata.namespace': pod.metadata.namespace,
    'metadata.uid': pod.metadata.uid,
    'metadata.labels': lines(pod.metadata.labels),
    'metadata.annotations': lines(pod.metadata.annotations),
    'spec.nodeName': node.name,
    'spec.serviceAccountName': pod.spec.serviceAccountName,
    'status.hostIP': node.addresses[0],
    'status.hostIPs': node.addresses.join(','),
    'status.podIP': status.podIP,
    'status.podIPs': status.podIPs?.map(({ ip }) => ip).join(','),
  };
  return fields[path] ?? '';
}

/** A limit or request; the node's own size where the container sets no limit. Cores are rounded up. */
export function resourceOf(
  pod: Pod,
  container: Container,
  node: NodeFacts,
  reference: ResourceFieldRef,
): string {
  const named = pod.spec.containers.find(({ name }) => name === reference.containerName) ?? container;
  const [kind = '', ...words] = reference.resource.split('.');
  const resource = words.join('.');
  const quantity = named.resources?.[kind as 'limits' | 'requests']?.[resource];
  if (quantity !== undefined) return `${Math.ceil(amountOf(quantity))}`;
  if (kind === 'requests') return '0';
  return resource === 'cpu' ? `${node.cpus}` : `${node.memoryBytes}`;
}

const units: Readonly<Record<string, number>> = {
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

/** A quantity as a plain number. */
export function amountOf(quantity: string): number {
  const [, number = '0', unit = ''] = /^([\d.]+)(\D*)$/u.exec(quantity) ?? [];
  return Number(number) * (units[unit] ?? 1);
}
