import { parseArgs } from 'node:util';
import type { Backend } from '../../pkg/apply/index.ts';
import type { Act, Demo } from './act.ts';
import { type Cluster, openCluster } from './cluster.ts';
import { Unexpected } from './expect.ts';
import { policiesAct } from './policies-act.ts';
import { servicesAct } from './services-act.ts';
import { Stage } from './stage.ts';
import { Traffic } from './traffic.ts';
import { Weir } from './weir.ts';

// Plays the demo; started by hack/demo.ts inside the sandbox.
const acts: readonly Act[] = [servicesAct, policiesAct];
const shownLogLines = 15;

async function main(backend: Backend | 'auto'): Promise<number> {
  const stage = new Stage();
  let cluster: Cluster | undefined;
  let weir: Weir | undefined;
  try {
    cluster = await openCluster(backend);
    weir = new Weir(cluster, backend);
    const demo: Demo = { stage, cluster, weir, traffic: new Traffic() };
    for (const act of acts) await play(act, demo);
    return 0;
  } catch (error) {
    stage.failure(failureLines(error, weir?.log ?? []));
    return 1;
  } finally {
    await weir?.kill();
    await cluster?.close();
  }
}

async function play(act: Act, demo: Demo): Promise<void> {
  demo.stage.title(act.title);
  demo.stage.say(act.introduction);
  for (const step of act.steps) {
    demo.stage.step(step.title);
    await step.run(demo);
  }
}

function failureLines(error: unknown, log: readonly string[]): readonly string[] {
  const logged = log.length === 0 ? [] : ['', "Weir's last log lines:", ...log.slice(-shownLogLines)];
  if (error instanceof Unexpected) {
    const seen = error.seen.split('\n').join('\n            ');
    return [
      `Not as expected: ${error.message}`,
      `expected: ${error.expected}`,
      `seen:     ${seen}`,
      ...logged,
    ];
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return ['The demo could not go on.', ...text.split('\n'), ...logged];
}

const { values } = parseArgs({ options: { backend: { type: 'string', default: 'auto' } } });
process.exitCode = await main(values.backend as Backend | 'auto');
