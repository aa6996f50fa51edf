import type {
  Diagnostic,
  NetworkPolicy,
  Pod,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  PolicyType,
} from '../../api/index.ts';
import { cidrContains, cidrCovers, familyOf, parseAddress, parseCidr } from '../../net/index.ts';
import { clausesOf, namedPortMembers } from './clauses.ts';
import type { PodDirectory } from './pod-directory.ts';

/** What the hints on one rule are told from. */
interface RuleContext {
  readonly policy: NetworkPolicy;
  /** The pods that the policy selects; at least one. */
  readonly subjects: readonly Pod[];
  readonly directory: PodDirectory;
  readonly serviceRanges: readonly string[];
}

type FieldHint = Pick<Diagnostic, 'field' | 'message'>;

/** Hints on the rules of one policy that selects pods, in order of field. */
export function ruleHints(context: RuleContext): readonly Diagnostic[] {
  const { policy } = context;
  const hints = [
    ...policy.ingress.flatMap((rule, index) =>
      hintsOfRule(context, 'Ingress', rule, `spec.ingress[${index}]`),
    ),
    ...policy.egress.flatMap((rule, index) => hintsOfRule(context, 'Egress', rule, `spec.egress[${index}]`)),
  ];
  const { namespace, name } = policy;
  return hints.map(({ field, message }) => ({
    severity: 'hint',
    kind: 'NetworkPolicy',
    namespace,
    name,
    field,
    message,
  }));
}

function hintsOfRule(
  context: RuleContext,
  direction: PolicyType,
  rule: PolicyRule,
  path: string,
): readonly FieldHint[] {
  const ports = (rule.ports ?? []).flatMap((port, index) =>
    namedPortHints(context, direction, rule, port, `${path}.ports[${index}].port`),
  );
  const list = direction === 'Ingress' ? 'from' : 'to';
  const blocks = (rule.peers ?? []).flatMap((peer, index) =>
    blockHints(context, peer, `${path}.${list}[${index}].ipBlock`),
  );
  return [...ports, ...blocks];
}

function namedPortHints(
  { policy, directory }: RuleContext,
  direction: PolicyType,
  { peers }: PolicyRule,
  port: PolicyPort,
  field: string,
): readonly FieldHint[] {
  if (port.kind !== 'named') return [];
  const clauses = clausesOf(policy, direction, { peers, ports: [port] });
  const isFound = clauses.some(
    ({ ports }) => ports.kind === 'named' && namedPortMembers(ports.set, directory).length > 0,
  );
  if (isFound) return [];
  const who =
    direction === 'Ingress' ? 'pod that the policy selects' : 'pod among the destinations of this rule';
  return [
    {
      field,
      message: `no ${who} has a ${port.protocol} port named ${JSON.stringify(port.name)}, so this port allows nothing`,
    },
  ];
}

function blockHints(context: RuleContext, peer: PolicyPeer, path: string): readonly FieldHint[] {
  if (peer.kind !== 'ipBlock') return [];
  return [
    ...familyHints(context.subjects, peer.cidr, `${path}.cidr`),
    ...serviceRangeHints(context, peer.cidr, `${path}.cidr`),
    ...peer.except.flatMap((hole, index) => serviceRangeHints(context, hole, `${path}.except[${index}]`)),
  ];
}

function familyHints(subjects: readonly Pod[], block: string, field: string): readonly FieldHint[] {
  const family = familyOf(block);
  if (subjects.some((pod) => pod.addresses.some((address) => address.family === family))) return [];
  return [
    {
      field,
      message: `no pod that the policy selects has an ${family} address, so ${block} matches nothing`,
    },
  ];
}

/**
 * A block that holds Service addresses and no pods. Everything larger, 0.0.0.0/0 for one, has other uses, and traffic to a
 * Service matches it by the address of the pod.
 */
function serviceRangeHints(
  { directory, serviceRanges }: RuleContext,
  block: string,
  field: string,
): readonly FieldHint[] {
  const range = serviceRanges.find((candidate) => overlap(block, candidate));
  if (range === undefined || holdsPod(block, directory)) return [];
  const message = `${block} covers Service addresses (${range}), which a policy never sees: it judges traffic by the address of the pod behind the Service; select the pods instead`;
  return [{ field, message }];
}

function overlap(a: string, b: string): boolean {
  const [one, other] = [parseCidr(a), parseCidr(b)];
  return (
    one !== undefined &&
    other !== undefined &&
    one.length > 0 &&
    (cidrCovers(one, other) || cidrCovers(other, one))
  );
}

function holdsPod(block: string, { podsByNamespace }: PodDirectory): boolean {
  const cidr = parseCidr(block);
  if (cidr === undefined) return false;
  return [...podsByNamespace.values()].flat().some((pod) =>
    pod.addresses.some(({ ip }) => {
      const address = parseAddress(ip);
      return address !== undefined && cidrContains(cidr, address);
    }),
  );
}
