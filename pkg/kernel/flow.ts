import type { Address } from '../net/index.ts';
import type { TableName } from './names.ts';
import type { Hook, Packet, TraceStep } from './packet.ts';
import type { ConntrackState } from './rule.ts';

/** Where a packet goes: changed by DNAT. `text` is canonical. */
export interface FlowAddress {
  readonly text: string;
  readonly address: Address;
}

/** One of the ways a packet may have gone so far. Never changed; a rule that does something makes a new one. */
export interface Flow {
  readonly destination: FlowAddress;
  readonly destinationPort: number | undefined;
  readonly mark: number;
  readonly dnat: boolean;
  readonly masqueraded: boolean;
  readonly probability: number;
  readonly undecided: boolean;
  /** The newest step first: ways that part share what they have in common. */
  readonly steps: StepList | undefined;
}

interface StepList {
  readonly step: TraceStep;
  readonly before: StepList | undefined;
}

/** What a rule sees of the packet at one hook and table, the same for all its flows. */
export interface HookView {
  readonly hook: Hook;
  readonly table: TableName;
  readonly packet: Packet;
  readonly source: FlowAddress;
  /** Empty where the kernel has none (OUTPUT, POSTROUTING); undefined where it is not known. */
  readonly inInterface: string | undefined;
  readonly outInterface: (flow: Flow) => string | undefined;
  readonly conntrackState: ConntrackState;
  readonly isLocal: (address: FlowAddress) => boolean;
  /** Seconds since `-m recent` saw the source; undefined if it did not. */
  readonly recentAge: (list: string) => number | undefined;
}

export function addStep(flow: Flow, step: TraceStep): Flow {
  const steps = { step, before: flow.steps };
  return { ...flow, steps, undecided: flow.undecided || step.undecided !== undefined };
}

export function listSteps(flow: Flow): readonly TraceStep[] {
  const steps: TraceStep[] = [];
  for (let list = flow.steps; list !== undefined; list = list.before) steps.push(list.step);
  return steps.toReversed();
}

function flowKey(flow: Flow): string {
  const { destination, destinationPort, mark, dnat, masqueraded, undecided } = flow;
  return `${destination.text} ${destinationPort} ${mark} ${dnat} ${masqueraded} ${undecided}`;
}

/**
 * Flows that no later rule can tell apart become one, with the steps of the likeliest; else every random rule that does
 * not end the walk would double their number.
 */
export function mergeFlows(flows: readonly Flow[], keyOf: (flow: Flow) => string = flowKey): readonly Flow[] {
  if (flows.length < 2) return flows;
  const merged = new Map<string, Flow>();
  for (const flow of flows) {
    const key = keyOf(flow);
    const other = merged.get(key);
    if (other === undefined) {
      merged.set(key, flow);
    } else {
      const likelier = other.probability < flow.probability ? flow : other;
      merged.set(key, { ...likelier, probability: other.probability + flow.probability });
    }
  }
  return [...merged.values()];
}
