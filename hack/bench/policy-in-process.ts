import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { PolicyController } from '../../controllers/policies/policy-controller.ts';
import { partOwnership } from '../../controllers/sync/part-ownership.ts';
import { decodeObject } from '../../pkg/api/index.ts';
import { KernelWriter } from '../../pkg/apply/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { parseRuleConfig } from '../../pkg/config/index.ts';
import { isEmptyPlan, RuleState } from '../../pkg/kernel/index.ts';
import { createCommandRunner, systemClock } from '../../pkg/runtime/index.ts';
import { benchTools } from './bench-tools.ts';
import { namespaceObject, podObject, policyCluster } from './policy-cluster.ts';
import { percentile, round } from './statistics.ts';

/**
 * Measures policies in the network namespace that this process runs in: compile and apply of a whole cluster, then changes of a
 * policy, a pod's labels and a namespace's labels, each from the event to the kernel. Prints one JSON object.
 */
const [backend = 'nft', policiesText = '1000', podsText = '10000', localText = '110'] = process.argv.slice(2);
const [policies, pods, local] = [Number(policiesText), Number(podsText), Number(localText)];
const namespaces = Math.max(1, Math.ceil(pods / 100));

const parsed = parseRuleConfig({ manifests: '-', nodeName: 'node-0', localPodCidrs: '10.244.0.0/24' });
if ('errors' in parsed) throw new Error(parsed.errors.join('; '));
const store = new Store();
const state = new RuleState('IPv4', partOwnership('policies', 'IPv4'));
const noResults: ReturnType<ConstructorParameters<typeof PolicyController>[0]['cniResults']> = [];
const controller = new PolicyController({
  store,
  config: parsed.config,
  states: [state],
  cniResults: () => noResults,
});
const writer = new KernelWriter({
  tools: benchTools(backend),
  commands: createCommandRunner(),
  clock: systemClock,
  onContention: () => undefined,
});

function upsert(raw: object): void {
  const result = decodeObject(raw);
  if (!('object' in result)) throw new Error(`refused: ${JSON.stringify(raw)}`);
  store.upsert(result.object);
}

async function sync(): Promise<void> {
  controller.update(store.takeDirty(), []);
  const plan = state.plan();
  if (isEmptyPlan(plan)) return;
  await writer.apply(plan);
  state.applied(plan);
}

async function measure(events: readonly (() => void)[]): Promise<{ p50: number; p99: number }> {
  const times: number[] = [];
  for (const event of events) {
    const start = performance.now();
    event();
    await sync();
    times.push(performance.now() - start);
  }
  return { p50: round(percentile(times, 0.5)), p99: round(percentile(times, 0.99)) };
}

/** A policy for all pods of its namespace, from all of them to one port. */
function allowSame(index: number, port: number): object {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: `policy-${index}`, namespace: `ns-${index % namespaces}` },
    spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }], ports: [{ port }] }] },
  };
}

/** Bytes in use after a full collection. */
function liveBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

const repeat = 30;
const times = <Value>(make: (index: number) => Value): Value[] =>
  Array.from({ length: repeat }, (_, index) => make(index));

for (const object of policyCluster(policies, pods, local)) upsert(object);
const heapBefore = liveBytes();
const start = performance.now();
await sync();
const fullMs = performance.now() - start;
const heapMB = (liveBytes() - heapBefore) / 1e6;

// The fifth shape selects all pods of its namespace, so each of these changes the rules of a pod of this node.
const policyChange = await measure(times((index) => () => upsert(allowSame(index * 10 + 4, 1000 + index))));
const podLabelChange = await measure(
  times((index) => () => upsert(podObject(index, namespaces, true, { app: `app-${(index + 1) % 20}` }))),
);
const namespaceLabelChange = await measure(
  times((index) => () => upsert(namespaceObject(index, { team: `team-${(index + 3) % 7}` }))),
);
const blocks = Array.from({ length: 5000 }, (_, index) => ({
  ipBlock: { cidr: `100.${64 + (index >> 8)}.${index & 255}.0/28` },
}));
const manyBlocks = await measure([
  () =>
    upsert({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'many-blocks', namespace: 'ns-0' },
      spec: { podSelector: {}, ingress: [{ from: blocks }] },
    }),
]);
const profiles = await measure([
  () => {
    for (let index = 0; index < local; index += 1) {
      upsert(podObject(index, namespaces, true, { own: `own-${index}` }));
      upsert({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: `own-${index}`, namespace: `ns-${index % namespaces}` },
        spec: {
          podSelector: { matchLabels: { own: `own-${index}` } },
          ingress: [{ ports: [{ port: 8080 }] }],
        },
      });
    }
  },
]);
console.log(
  JSON.stringify({
    policies,
    pods,
    fullMs: round(fullMs),
    heapMB: round(heapMB),
    policyChange,
    podLabelChange,
    namespaceLabelChange,
    manyBlocksMs: manyBlocks.p50,
    profilesMs: profiles.p50,
  }),
);
