import type { Step } from '../act.ts';
import { expect } from '../expect.ts';
import { duration } from '../stage.ts';

export const startWeir: Step = {
  title: 'Start Weir',
  run: async ({ stage, cluster, weir }) => {
    stage.command('weir run --manifests … --node-name node-1');
    const readyMs = await weir.start();
    const chains = await cluster.rules.chains();
    expect(chains.includes('KUBE-SERVICES'), 'the rules are in the kernel', 'a chain KUBE-SERVICES', chains);
    stage.observed(
      `ready ${duration(readyMs)} after its process began; the kernel now holds its ${chains.length} chains.`,
    );
    stage.say('From here on the kernel does the work by itself. Weir only keeps the rules up to date.');
  },
};
