import type { Json, JsonReader, Path } from './json-reader.ts';
import type { Labels } from './meta.ts';
import { metadataOf, metadataPath } from './object-name.ts';
import {
  type ClusterIPs,
  readClusterIPs,
  readExternalIPs,
  readLoadBalancerIPs,
  readSourceRanges,
} from './service-addresses.ts';
import { readServicePorts, type ServicePort } from './service-ports.ts';

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
export type TrafficPolicy = 'Cluster' | 'Local';

/** core/v1 Service, trimmed to what routes traffic. All addresses are canonical text. */
export interface Service {
  readonly kind: 'Service';
  readonly namespace: string;
  readonly name: string;
  /** Empty where nobody gave one, as in a file. */
  readonly uid: string;
  readonly type: ServiceType;
  /** `{}` for headless and ExternalName Services. */
  readonly clusterIPs: ClusterIPs;
  readonly headless: boolean;
  readonly ports: readonly ServicePort[];
  /** `undefined` when the Service has no selector: its EndpointSlices are made by somebody else. */
  readonly selector: Labels | undefined;
  readonly externalIPs: readonly string[];
  /** Status addresses in `VIP` mode (or without a mode). */
  readonly loadBalancerIPs: readonly string[];
  /** Canonical CIDR text. Empty means everybody. */
  readonly loadBalancerSourceRanges: readonly string[];
  readonly externalTrafficPolicy: TrafficPolicy;
  readonly internalTrafficPolicy: TrafficPolicy;
  /** ClientIP affinity time-out in seconds; `undefined` without affinity. */
  readonly affinitySeconds: number | undefined;
  /** 0 when there is none. */
  readonly healthCheckNodePort: number;
  readonly publishNotReadyAddresses: boolean;
  /** Label `service.kubernetes.io/service-proxy-name` is present: another proxy serves it. */
  readonly otherProxy: boolean;
}

const specPath: Path = { parent: undefined, key: 'spec' };
const types = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const;
const trafficPolicies = ['Cluster', 'Local'] as const;

/** What the API server fills in for ClientIP affinity without a time-out, in seconds. */
const defaultAffinitySeconds = 10_800;
const longestAffinitySeconds = 86_400;

/** `undefined` when there is nothing to read: no spec, or one that is no object. */
export function decodeService(reader: JsonReader, raw: Json): Service | undefined {
  const spec = reader.record(raw, 'spec', undefined);
  if (spec === undefined) {
    if (reader.errors === 0) reader.error(undefined, 'spec', 'a Service needs a spec');
    return undefined;
  }
  const type = reader.choice(spec, 'type', specPath, types) ?? 'ClusterIP';
  const { clusterIPs, headless } = readClusterIPs(reader, spec, type === 'ExternalName');
  return {
    kind: 'Service',
    namespace: reader.namespace,
    name: reader.name,
    uid: reader.text(metadataOf(raw), 'uid', metadataPath) ?? '',
    type,
    clusterIPs,
    headless,
    ports: readServicePorts(reader, spec),
    selector: readSelector(reader, spec),
    externalIPs: readExternalIPs(reader, spec),
    loadBalancerIPs: readLoadBalancerIPs(reader, raw),
    loadBalancerSourceRanges: readSourceRanges(reader, spec),
    externalTrafficPolicy:
      reader.choice(spec, 'externalTrafficPolicy', specPath, trafficPolicies) ?? 'Cluster',
    internalTrafficPolicy:
      reader.choice(spec, 'internalTrafficPolicy', specPath, trafficPolicies) ?? 'Cluster',
    affinitySeconds: readAffinity(reader, spec),
    healthCheckNodePort: reader.integer(spec, 'healthCheckNodePort', specPath, 0, 65_535) ?? 0,
    publishNotReadyAddresses: reader.flag(spec, 'publishNotReadyAddresses', specPath) ?? false,
    otherProxy: hasLabel(reader, raw, 'service.kubernetes.io/service-proxy-name'),
  };
}

/** A selector of which a part can't be read would select more than it says, so it counts as none. */
function readSelector(reader: JsonReader, spec: Json): Labels | undefined {
  const before = reader.errors;
  const selector = reader.labels(spec, 'selector', specPath);
  return reader.errors > before || Object.keys(selector).length === 0 ? undefined : selector;
}

function readAffinity(reader: JsonReader, spec: Json): number | undefined {
  const affinity = reader.choice(spec, 'sessionAffinity', specPath, ['None', 'ClientIP']);
  if (affinity !== 'ClientIP') return undefined;
  const config = reader.record(spec, 'sessionAffinityConfig', specPath);
  const configPath: Path = { parent: specPath, key: 'sessionAffinityConfig' };
  const clientIP = config && reader.record(config, 'clientIP', configPath);
  if (clientIP === undefined) return defaultAffinitySeconds;
  const path: Path = { parent: configPath, key: 'clientIP' };
  return (
    reader.integer(clientIP, 'timeoutSeconds', path, 1, longestAffinitySeconds) ?? defaultAffinitySeconds
  );
}

/** The key counts, whatever its value, as in kube-proxy's list selector. */
function hasLabel(reader: JsonReader, raw: Json, label: string): boolean {
  const labels = reader.record(metadataOf(raw), 'labels', metadataPath);
  return labels !== undefined && Object.hasOwn(labels, label);
}
