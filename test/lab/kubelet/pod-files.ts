import { clusterDomain, dnsServiceAddress } from '../settings.ts';
import { hostnameOf } from './environment.ts';
import type { Pod } from './pod.ts';

/** `/etc/resolv.conf` of a pod, by its DNS policy. Outside the cluster the lab knows no names. */
export function resolvConf(pod: Pod): string {
  const { dnsPolicy = 'ClusterFirst', dnsConfig, hostNetwork } = pod.spec;
  const cluster =
    dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && hostNetwork !== true);
  const namespace = pod.metadata.namespace ?? 'default';
  const domains = [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
  const nameservers = [...(cluster ? [dnsServiceAddress] : []), ...(dnsConfig?.nameservers ?? [])];
  const searches = [...(cluster ? domains : []), ...(dnsConfig?.searches ?? [])];
  const own = dnsConfig?.options ?? [];
  const preset = cluster && !own.some(({ name }) => name === 'ndots') ? [{ name: 'ndots', value: '5' }] : [];
  const options = [...preset, ...own].map(({ name, value }) =>
    value === undefined ? name : `${name}:${value}`,
  );
  return lines([
    ...[...new Set(nameservers)].map((address) => `nameserver ${address}`),
    ...(searches.length === 0 ? [] : [`search ${[...new Set(searches)].join(' ')}`]),
    ...(options.length === 0 ? [] : [`options ${options.join(' ')}`]),
  ]);
}

/** `/etc/hosts` of a pod. */
export function hostsFile(pod: Pod, addresses: readonly string[]): string {
  const hostname = hostnameOf(pod);
  const { subdomain } = pod.spec;
  const full =
    subdomain === undefined
      ? []
      : [`${hostname}.${subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}`];
  return lines([
    '127.0.0.1 localhost',
    '::1 localhost ip6-localhost ip6-loopback',
    ...addresses.map((address) => [address, ...full, hostname].join(' ')),
    ...(pod.spec.hostAliases ?? []).map(({ ip, hostnames = [] }) => [ip, ...hostnames].join(' ')),
  ]);
}

function lines(list: readonly string[]): string {
  return list.map((line) => `${line}\n`).join('');
}
