import type { Step } from '../act.ts';
import { expectReach, follow } from '../connections.ts';
import { expect } from '../expect.ts';
import { shopConnections } from '../shop.ts';
import { duration } from '../stage.ts';

export const policyRemove: Step = {
  title: 'Take the policies away',
  run: async ({ stage, cluster }) => {
    const connections = shopConnections(cluster);
    const shut = connections.find(({ need }) => need === 'none');
    expect(shut !== undefined, 'the shop has a way that is shut', 'one', 'none');
    const followedMs = await follow(shut, 'answered', () => cluster.manifests.removePolicies());
    await expectReach(connections, () => true);
    stage.observed(
      `${duration(followedMs)} after the files were deleted, ${shut.from.name} reaches ${shut.name}, and all is open as before.`,
    );
  },
};
