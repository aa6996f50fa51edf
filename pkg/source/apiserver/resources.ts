import type { ObjectKind } from '../../api/index.ts';

/** One kind of object as the API server serves it, and which of its objects Weir asks for. */
export interface Resource {
  readonly kind: ObjectKind;
  /** As RBAC rules name it. */
  readonly plural: string;
  /** Empty for the core group. */
  readonly group: string;
  /** Below the server's address, without query. */
  readonly path: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** A cluster may do without it, or not let Weir read it: then there are none. */
  readonly optional: boolean;
}

type Query = Readonly<Record<string, string>>;

/**
 * What Weir watches. Services and EndpointSlices with kube-proxy's selectors, so that the server leaves out what another
 * proxy serves; a Service that gets that label later comes as DELETED. Of the Nodes only the own one.
 */
export function watchedResources(nodeName: string): readonly Resource[] {
  return [
    {
      ...resource('Service', '', 'services'),
      labelSelector: '!service.kubernetes.io/service-proxy-name',
      fieldSelector: 'spec.clusterIP!=None',
    },
    {
      ...resource('EndpointSlice', 'discovery.k8s.io', 'endpointslices'),
      labelSelector: '!service.kubernetes.io/headless',
    },
    { ...resource('Node', '', 'nodes'), fieldSelector: `metadata.name=${nodeName}` },
    resource('Namespace', '', 'namespaces'),
    resource('NetworkPolicy', 'networking.k8s.io', 'networkpolicies'),
    resource('Pod', '', 'pods'),
    { ...resource('ServiceCIDR', 'networking.k8s.io', 'servicecidrs'), optional: true },
  ];
}

function resource(kind: ObjectKind, group: string, plural: string): Resource {
  const root = group === '' ? '/api/v1' : `/apis/${group}/v1`;
  return { kind, plural, group, path: `${root}/${plural}`, optional: false };
}

/** As RBAC and people name it: `networkpolicies.networking.k8s.io`. */
export function qualifiedName({ plural, group }: Resource): string {
  return group === '' ? plural : `${plural}.${group}`;
}

/** A request's path with its query; the resource's own selectors are always in it. */
export function requestPath({ path, labelSelector, fieldSelector }: Resource, query: Query): string {
  const all = new URLSearchParams(query);
  if (labelSelector !== undefined) all.set('labelSelector', labelSelector);
  if (fieldSelector !== undefined) all.set('fieldSelector', fieldSelector);
  const text = all.toString();
  return text === '' ? path : `${path}?${text}`;
}
