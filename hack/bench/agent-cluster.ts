import type { Manifest } from '../../test/support/service-manifests.ts';
import { type BenchService, benchServices, podIP, serviceObject, sliceObject } from './cluster.ts';
import { policyCluster } from './policy-cluster.ts';

export interface AgentClusterSize {
  readonly services: number;
  readonly endpointsEach: number;
  readonly pods: number;
  readonly policies: number;
}

const localPods = 110;
const pairAddress = '10.201.0.2';

/** What an API server would tell of a cluster, with all that it tells and Weir has no use for. */
export function agentCluster(size: AgentClusterSize): readonly Manifest[] {
  const services = benchServices(size.services, size.endpointsEach);
  return [
    nodeObject(),
    ...policyCluster(size.policies, size.pods, Math.min(localPods, size.pods)).map(dressed),
    ...services.flatMap((service) => [dressed(serviceObject(service)), dressed(sliceObject(service))]),
  ];
}

/** A Service that leads to the server of the bench's network; `turn` from 0 to 65,535. */
export function pairService(turn: number): BenchService {
  // Above what is drawn at random for few Services, so that it hardly ever collides.
  const ip = `10.111.${turn >> 8}.${turn & 255}`;
  return { name: `pair-${turn}`, ip, endpoints: [pairAddress] };
}

export function pairObjects(turn: number): readonly [service: Manifest, slice: Manifest] {
  const pair = pairService(turn);
  return [dressed(serviceObject(pair)), dressed(sliceObject(pair))];
}

/** The slice of the first Service with another endpoint. */
export function changedSlice(size: AgentClusterSize, turn: number): Manifest {
  const [first] = benchServices(size.services, size.endpointsEach);
  if (first === undefined) throw new RangeError('a cluster without Services');
  return dressed(sliceObject({ ...first, endpoints: [podIP(60_000 + turn)] }));
}

function nodeObject(): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'node-0' },
    spec: {},
    status: { addresses: [{ type: 'InternalIP', address: '10.200.0.1' }] },
  };
}

/** Adds what a real object has beside: who manages which field, and in pods the containers' details and states. */
function dressed(plain: object): Manifest {
  const object = plain as Manifest;
  const metadata = object['metadata'] as Manifest;
  const managed = { ...object, metadata: { ...metadata, managedFields: managedFields(object['kind']) } };
  return object['kind'] === 'Pod' ? dressedPod(managed) : managed;
}

function dressedPod(pod: Manifest): Manifest {
  const spec = pod['spec'] as Manifest;
  const status = pod['status'] as Manifest;
  const image = 'registry.example.com/team/application:2026.11.21-a1b2c3d';
  const [container = {}] = spec['containers'] as readonly Manifest[];
  return {
    ...pod,
    spec: {
      ...spec,
      serviceAccountName: 'default',
      restartPolicy: 'Always',
      dnsPolicy: 'ClusterFirst',
      schedulerName: 'default-scheduler',
      tolerations: ['not-ready', 'unreachable'].map((key) => ({
        key: `node.kubernetes.io/${key}`,
        operator: 'Exists',
        effect: 'NoExecute',
        tolerationSeconds: 300,
      })),
      containers: [
        {
          ...container,
          image,
          imagePullPolicy: 'IfNotPresent',
          resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
          env: Array.from({ length: 8 }, (_, index) => ({
            name: `SETTING_${index}`,
            value: `value of the setting with number ${index}`,
          })),
          volumeMounts: [
            {
              name: 'kube-api-access',
              readOnly: true,
              mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
            },
          ],
        },
      ],
    },
    status: {
      ...status,
      qosClass: 'Burstable',
      hostIP: '192.0.2.7',
      startTime: '2026-11-21T09:00:00Z',
      conditions: [
        'PodReadyToStartContainers',
        'Initialized',
        'Ready',
        'ContainersReady',
        'PodScheduled',
      ].map((type) => ({
        type,
        status: 'True',
        lastProbeTime: null,
        lastTransitionTime: '2026-11-21T09:00:07Z',
      })),
      containerStatuses: [
        {
          name: 'c',
          ready: true,
          started: true,
          restartCount: 0,
          image,
          imageID: `registry.example.com/team/application@sha256:${'0123456789abcdef'.repeat(4)}`,
          containerID: `containerd://${'fedcba9876543210'.repeat(4)}`,
          state: { running: { startedAt: '2026-11-21T09:00:06Z' } },
          lastState: {},
        },
      ],
    },
  };
}

function managedFields(kind: unknown): readonly Manifest[] {
  const count = kind === 'Pod' ? 24 : 8;
  const fields = Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`f:field${index}`, { 'f:inner': {} }]),
  );
  return ['kube-controller-manager', 'kubelet'].map((manager) => ({
    manager,
    operation: 'Update',
    apiVersion: 'v1',
    time: '2026-11-21T09:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:metadata': fields },
  }));
}
