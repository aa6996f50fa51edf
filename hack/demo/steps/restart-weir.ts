import { systemClock } from '../../../pkg/runtime/index.ts';
import type { Step } from '../act.ts';
import { expect } from '../expect.ts';
import { duration } from '../stage.ts';

/** Requests that must get through while Weir does not run. */
const pauseMs = 700;

export const restartWeir: Step = {
  title: 'Restart Weir under load',
  run: async ({ stage, cluster, weir, traffic }) => {
    const before = await cluster.rules.everything();
    await weir.stop();
    await systemClock.sleep(pauseMs);
    const without = await cluster.rules.everything();
    expect(
      without === before,
      'the rules stay when Weir ends',
      'the same rules',
      difference(before, without),
    );
    stage.observed('Weir ends; every rule stays in the kernel, and the three clients go on.');

    const readyMs = await weir.start();
    const after = await cluster.rules.everything();
    expect(after === before, 'a restart changes no rule', 'the same rules', difference(before, after));
    const writes = weir.log.filter((line) => line.includes('rules written'));
    expect(
      writes.length === 0,
      'a restart writes nothing',
      'no "rules written" in the log',
      writes.join('\n'),
    );
    stage.observed(
      `Weir starts again, and after ${duration(readyMs)} it has compared everything, and wrote nothing.`,
    );

    await traffic.useConnection();
    const requests = await traffic.stop();
    stage.observed(`Of ${requests} requests since the pods began to change, none failed.`);
    stage.observed('The connection to postgres, opened before all that, still works.');
  },
};

function difference(before: string, after: string): string {
  const [old, now] = [before.split('\n'), after.split('\n')];
  return [
    ...old.filter((line) => !now.includes(line)).map((line) => `- ${line}`),
    ...now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
  ].join('\n');
}
