import type { Step } from '../act.ts';
import { expectReach, follow } from '../connections.ts';
import { targetText } from '../requests.ts';
import { apiServerPod, debugPort, frontendToApi, shopConnections } from '../shop.ts';
import { duration } from '../stage.ts';

const file = 'default-deny.yaml';

export const policyDefaultDeny: Step = {
  title: 'Default deny',
  run: async ({ stage, cluster }) => {
    await apiServerPod(cluster).listen({ protocol: 'tcp', port: debugPort });
    const connections = shopConnections(cluster);
    const before = await expectReach(connections, () => true);

    const followedMs = await follow(frontendToApi(cluster), 'no answer', () =>
      cluster.manifests.savePolicies(file),
    );
    stage.observed(
      `${file} selects all pods of the shop and allows nothing. ${duration(followedMs)} after it was saved, ` +
        `frontend can no longer reach api-server.`,
    );
    stage.gap();
    const after = await expectReach(connections, ({ need }) => need === 'node');
    stage.table([
      ['FROM', 'TO', 'ADDRESS', 'NO POLICY', 'DEFAULT DENY'],
      ...connections.map(({ from, name, to }, index) => [
        from.name,
        name,
        targetText(to),
        before[index] ?? '',
        after[index] ?? '',
      ]),
    ]);
    stage.gap();
    stage.observed(
      'Only the node itself still gets through, as it must for the health checks of the kubelet.',
    );
  },
};
