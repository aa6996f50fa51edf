import {
  equalObjects,
  type Namespace,
  type NamespacedName,
  type NetworkPolicy,
  namespacedName,
  type Pod,
} from '../../pkg/api/index.ts';
import {
  type Packet as ForwardedPacket,
  isEmptyPlan,
  type KernelSnapshot,
  type Outcome,
  PacketTracer,
  type Plan,
  RuleState,
} from '../../pkg/kernel/index.ts';
import { type Family, familyOf } from '../../pkg/net/index.ts';
import type { Packet, PolicyWorld } from '../../pkg/policy/decide/index.ts';
import { PolicyRules, type PolicyRulesOptions, policyOwnership } from '../../pkg/policy/iptables/index.ts';
import { FakeKernel } from './fake-kernel.ts';

/** The options of a node that drops silently and leaves established connections and unknown addresses alone. */
export function policyOptions(family: Family, changes: Partial<PolicyRulesOptions> = {}): PolicyRulesOptions {
  return {
    family,
    nodeName: 'node-1',
    deny: 'drop',
    established: 'keep',
    guard: undefined,
    ...changes,
  };
}

/** The policy rules of one family on one node, from objects to plans, as an agent would run them, but without a kernel. */
export class PolicyNode {
  readonly state: RuleState;
  readonly rules: PolicyRules;
  readonly #family: Family;
  readonly #kernel = new FakeKernel();
  readonly #policies = new Map<NamespacedName, NetworkPolicy>();
  readonly #pods = new Map<NamespacedName, Pod>();
  readonly #namespaces = new Map<string, Namespace>();
  #tracer: PacketTracer | undefined;

  /** `kernel`: what another agent left. */
  constructor(options: PolicyRulesOptions, kernel?: KernelSnapshot) {
    this.#family = options.family;
    this.state = new RuleState(options.family, policyOwnership(options.family));
    if (kernel !== undefined) {
      this.#kernel.load(kernel);
      this.state.replaceApplied(kernel);
    }
    this.rules = new PolicyRules(this.state, options);
  }

  /**
   * Tells the rules what is different in this world, and nothing else, and brings the kernel up to date. `unowned`: addresses of either
   * family that the container runtime gave to pods which are not in the world.
   */
  become({ policies, pods, namespaces }: PolicyWorld, unowned: readonly string[] = []): Plan {
    const named = <T extends { readonly namespace: string; readonly name: string }>(objects: readonly T[]) =>
      new Map(objects.map((one) => [namespacedName(one.namespace, one.name), one]));
    differences(this.#policies, named(policies), (name, policy) => this.rules.setPolicy(name, policy));
    differences(this.#pods, named(pods), (name, pod) => this.rules.setPod(name, pod));
    differences(this.#namespaces, new Map(namespaces.map((one) => [one.name, one])), (name, namespace) =>
      this.rules.setNamespace(name, namespace),
    );
    this.rules.setUnowned(unowned.filter((ip) => familyOf(ip) === this.#family));
    return this.sync();
  }

  /** Brings the kernel up to date and tells what that took. */
  sync(): Plan {
    this.rules.finish();
    const plan = this.state.plan();
    this.#kernel.apply(plan);
    this.state.applied(plan);
    this.#tracer = undefined;
    if (!isEmptyPlan(this.state.plan())) throw new Error('there is something left to do after a sync');
    return plan;
  }

  kernel(): KernelSnapshot {
    return this.#kernel.snapshot();
  }

  /** What becomes of a packet that the node forwards. */
  trace(packet: ForwardedPacket): Outcome {
    this.#tracer ??= new PacketTracer({ family: this.#family, kernel: this.kernel(), localAddresses: [] });
    const [outcome, ...others] = this.#tracer.trace(packet);
    if (outcome === undefined || others.length > 0 || outcome.undecided)
      throw new Error(`not one outcome for ${JSON.stringify(packet)}`);
    return outcome;
  }

  /** The same for the first packet of a connection, as the evaluator has it. */
  judge(packet: Packet): Outcome {
    return this.trace(firstPacket(packet, this.#family));
  }
}

/** The evaluator's packet as a node meets it; ICMP is an echo request. */
export function firstPacket(
  { source, destination, protocol, destinationPort }: Packet,
  family: Family,
): ForwardedPacket {
  const from = 'outside';
  if (protocol !== 'ICMP') {
    const lower = protocol.toLowerCase() as 'tcp' | 'udp' | 'sctp';
    return { from, source, destination, protocol: lower, sourcePort: 40_000, destinationPort };
  }
  return family === 'IPv4'
    ? { from, source, destination, protocol: 'icmp', icmp: { type: 8, code: 0 } }
    : { from, source, destination, protocol: 'ipv6-icmp', icmp: { type: 128, code: 0 } };
}

function differences<Key, Value extends Namespace | NetworkPolicy | Pod>(
  before: Map<Key, Value>,
  after: ReadonlyMap<Key, Value>,
  tell: (key: Key, value: Value | undefined) => void,
): void {
  for (const key of before.keys()) {
    if (after.has(key)) continue;
    before.delete(key);
    tell(key, undefined);
  }
  for (const [key, value] of after) {
    const old = before.get(key);
    if (old !== undefined && equalObjects(old, value)) continue;
    before.set(key, value);
    tell(key, value);
  }
}
