import { ConntrackController } from '../../controllers/services/conntrack-controller.ts';
import { ServiceController } from '../../controllers/services/service-controller.ts';
import { partOwnership } from '../../controllers/sync/part-ownership.ts';
import { type ApiObject, decodeObject } from '../../pkg/api/index.ts';
import { type Backend, detectBackend, KernelWriter } from '../../pkg/apply/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { parseRuleConfig } from '../../pkg/config/index.ts';
import { isEmptyPlan, RuleState } from '../../pkg/kernel/index.ts';
import { systemClock } from '../../pkg/runtime/index.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { recordedLog } from './recorded-log.ts';
import type { Manifest } from './service-manifests.ts';

const tables = ['filter', 'nat'] as const;

/** Writes the Service rules of one node and has its UDP flows follow them. Starts with whatever the kernel holds. */
export async function startUdpNode(node: NetworkNamespace, backend: Backend): Promise<UdpNode> {
  const commands = node.runner;
  const { families } = await detectBackend({ commands, choice: backend });
  const writers = await Promise.all(
    families.map(async (tools) => {
      const writer = new KernelWriter({ tools, commands, clock: systemClock, onContention: () => undefined });
      const state = new RuleState(tools.family, partOwnership('services', tools.family));
      state.replaceApplied(await writer.read(tables));
      return { writer, state };
    }),
  );
  return new UdpNode(node, writers);
}

interface FamilyWriter {
  readonly writer: KernelWriter;
  readonly state: RuleState;
}

export class UdpNode {
  readonly #families: readonly FamilyWriter[];
  readonly #store = new Store();
  readonly #services: ServiceController;
  readonly #conntrack: ConntrackController;
  readonly #log = recordedLog();
  #objects: readonly ApiObject[] = [];
  #deleted = 0;
  #looks = 0;

  constructor(node: NetworkNamespace, families: readonly FamilyWriter[]) {
    const parsed = parseRuleConfig({
      manifests: 'none',
      nodeName: node.name,
      clusterCidr: '10.244.0.0/16,fd00:10:244::/48',
    });
    if ('errors' in parsed) throw new Error(parsed.errors.join('; '));
    this.#families = families;
    this.#services = new ServiceController({
      store: this.#store,
      config: parsed.config,
      tcpBeLiberal: false,
      states: families.map(({ state }) => state),
      interfaceAddresses: () => node.addresses,
    });
    this.#conntrack = new ConntrackController({
      families: families.map(({ state }) => state.family),
      commands: node.runner,
      clock: systemClock,
      log: this.#log,
      onReconciled: ({ deleted }) => {
        this.#deleted += deleted;
        this.#looks += 1;
      },
    });
    void this.#conntrack.start();
  }

  /** How many flows were deleted so far. */
  get deleted(): number {
    return this.#deleted;
  }

  /** How often the flows of a family were looked at. */
  get looks(): number {
    return this.#looks;
  }

  /** Warnings and errors. */
  get complaints(): readonly string[] {
    return this.#log.lines.filter((line) => /^(?:WARN|ERROR)/.test(line));
  }

  /** The cluster holds these objects and nothing else; returns when the rules are in the kernel. */
  async set(...manifests: readonly Manifest[]): Promise<void> {
    const objects = manifests.map(objectOf);
    const isSame = (a: ApiObject, b: ApiObject): boolean =>
      a.kind === b.kind && a.namespace === b.namespace && a.name === b.name;
    for (const former of this.#objects) {
      if (!objects.some((one) => isSame(one, former)))
        this.#store.remove(former.kind, former.namespace, former.name);
    }
    for (const object of objects) this.#store.upsert(object);
    this.#objects = objects;
    this.#services.update(this.#store.takeDirty());
    for (const { writer, state } of this.#families) {
      const plan = state.plan();
      if (!isEmptyPlan(plan)) {
        await writer.apply(plan);
        state.applied(plan);
      }
      this.#conntrack.synced(state.family, this.#services.takeChangedUdp(state.family));
    }
  }

  async stop(): Promise<void> {
    await this.#conntrack.stop(5000);
  }
}

function objectOf(manifest: Manifest): ApiObject {
  const result = decodeObject(manifest);
  if (result.outcome !== 'object') throw new Error(JSON.stringify(result));
  return result.object;
}
