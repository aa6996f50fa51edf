import type { Step } from '../act.ts';
import { expect } from '../expect.ts';

/** The kubelet writes the same chain, with the same rule, so no proxy may take it away. */
const sharedChain = 'KUBE-FIREWALL';

export const leave: Step = {
  title: 'Check, and leave nothing behind',
  run: async ({ stage, cluster, weir }) => {
    const { exitCode, lines } = await weir.plan();
    const text = lines.join('\n');
    expect(
      exitCode === 0,
      'weir plan finds no difference',
      'exit code 0: no change',
      `exit code ${exitCode}\n${text}`,
    );
    stage.command('weir plan');
    for (const line of lines) stage.say(`  ${line}`);
    stage.observed('The kernel holds exactly what the files say.');
    stage.gap();

    await weir.stop();
    await weir.cleanup();
    const left = (await cluster.rules.everything()).match(/^.*\b(KUBE|WEIR)-.*$/gm) ?? [];
    const foreign = left.filter((line) => !line.includes(sharedChain));
    expect(
      foreign.length === 0,
      'weir cleanup removes all of it',
      'no chain, rule or set of Weir',
      foreign.join('\n'),
    );
    stage.command('weir cleanup');
    stage.observed(
      `Weir ends, and its chains, rules and sets are gone from the kernel. Only ${sharedChain} stays: a guard that the kubelet needs as well.`,
    );
  },
};
