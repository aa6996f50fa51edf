import type { Machine } from './machine.ts';

/** Why a spec is not run, or runs again. A pattern is part of its full name. */
export interface Exclusion {
  readonly pattern: RegExp;
  readonly reason: string;
}

/** Specs that count as skipped, and not as failed, where the machine lacks something. */
export interface Limit extends Exclusion {
  readonly needs: keyof Machine;
}

/** Some of upstream's specs, told apart by name. */
export interface Suite {
  readonly name: string;
  readonly include: RegExp;
  /** Never run, wherever. */
  readonly exclusions: readonly Exclusion[];
  /** All that may be skipped: a spec that upstream skips by itself has failed. */
  readonly limits: readonly Limit[];
  /** Specs that now and then fail by their own doing: one that did runs a second time, by itself, and the results say so. */
  readonly races: readonly Exclusion[];
  /** Each spec belongs to the first that its name matches. They run one after the other, each in a lab of its own. */
  readonly parts: readonly Part[];
}

export interface Part {
  readonly pattern: RegExp;
  readonly nodes: number;
  /** Each spec belongs to the first that its name matches. They run side by side. */
  readonly groups: readonly Group[];
}

export interface Group {
  readonly pattern: RegExp;
  /** How many specs run at a time. What they wait for is mostly time, not the processor. */
  readonly processes: number;
}

const all = /^/u;

const limits: readonly Limit[] = [
  {
    pattern: /\[Feature:SCTPConnectivity\]/u,
    needs: 'sctp',
    reason: 'the kernel of this machine has no SCTP sockets',
  },
];

const services: Suite = {
  name: 'services',
  include:
    /\[sig-network\] (Services|Networking|Conntrack|Traffic Distribution|EndpointSlice|EndpointSliceMirroring|DNS|.*[Dd]ual.?[Ss]tack|HostPort|Proxy|Endpoints|ClusterDns|KubeProxy|Service endpoints|IngressClass|CVE)/u,
  exclusions: [
    { pattern: /\[Feature:LoadBalancer\]|LoadBalancers|\[Provider:GCE\]/u, reason: 'needs a cloud provider' },
    {
      pattern: /\[Feature:Ingress\]/u,
      reason: 'is about a default of the API server, which the proxy never sees',
    },
    {
      pattern: /SCTP.*\[Serial\]/u,
      reason: 'asks by SSH whether the node has loaded a module of the kernel, and the lab has no SSH',
    },
    { pattern: /\[Disruptive\]/u, reason: 'restarts parts of a node by SSH, which the lab does not have' },
    {
      pattern: /stubDomain|Forward (PTR|external)/u,
      reason: 'needs a DNS of its own beside that of the cluster',
    },
    { pattern: /provider? Internet connection/u, reason: 'the lab has no way out' },
    { pattern: /IPerf2/u, reason: 'measures speed with a program that the lab has not' },
  ],
  limits,
  races: [
    {
      pattern: /should not be vulnerable to the invalid conntrack state bug/u,
      reason:
        'its server tells connections apart by the address of the client without the port: the end of one that comes between the first packets of the next is taken for a part of it',
    },
  ],
  parts: [
    // Two nodes in each of three zones; others make their pods on every node, and so are better off with few.
    { pattern: /Traffic Distribution/u, nodes: 6, groups: [{ pattern: all, processes: 6 }] },
    {
      pattern: all,
      nodes: 3,
      groups: [
        // These wait for minutes: they begin at once, so that they do not keep the end waiting.
        { pattern: /session affinity timeout|should update (endpoints|nodePort)/u, processes: 4 },
        { pattern: all, processes: 6 },
      ],
    },
  ],
};

const netpol: Suite = {
  name: 'netpol',
  include: /\[sig-network\] (Netpol|NetworkPolicy)/u,
  exclusions: [{ pattern: /Netpol API/u, reason: 'asks the API server only' }],
  limits,
  races: [],
  parts: [{ pattern: all, nodes: 3, groups: [{ pattern: all, processes: 6 }] }],
};

export const suites: readonly Suite[] = [netpol, services];

/** A spec that does not run, and why. */
export interface NotRun {
  readonly name: string;
  readonly reason: string;
}

/** What of all specs belongs to a suite, and what of the rest was left out and why. Sorted by name. */
export function select(
  suite: Suite,
  names: readonly string[],
): { readonly selected: readonly string[]; readonly excluded: readonly NotRun[] } {
  const included = [...new Set(names)].filter((name) => suite.include.test(name)).toSorted();
  const excluded = reasons(included, suite.exclusions);
  const out = new Set(excluded.map(({ name }) => name));
  return { selected: included.filter((name) => !out.has(name)), excluded };
}

/** Which of a suite's specs this machine cannot run. */
export function limited(suite: Suite, names: readonly string[], machine: Machine): readonly NotRun[] {
  return reasons(
    names,
    suite.limits.filter(({ needs }) => !machine[needs]),
  );
}

/** Which of these specs that failed run a second time. */
export function runAgain(suite: Suite, failed: readonly string[]): readonly string[] {
  return reasons(failed, suite.races).map(({ name }) => name);
}

/** The names that belong to each of these patterns, in their order: each to the first that it matches. */
export function dealOut<Item extends { readonly pattern: RegExp }>(
  items: readonly Item[],
  names: readonly string[],
): readonly (Item & { readonly names: readonly string[] })[] {
  const firstOf = (name: string): Item | undefined => items.find(({ pattern }) => pattern.test(name));
  return items
    .map((item) => ({ ...item, names: names.filter((name) => firstOf(name) === item) }))
    .filter((item) => item.names.length > 0);
}

function reasons(names: readonly string[], exclusions: readonly Exclusion[]): readonly NotRun[] {
  return names.flatMap((name) => {
    const reason = exclusions.find(({ pattern }) => pattern.test(name))?.reason;
    return reason === undefined ? [] : [{ name, reason }];
  });
}
