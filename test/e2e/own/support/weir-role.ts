import type { OwnLab } from './own-lab.ts';

interface ClusterRole {
  readonly rules: readonly { readonly resources: readonly string[] }[];
}

/** Takes a kind of object out of what Weir may read; resolves with what gives it back. */
export async function withoutRightTo(lab: OwnLab, resource: string): Promise<() => Promise<void>> {
  const role = await lab.get<ClusterRole>('clusterrole', 'weir');
  const rules = role.rules.map((rule) => ({
    ...rule,
    resources: rule.resources.filter((name) => name !== resource),
  }));
  await lab.kubectl(['replace', '-f', '-'], { input: JSON.stringify({ ...role, rules }) });
  return async () => {
    const now = await lab.get<ClusterRole>('clusterrole', 'weir');
    await lab.kubectl(['replace', '-f', '-'], { input: JSON.stringify({ ...now, rules: role.rules }) });
  };
}
