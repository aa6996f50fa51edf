import { ServiceController } from '../../controllers/services/service-controller.ts';
import { decodeObject } from '../../pkg/api/index.ts';
import { type Backend, detectBackend, KernelWriter } from '../../pkg/apply/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { parseRuleConfig } from '../../pkg/config/index.ts';
import { isEmptyPlan, type KernelSnapshot, RuleState } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { isWeirError, systemClock } from '../../pkg/runtime/index.ts';
import { serviceOwnership } from '../../pkg/service/iptables/index.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import type { Manifest } from './service-manifests.ts';

const tables = ['filter', 'nat'] as const;

type Kernels = ReadonlyMap<Family, KernelSnapshot>;

interface KernelFamily {
  readonly family: Family;
  readonly writer: KernelWriter;
  /** As it was last read; `undefined` when something went wrong since. */
  snapshot: KernelSnapshot | undefined;
}

/**
 * Prepares to write into the kernel of a node, which has these addresses. For many states one after the other this is much
 * quicker than the program itself.
 */
export async function openServiceKernel(
  node: NetworkNamespace,
  backend: Backend,
  addresses: readonly string[],
): Promise<ServiceKernel> {
  const commands = node.runner;
  const { families } = await detectBackend({ commands, choice: backend });
  const writers = families.map((tools): KernelFamily => {
    const writer = new KernelWriter({ tools, commands, clock: systemClock, onContention: () => undefined });
    return { family: tools.family, writer, snapshot: undefined };
  });
  return new ServiceKernel(writers, addresses);
}

/** The Service rules in the kernel of one node. */
export class ServiceKernel {
  readonly #families: readonly KernelFamily[];
  readonly #addresses: readonly string[];

  constructor(families: readonly KernelFamily[], addresses: readonly string[]) {
    this.#families = families;
    this.#addresses = addresses;
  }

  /**
   * Makes the kernel hold the rules for these objects, and nothing else of ours; returns what it then holds, as it saves it.
   * Throws when an object can't be read, and when a second look at the kernel would write again.
   */
  async replace(manifests: readonly Manifest[], flags: Manifest): Promise<Kernels> {
    try {
      return await this.#replace(manifests, flags);
    } catch (error) {
      // A busy machine: the program would read the kernel and try again, too.
      if (!isWeirError(error) || !error.retryable) throw error;
      return this.#replace(manifests, flags);
    }
  }

  async #replace(manifests: readonly Manifest[], flags: Manifest): Promise<Kernels> {
    const states = await Promise.all(
      this.#families.map(async ({ family, writer, snapshot }) => {
        const state = new RuleState(family, serviceOwnership(family));
        state.replaceApplied(snapshot ?? (await writer.read(tables)));
        return state;
      }),
    );
    this.#render(states, manifests, flags);
    const results = await Promise.allSettled(
      this.#families.map((one) => write(one.writer, states[this.#families.indexOf(one)])),
    );
    const kernels = new Map<Family, KernelSnapshot>();
    for (const [index, one] of this.#families.entries()) {
      const result = results[index];
      one.snapshot = result?.status === 'fulfilled' ? result.value : undefined;
      if (one.snapshot !== undefined) kernels.set(one.family, one.snapshot);
    }
    for (const result of results) if (result.status === 'rejected') throw result.reason as Error;
    return kernels;
  }

  #render(states: readonly RuleState[], manifests: readonly Manifest[], flags: Manifest): void {
    const parsed = parseRuleConfig(flags);
    if ('errors' in parsed) throw new Error(parsed.errors.join('; '));
    const store = new Store();
    for (const manifest of manifests) {
      const result = decodeObject(manifest);
      if (result.outcome === 'invalid') throw new Error(JSON.stringify(result.diagnostics));
      if (result.outcome === 'object') store.upsert(result.object);
    }
    const controller = new ServiceController({
      store,
      config: parsed.config,
      tcpBeLiberal: false,
      states,
      interfaceAddresses: () => this.#addresses,
    });
    controller.update(store.takeDirty());
  }
}

async function write(writer: KernelWriter, state: RuleState | undefined): Promise<KernelSnapshot> {
  if (state === undefined) throw new Error('a family without a state');
  const plan = state.plan();
  if (!isEmptyPlan(plan)) await writer.apply(plan);
  const snapshot = await writer.read(tables);
  state.replaceApplied(snapshot);
  const again = state.plan();
  if (!isEmptyPlan(again)) throw new Error(`not at rest after one write: ${JSON.stringify(again)}`);
  return snapshot;
}
