import type { ContainerStatus, Phase, Pod, PodCondition, PodStatus } from './pod.ts';

/** What the kubelet knows of a pod. */
export interface PodFacts {
  readonly pod: Pod;
  readonly hostAddresses: readonly string[];
  readonly addresses: readonly string[];
  readonly startTime: string;
  readonly initialized: boolean;
  readonly initContainers: readonly ContainerStatus[];
  readonly containers: readonly ContainerStatus[];
  /** Why the node threw it out, where it did. */
  readonly evicted?: string | undefined;
  /** The time of day, for conditions that changed. */
  readonly now: string;
}

/** The status to write. Conditions that others own (the scheduler, readiness gates) stay as they are. */
export function podStatus(facts: PodFacts): PodStatus {
  const { addresses, hostAddresses } = facts;
  const phase = phaseOf(facts);
  const asIps = (list: readonly string[]): readonly { readonly ip: string }[] => list.map((ip) => ({ ip }));
  return {
    phase,
    ...(facts.evicted === undefined ? {} : { reason: 'Evicted', message: facts.evicted }),
    conditions: conditionsOf(facts, phase),
    ...(hostAddresses[0] === undefined ? {} : { hostIP: hostAddresses[0] }),
    hostIPs: asIps(hostAddresses),
    ...(addresses[0] === undefined ? {} : { podIP: addresses[0], podIPs: asIps(addresses) }),
    startTime: facts.startTime,
    ...(facts.initContainers.length === 0 ? {} : { initContainerStatuses: facts.initContainers }),
    containerStatuses: facts.containers,
  };
}

function phaseOf({ pod, initialized, initContainers, containers, evicted }: PodFacts): Phase {
  if (evicted !== undefined) return 'Failed';
  const exitCodes = (list: readonly ContainerStatus[]): readonly number[] =>
    list.flatMap(({ state }) => ('terminated' in state ? [state.terminated.exitCode] : []));
  const policy = pod.spec.restartPolicy ?? 'Always';
  if (!initialized) {
    return policy === 'Never' && exitCodes(initContainers).some((code) => code !== 0) ? 'Failed' : 'Pending';
  }
  const ended = exitCodes(containers);
  const deleted = pod.metadata.deletionTimestamp !== undefined;
  if (ended.length === containers.length && (policy !== 'Always' || deleted)) {
    if (ended.every((code) => code === 0)) return 'Succeeded';
    if (policy === 'Never' || deleted) return 'Failed';
  }
  const begun = containers.some(({ state, restartCount }) => !('waiting' in state) || restartCount > 0);
  return begun ? 'Running' : 'Pending';
}

function conditionsOf(facts: PodFacts, phase: Phase): readonly PodCondition[] {
  const { pod, containers, initialized, now } = facts;
  const before = pod.status?.conditions ?? [];
  const over = phase === 'Succeeded' || phase === 'Failed';
  const unready = containers.filter(({ ready }) => !ready).map(({ name }) => name);
  const containersReady = !over && initialized && unready.length === 0;
  const gates = (pod.spec.readinessGates ?? []).every(({ conditionType }) =>
    before.some(({ type, status }) => type === conditionType && status === 'True'),
  );
  const why = over
    ? { reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed' }
    : { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
  const own: readonly PodCondition[] = [
    condition('PodReadyToStartContainers', facts.addresses.length > 0),
    condition('Initialized', initialized),
    { ...condition('Ready', containersReady && gates), ...(containersReady ? {} : why) },
    { ...condition('ContainersReady', containersReady), ...(containersReady ? {} : why) },
  ];
  const stamped = own.map((condition) => {
    const old = before.find(({ type }) => type === condition.type);
    const since = old?.status === condition.status ? old.lastTransitionTime : undefined;
    return { ...condition, lastTransitionTime: since ?? now };
  });
  return [...stamped, ...before.filter(({ type }) => !own.some((condition) => condition.type === type))];
}

function condition(type: string, holds: boolean): PodCondition {
  return { type, status: holds ? 'True' : 'False' };
}
