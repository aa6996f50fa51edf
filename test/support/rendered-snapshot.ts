import {
  type EndpointSlice,
  type NamespacedName,
  namespacedName,
  type Service,
} from '../../pkg/api/index.ts';
import { isEmptyPlan, type KernelSnapshot, type Plan, RuleState } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { decideService, type Topology } from '../../pkg/service/decide/index.ts';
import {
  ServiceRules,
  type ServiceRulesOptions,
  serviceOwnership,
} from '../../pkg/service/iptables/index.ts';
import { FakeKernel } from './fake-kernel.ts';

/** The options of a node that knows its pods by 10.0.0.0/8 or fd00:10::/32, and nothing out of the ordinary else. */
export function serviceOptions(
  family: Family,
  changes: Partial<ServiceRulesOptions> = {},
): ServiceRulesOptions {
  return {
    family,
    detector: { kind: 'cidr', cidr: family === 'IPv4' ? '10.0.0.0/8' : 'fd00:10::/32' },
    masqueradeAll: false,
    masqueradeBit: 14,
    tcpBeLiberal: false,
    nodePorts: { kind: 'all', exceptLoopback: family === 'IPv6' },
    localhostNodePorts: family === 'IPv4',
    nodeIP: family === 'IPv4' ? '192.168.0.2' : 'fd00:192::2',
    ...changes,
  };
}

export interface ServiceObjects {
  readonly service: Service;
  readonly slices?: readonly EndpointSlice[];
}

/** The Service rules of one family on one node, from objects to plans, as an agent would run them, but without a kernel. */
export class RenderedNode {
  readonly state: RuleState;
  readonly rules: ServiceRules;
  readonly #family: Family;
  readonly #topology: Topology;
  readonly #kernel = new FakeKernel();

  constructor(options: ServiceRulesOptions, topology: Topology, kernel?: KernelSnapshot) {
    this.#family = options.family;
    this.#topology = topology;
    this.state = new RuleState(options.family, serviceOwnership(options.family));
    if (kernel !== undefined) {
      this.#kernel.load(kernel);
      this.state.replaceApplied(kernel);
    }
    this.rules = new ServiceRules(this.state, options);
  }

  set({ service, slices = [] }: ServiceObjects): void {
    const decisions = decideService(service, slices, this.#family, this.#topology);
    this.rules.setService(namespacedName(service.namespace, service.name), decisions);
  }

  delete(name: NamespacedName): void {
    this.rules.setService(name, []);
  }

  /** Brings the kernel up to date and tells what that took. `afterEach` may look at every state on the way. */
  sync(afterEach?: () => void): Plan {
    this.rules.finish();
    const plan = this.state.plan();
    this.#kernel.apply(plan, afterEach);
    this.state.applied(plan);
    if (!isEmptyPlan(this.state.plan())) throw new Error('there is something left to do after a sync');
    return plan;
  }

  kernel(): KernelSnapshot {
    return this.#kernel.snapshot();
  }
}

/** Renders objects into what the kernel would hold. */
export function renderedSnapshot(
  options: ServiceRulesOptions,
  topology: Topology,
  objects: readonly ServiceObjects[],
): KernelSnapshot {
  const node = new RenderedNode(options, topology);
  for (const one of objects) node.set(one);
  node.sync();
  return node.kernel();
}
