import { join } from 'node:path';
import type { ClusterSecrets } from './certificates.ts';
import type { ProgramSpec } from './program.ts';
import { apiPort, runFolder, serviceCidrs } from './settings.ts';

/** What the programs of the control plane have to know. */
export interface ControlPlane {
  readonly namespace: string;
  readonly address: string;
  /** Folder of upstream's programs. */
  readonly programs: string;
  readonly secrets: ClusterSecrets;
  readonly kubeconfigs: { readonly controllerManager: string; readonly scheduler: string };
}

const etcdUrl = 'http://127.0.0.1:2379';

/** The distribution's etcd, in memory. */
export function etcd(plane: ControlPlane): ProgramSpec {
  return {
    name: 'etcd',
    file: 'etcd',
    namespace: plane.namespace,
    // Debian's build for arm64 wants to be told that it may run there.
    env: process.arch === 'arm64' ? { ETCD_UNSUPPORTED_ARCH: 'arm64' } : {},
    args: [
      `--data-dir=${join(runFolder, 'etcd')}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      '--listen-peer-urls=http://127.0.0.1:2380',
      '--logger=zap',
      '--log-level=warn',
    ],
  };
}

export function kubeApiserver(plane: ControlPlane): ProgramSpec {
  const { secrets } = plane;
  return {
    name: 'kube-apiserver',
    file: join(plane.programs, 'kube-apiserver'),
    namespace: plane.namespace,
    args: [
      `--etcd-servers=${etcdUrl}`,
      `--secure-port=${apiPort}`,
      '--bind-address=0.0.0.0',
      `--advertise-address=${plane.address}`,
      `--tls-cert-file=${secrets.serverCertificate}`,
      `--tls-private-key-file=${secrets.serverKey}`,
      `--client-ca-file=${secrets.caCertificate}`,
      `--token-auth-file=${secrets.tokenFile}`,
      '--authorization-mode=Node,RBAC',
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-account-signing-key-file=${secrets.serviceAccountKey}`,
      `--service-account-key-file=${secrets.serviceAccountPublicKey}`,
      `--service-cluster-ip-range=${serviceCidrs.join(',')}`,
      '--allow-privileged=true',
      '--kubelet-preferred-address-types=InternalIP',
      '--profiling=false',
    ],
  };
}

export function kubeControllerManager(plane: ControlPlane): ProgramSpec {
  const { secrets } = plane;
  return {
    name: 'kube-controller-manager',
    file: join(plane.programs, 'kube-controller-manager'),
    namespace: plane.namespace,
    args: [
      `--kubeconfig=${plane.kubeconfigs.controllerManager}`,
      `--service-account-private-key-file=${secrets.serviceAccountKey}`,
      `--root-ca-file=${secrets.caCertificate}`,
      `--cluster-signing-cert-file=${secrets.caCertificate}`,
      `--cluster-signing-key-file=${secrets.caKey}`,
      '--use-service-account-credentials',
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      // Tests create and delete namespaces all the time, and wait for it.
      '--kube-api-qps=200',
      '--kube-api-burst=400',
      '--concurrent-namespace-syncs=20',
    ],
  };
}

export function kubeScheduler(plane: ControlPlane): ProgramSpec {
  return {
    name: 'kube-scheduler',
    file: join(plane.programs, 'kube-scheduler'),
    namespace: plane.namespace,
    args: [
      `--kubeconfig=${plane.kubeconfigs.scheduler}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      '--kube-api-qps=200',
      '--kube-api-burst=400',
    ],
  };
}
