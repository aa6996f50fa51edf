/** Why a spec is not run. A pattern is part of its full name. */
export interface Exclusion {
  readonly pattern: RegExp;
  readonly reason: string;
}

/** Some of upstream's specs, told apart by name. */
export interface Suite {
  readonly name: string;
  readonly include: RegExp;
  readonly exclusions: readonly Exclusion[];
  /** At a time; what they wait for is mostly time, not the processor. */
  readonly processes: number;
}

const cloud: readonly Exclusion[] = [
  {
    pattern: /\[Feature:LoadBalancer\]|LoadBalancers|\[Feature:.*[Ii]ngress/u,
    reason: 'needs a cloud provider',
  },
  { pattern: /\[Feature:SCTPConnectivity\]|SCTP/u, reason: 'needs SCTP sockets, which this kernel may lack' },
  { pattern: /\[Disruptive\]/u, reason: 'restarts parts of a node that the lab does not have' },
];

const services: Suite = {
  name: 'services',
  include:
    /\[sig-network\] (Services|Networking|Conntrack|Traffic Distribution|EndpointSlice|EndpointSliceMirroring|DNS|.*[Dd]ual.?[Ss]tack|HostPort|Proxy|Endpoints|ClusterDns|KubeProxy|Service endpoints|IngressClass|CVE)/u,
  exclusions: [
    ...cloud,
    {
      pattern: /stubDomain|Forward (PTR|external)/u,
      reason: 'needs a DNS of its own beside that of the cluster',
    },
    { pattern: /\[Provider:GCE\]/u, reason: 'needs a cloud provider' },
    { pattern: /provider? Internet connection/u, reason: 'the lab has no way out' },
    { pattern: /proxy logs on node/u, reason: 'the virtual kubelet keeps no logs of the node' },
    { pattern: /IPerf2/u, reason: 'measures speed with a program that the lab has not' },
  ],
  processes: 6,
};

const netpol: Suite = {
  name: 'netpol',
  include: /\[sig-network\] (Netpol|NetworkPolicy)/u,
  exclusions: [
    { pattern: /\[Feature:SCTPConnectivity\]/u, reason: 'needs SCTP sockets, which this kernel may lack' },
    { pattern: /Netpol API/u, reason: 'asks the API server only' },
  ],
  processes: 4,
};

export const suites: readonly Suite[] = [netpol, services];

/** What of all specs a suite runs, and what not and why. Sorted by name. */
export function select(
  suite: Suite,
  names: readonly string[],
): {
  readonly selected: readonly string[];
  readonly excluded: readonly { readonly name: string; readonly reason: string }[];
} {
  const included = [...new Set(names)].filter((name) => suite.include.test(name)).toSorted();
  const reasonOf = (name: string): string | undefined =>
    suite.exclusions.find(({ pattern }) => pattern.test(name))?.reason;
  return {
    selected: included.filter((name) => reasonOf(name) === undefined),
    excluded: included.flatMap((name) => {
      const reason = reasonOf(name);
      return reason === undefined ? [] : [{ name, reason }];
    }),
  };
}
