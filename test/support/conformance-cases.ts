import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import {
  decodeAs,
  type Labels,
  type Namespace,
  type NetworkPolicy,
  type ObjectKind,
  type ObjectOfKind,
  type Pod,
  type Protocol,
} from '../../pkg/api/index.ts';

/** One case: the states that an enforcer goes through, and what must hold in each. */
export interface ConformanceCase {
  readonly index: number;
  readonly description: string;
  readonly steps: readonly ConformanceStep[];
}

/** The whole state after a step's changes. */
export interface ConformanceStep {
  readonly policies: readonly NetworkPolicy[];
  readonly pods: readonly Pod[];
  readonly namespaces: readonly Namespace[];
  readonly expected: readonly ExpectedVerdict[];
}

/** Pods are named `namespace/name`. */
export interface ExpectedVerdict {
  readonly from: string;
  readonly to: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly ingressAllowed: boolean;
  readonly egressAllowed: boolean;
}

interface CaseInFile {
  readonly Index: number;
  readonly Description: string;
  readonly Steps: readonly StepInFile[];
}

interface StepInFile {
  readonly Actions: readonly ActionInFile[] | null;
  readonly Namespaces: Readonly<Record<string, Labels>>;
  readonly Pods: readonly PodInFile[];
  readonly Expected: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>>;
}

interface ActionInFile {
  readonly CreatePolicy?: { readonly Policy: PolicyInFile } | null;
  readonly UpdatePolicy?: { readonly Policy: PolicyInFile } | null;
  readonly DeletePolicy?: { readonly Namespace: string; readonly Name: string } | null;
  readonly DeleteNamespace?: { readonly Namespace: string } | null;
}

interface PolicyInFile {
  readonly metadata: { readonly namespace: string; readonly name: string };
}

interface PodInFile {
  readonly ns: string;
  readonly name: string;
  readonly labels: Labels;
  readonly ip: string;
  readonly ports?: readonly { readonly name: string; readonly port: number; readonly protocol: Protocol }[];
}

/** What every pod of the cyclonus cases serves; the file does not say it. */
const usualPorts = ([80, 81] as const).flatMap((port) =>
  (['TCP', 'UDP', 'SCTP'] as const).map((protocol) => ({
    name: `serve-${port}-${protocol.toLowerCase()}`,
    port,
    protocol,
  })),
);

/** Reads a gzipped file of policy cases; `shared/conformance/README.md` beside the checkout describes the format. */
export function readConformanceCases(path: string): readonly ConformanceCase[] {
  const cases = JSON.parse(gunzipSync(readFileSync(path)).toString()) as readonly CaseInFile[];
  return cases.map(({ Index, Description, Steps }) => ({
    index: Index,
    description: Description,
    steps: stepsOf(Steps),
  }));
}

/** Policies start empty in each case and stay until a step deletes them. */
function stepsOf(steps: readonly StepInFile[]): readonly ConformanceStep[] {
  const policies = new Map<string, NetworkPolicy>();
  return steps.map((step) => {
    for (const action of step.Actions ?? []) applyToPolicies(policies, action);
    return {
      policies: [...policies.values()],
      pods: step.Pods.map(podOf),
      namespaces: Object.entries(step.Namespaces).map(([name, labels]) =>
        decode('Namespace', { metadata: { name, labels } }),
      ),
      expected: expectedOf(step),
    };
  });
}

function applyToPolicies(policies: Map<string, NetworkPolicy>, action: ActionInFile): void {
  const written = action.CreatePolicy?.Policy ?? action.UpdatePolicy?.Policy;
  if (written)
    policies.set(`${written.metadata.namespace}/${written.metadata.name}`, decode('NetworkPolicy', written));
  if (action.DeletePolicy) policies.delete(`${action.DeletePolicy.Namespace}/${action.DeletePolicy.Name}`);
  if (action.DeleteNamespace) {
    for (const [path, { namespace }] of policies)
      if (namespace === action.DeleteNamespace.Namespace) policies.delete(path);
  }
}

function podOf({ ns, name, labels, ip, ports = usualPorts }: PodInFile): Pod {
  return decode('Pod', {
    metadata: { namespace: ns, name, labels },
    spec: {
      containers: [{ name: 'main', ports: ports.map((port) => ({ ...port, containerPort: port.port })) }],
    },
    status: { phase: 'Running', podIPs: [{ ip }] },
  });
}

function expectedOf(step: StepInFile): readonly ExpectedVerdict[] {
  return Object.entries(step.Expected).flatMap(([from, row]) =>
    Object.entries(row).flatMap(([to, cell]) =>
      Object.entries(cell).map(([what, verdict]) => {
        const [protocol = '', port = ''] = what.split('/');
        const [, ingress, egress] = /^I([.X])E([.X])$/.exec(verdict) ?? [];
        if (ingress === undefined || egress === undefined) throw new RangeError(`${verdict} is no verdict`);
        return {
          from,
          to,
          protocol: protocol as Protocol,
          port: Number(port),
          ingressAllowed: ingress === '.',
          egressAllowed: egress === '.',
        };
      }),
    ),
  );
}

function decode<Kind extends ObjectKind>(kind: Kind, raw: unknown): ObjectOfKind<Kind> {
  const result = decodeAs(kind, raw);
  if (result.outcome !== 'object') throw new RangeError(`no ${kind}: ${JSON.stringify(result)}`);
  return result.object as ObjectOfKind<Kind>;
}
