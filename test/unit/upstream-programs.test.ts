import { expect, test } from 'vitest';
import { kubernetesVersion, linkerFlags } from '../../hack/upstream/programs.ts';

test('the version of Kubernetes is the one that go.mod requires', () => {
  const goMod = 'require (\n\tk8s.io/kubernetes v1.36.3\n)\nreplace k8s.io/api => k8s.io/api v0.36.3\n';
  expect(kubernetesVersion(goMod)).toBe('v1.36.3');
});

test('a go.mod without Kubernetes is refused', () => {
  expect(() => kubernetesVersion('module example\n')).toThrow('k8s.io/kubernetes');
});

test('both places that programs read their version from are stamped', () => {
  const flags = linkerFlags('v1.36.3');
  for (const path of ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']) {
    expect(flags).toContain(`-X ${path}.gitVersion=v1.36.3`);
    expect(flags).toContain(`-X ${path}.gitMajor=1 `);
    expect(flags).toContain(`-X ${path}.gitMinor=36 `);
  }
});
