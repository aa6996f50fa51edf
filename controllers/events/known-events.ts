import type { Diagnostic } from '../../pkg/api/index.ts';
import { parts as allParts, type Part } from '../sync/part-ownership.ts';
import type { EventDetails } from './event-object.ts';
import type { EventSink } from './event-recorder.ts';

const partNames = { policies: 'network policies', services: 'Services' } as const;

/** kube-proxy's own events, word for word where machines read them, and Weir's. */
export const knownEvents = {
  starting: (nodeName: string, parts: readonly Part[] = allParts): EventDetails => ({
    regarding: { kind: 'Node', name: nodeName },
    type: 'Normal',
    reason: 'Starting',
    action: parts.includes('services') ? 'StartKubeProxy' : 'StartPolicies',
    note: `Weir serves ${parts
      .toReversed()
      .map((part) => partNames[part])
      .join(' and ')} on this node`,
  }),
  healthServerFailed: (nodeName: string, note: string): EventDetails =>
    startWarning(nodeName, 'FailedToStartProxierHealthcheck', note),
  metricsServerFailed: (nodeName: string, note: string): EventDetails =>
    startWarning(nodeName, 'FailedToStartMetricServer', note),
  serviceHealthServerFailed: (namespace: string, name: string, note: string): EventDetails => ({
    regarding: { kind: 'Service', namespace, name },
    type: 'Warning',
    reason: 'FailedToStartServiceHealthcheck',
    action: 'Listen',
    note,
  }),
  /** Weir's own: somebody else changed its rules, and it put them right. */
  rulesRepaired: (nodeName: string, note: string): EventDetails => ({
    regarding: { kind: 'Node', name: nodeName },
    type: 'Warning',
    reason: 'RulesRepaired',
    action: 'SyncRules',
    note,
  }),
  /** Weir's own: another proxy writes Service rules, and Weir leaves them to it for a while. */
  otherProxy: (nodeName: string, note: string): EventDetails => ({
    regarding: { kind: 'Node', name: nodeName },
    type: 'Warning',
    reason: 'OtherProxy',
    action: 'SyncRules',
    note,
  }),
  /** Weir's own: it removed what kube-proxy had left in force in a mode without iptables rules. */
  leftoversRemoved: (nodeName: string, note: string): EventDetails => ({
    regarding: { kind: 'Node', name: nodeName },
    type: 'Normal',
    reason: 'LeftoversRemoved',
    action: 'SyncRules',
    note,
  }),
  /** Weir's own: another Service has the address and port already. */
  addressConflict: (namespace: string, name: string, note: string): EventDetails => ({
    regarding: { kind: 'Service', namespace, name },
    type: 'Warning',
    reason: 'AddressConflict',
    action: 'SyncRules',
    note,
  }),
} as const;

/** Tells of each conflict once, for as long as it lasts. */
export class ConflictEvents {
  readonly #sink: EventSink;
  #told: ReadonlySet<string> = new Set();

  constructor(sink: EventSink) {
    this.#sink = sink;
  }

  /** `conflicts` are all that there are now (`ServiceController.conflictDiagnostics`). */
  replace(conflicts: readonly Diagnostic[]): void {
    const told = new Set<string>();
    for (const { namespace, name, message } of conflicts) {
      const key = `${namespace}/${name} ${message}`;
      // In dual-stack clusters a node port is contested in both families: one event.
      if (!told.has(key) && !this.#told.has(key))
        this.#sink.event(knownEvents.addressConflict(namespace, name, message));
      told.add(key);
    }
    this.#told = told;
  }
}

function startWarning(nodeName: string, reason: string, note: string): EventDetails {
  return {
    regarding: { kind: 'Node', name: nodeName },
    type: 'Warning',
    reason,
    action: 'StartKubeProxy',
    note,
  };
}
