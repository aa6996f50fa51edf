/** How one program of the lab is made. */
export interface Program {
  readonly name: string;
  /** The main package, or the package whose tests become the program. */
  readonly package: string;
  readonly kind: 'command' | 'test';
  /** Folder of its Go module below `hack/upstream`. */
  readonly module: '.' | 'coredns';
}

/** What the lab needs and no package manager has in these versions. Sorted by name. */
export const programs: readonly Program[] = [
  command('agnhost', 'k8s.io/kubernetes/test/images/agnhost'),
  { name: 'coredns', package: '.', kind: 'command', module: 'coredns' },
  { name: 'e2e.test', package: './e2e', kind: 'test', module: '.' },
  command('ginkgo', 'github.com/onsi/ginkgo/v2/ginkgo'),
  command('kube-apiserver', 'k8s.io/kubernetes/cmd/kube-apiserver'),
  command('kube-controller-manager', 'k8s.io/kubernetes/cmd/kube-controller-manager'),
  command('kube-proxy', 'k8s.io/kubernetes/cmd/kube-proxy'),
  command('kube-scheduler', 'k8s.io/kubernetes/cmd/kube-scheduler'),
  command('kubectl', 'k8s.io/kubernetes/cmd/kubectl'),
  command('regression-issue-74839', 'k8s.io/kubernetes/test/images/regression-issue-74839'),
];

function command(name: string, mainPackage: string): Program {
  return { name, package: mainPackage, kind: 'command', module: '.' };
}

/** The version of Kubernetes that a go.mod pins, `v1.36.3` say. Throws where it names none. */
export function kubernetesVersion(goMod: string): string {
  const version = /^\s*k8s\.io\/kubernetes (v\d+\.\d+\.\d+\S*)$/mu.exec(goMod)?.[1];
  if (version === undefined) throw new RangeError('go.mod does not pin k8s.io/kubernetes');
  return version;
}

/**
 * Options of the linker: no debugging tables, and the version that upstream's release scripts would write. Without it a
 * program calls itself v0.0.0, and version skew checks and the tests' skips by version go wrong. No date and no commit,
 * so that the same sources give the same bytes.
 */
export function linkerFlags(version: string): string {
  const [major = '', minor = ''] = version.slice(1).split('.');
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'archive' };
  const stamps = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((path) =>
    Object.entries(values).map(([name, value]) => `-X ${path}.${name}=${value}`),
  );
  return ['-s', '-w', ...stamps].join(' ');
}

/** What upstream's release builds leave out as well. One list for all, so that they share compiled packages. */
export const buildTags = 'selinux,notest,grpcnotrace';
