import type { Step } from '../act.ts';
import { expectReach, follow } from '../connections.ts';
import { targetText } from '../requests.ts';
import { frontendToApi, shopConnections } from '../shop.ts';
import { duration } from '../stage.ts';

const file = 'allow-application.yaml';

export const policyAllow: Step = {
  title: 'Allow what the application needs',
  run: async ({ stage, cluster }) => {
    stage.say(
      `${file} allows frontend → api-server at port 8080, and api-server → postgres at port 5432. ` +
        'These are ports of the pods: policies judge a connection behind the Service.',
    );
    const followedMs = await follow(frontendToApi(cluster), 'answered', () =>
      cluster.manifests.savePolicies(file),
    );
    stage.observed(`${duration(followedMs)} after it was saved, frontend reaches api-server again.`);
    stage.gap();
    const connections = shopConnections(cluster);
    const reached = await expectReach(connections, ({ need }) => need !== 'none');
    stage.table([
      ['FROM', 'TO', 'ADDRESS', 'NOW'],
      ...connections.map(({ from, name, to }, index) => [
        from.name,
        name,
        targetText(to),
        reached[index] ?? '',
      ]),
    ]);
    stage.gap();
    stage.observed(
      'Exactly that is open, over IPv4 and IPv6. The database, the debug port and the way in from outside stay shut.',
    );
  },
};
