/** What the fake API server serves. The key is the name in paths. */
export const resources = {
  services: { kind: 'Service', groupVersions: ['v1'], namespaced: true },
  endpointslices: { kind: 'EndpointSlice', groupVersions: ['discovery.k8s.io/v1'], namespaced: true },
  nodes: { kind: 'Node', groupVersions: ['v1'], namespaced: false },
  namespaces: { kind: 'Namespace', groupVersions: ['v1'], namespaced: false },
  networkpolicies: { kind: 'NetworkPolicy', groupVersions: ['networking.k8s.io/v1'], namespaced: true },
  pods: { kind: 'Pod', groupVersions: ['v1'], namespaced: true },
  servicecidrs: { kind: 'ServiceCIDR', groupVersions: ['networking.k8s.io/v1'], namespaced: false },
  events: { kind: 'Event', groupVersions: ['events.k8s.io/v1', 'v1'], namespaced: true },
} as const satisfies Readonly<Record<string, ResourceType>>;

interface ResourceType {
  readonly kind: string;
  /** The first is preferred. */
  readonly groupVersions: readonly [string, ...string[]];
  readonly namespaced: boolean;
}

export type Resource = keyof typeof resources;

const allResources = Object.keys(resources) as readonly Resource[];

/** What a path means: all objects, those of one namespace, or one object. */
export interface Route {
  readonly resource: Resource;
  readonly groupVersion: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

/** Takes a path apart; `undefined` for what such a server does not have. */
export function routeOf(path: string): Route | undefined {
  const match =
    /^\/(?:api\/(v1)|apis\/([^/]+\/v1))(?:\/namespaces\/([^/]+)(?=\/.))?\/([a-z]+)(?:\/([^/]+))?$/.exec(path);
  const [, core, group, namespace, plural, name] = match ?? [];
  const groupVersion = core ?? group;
  const resource = allResources.find((resource) => resource === plural);
  if (groupVersion === undefined || resource === undefined) return undefined;
  const served: readonly string[] = resources[resource].groupVersions;
  if (!served.includes(groupVersion)) return undefined;
  if (namespace !== undefined && !resources[resource].namespaced) return undefined;
  return { resource, groupVersion, namespace, name };
}

/** Whether a path is below a group and version that such a server has, of whatever kind. */
export function isInServedGroup(path: string): boolean {
  const [, root, ...parts] = path.split('/');
  const groupVersion = (root === 'api' ? parts.slice(0, 1) : parts.slice(0, 2)).join('/');
  return allResources.some((resource) =>
    (resources[resource].groupVersions as readonly string[]).includes(groupVersion),
  );
}

export function resourceOfKind(kind: unknown): Resource {
  const resource = allResources.find((resource) => resources[resource].kind === kind);
  if (resource === undefined) throw new RangeError(`the fake API server has no kind ${String(kind)}`);
  return resource;
}
