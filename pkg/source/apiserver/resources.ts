import type { ObjectKind } from '../../api/index.ts';
import { type FieldSelector, fieldSelectorText } from './field-selector.ts';

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
  /** Objects that it leaves out are nothing to Weir, whether the server leaves them out or not. */
  readonly fieldSelector?: FieldSelector;
  /** A cluster may do without it, or not let Weir read it: then there are none. */
  readonly optional: boolean;
}

type Query = Readonly<Record<string, string>>;

/**
 * What Weir watches. Services and EndpointSlices with kube-proxy's selectors, so that the server leaves out what another
 * proxy serves; a Service that gets that label later comes as DELETED. Of the Nodes only the own one. `kinds`: all, unless given.
 */
export function watchedResources(nodeName: string, kinds?: ReadonlySet<ObjectKind>): readonly Resource[] {
  return allResources(nodeName).filter(({ kind }) => kinds === undefined || kinds.has(kind));
}

function allResources(nodeName: string): readonly Resource[] {
  return [
    {
      ...resource('Service', '', 'services'),
      labelSelector: '!service.kubernetes.io/service-proxy-name',
      // Servers before Kubernetes 1.31 refuse it.
      fieldSelector: { field: 'spec.clusterIP', operator: '!=', value: 'None' },
    },
    {
      ...resource('EndpointSlice', 'discovery.k8s.io', 'endpointslices'),
      labelSelector: '!service.kubernetes.io/headless',
    },
    {
      ...resource('Node', '', 'nodes'),
      fieldSelector: { field: 'metadata.name', operator: '=', value: nodeName },
    },
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

/** What is asked for: the resource with its selectors, or without the field selector where the server refuses that. */
export interface Selection {
  readonly resource: Resource;
  readonly withFieldSelector: boolean;
}

/** A request's path with its query; the selectors are always in it. */
export function requestPath({ resource, withFieldSelector }: Selection, query: Query): string {
  const { path, labelSelector, fieldSelector } = resource;
  const all = new URLSearchParams(query);
  if (labelSelector !== undefined) all.set('labelSelector', labelSelector);
  if (fieldSelector !== undefined && withFieldSelector)
    all.set('fieldSelector', fieldSelectorText(fieldSelector));
  const text = all.toString();
  return text === '' ? path : `${path}?${text}`;
}
