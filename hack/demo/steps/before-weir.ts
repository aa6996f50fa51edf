import type { Service } from '../../../pkg/api/index.ts';
import type { Step } from '../act.ts';
import { clusterTarget } from '../addresses.ts';
import { expect } from '../expect.ts';
import { targetText } from '../requests.ts';

const patienceMs = 300;

export const beforeWeir: Step = {
  title: 'Before Weir',
  run: async ({ stage, cluster, weir }) => {
    const target = clusterTarget(cluster.service('api-server'), 'IPv4');
    const outcome = await cluster
      .pod('frontend')
      .connect({ ...target, protocol: 'tcp', timeoutMs: patienceMs });
    expect(
      outcome.kind !== 'reply',
      'nobody answers at a Service address before Weir runs',
      'no answer',
      outcome,
    );
    stage.observed(`frontend asks the Service api-server at ${targetText(target)}: no answer.`);
    stage.gap();

    const { families } = await weir.planReport();
    const chains = families.flatMap((family) => family.writeChains);
    const planned = (service: Service): boolean =>
      chains.some(({ owner }) => owner?.startsWith(`${service.namespace}/${service.name}:`) ?? false);
    const wrong = cluster.services.filter(
      (service) => planned(service) !== (hasAddress(service) && cluster.podsBehind(service).length > 0),
    );
    const namesOnly = cluster.services
      .filter((service) => !hasAddress(service))
      .map((service) => service.name);
    expect(
      wrong.length === 0,
      'weir plan has chains for the right Services',
      'chains for each Service with an address and pods, and for no other',
      `not so for ${wrong.map((service) => service.name).join(', ')}`,
    );
    const rules = await cluster.rules.chains();
    expect(rules.length === 0, 'weir plan touches nothing', 'no chains in the kernel', rules);
    stage.command('weir plan');
    stage.observed(
      `shows what Weir would write, and touches nothing: ${chains.length} chains (lists of rules).`,
    );
    stage.observed(
      `left alone: ${namesOnly.join(', ')}. ExternalName and headless Services are only names for DNS.`,
    );
  },
};

function hasAddress({ headless, type }: Service): boolean {
  return !headless && type !== 'ExternalName';
}
