import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { environmentInside, runningLab, startLab, stopLab, wordsInside } from '../test/lab/lab.ts';
import {
  kindOf,
  kindOptions,
  kindUsage,
  type LabSettings,
  type LabState,
  labFiles,
} from '../test/lab/settings.ts';
import { build } from './build.ts';
import { upstreamFolder } from './upstream.ts';

const usage = `npm run lab -- up|down|status|exec

A Kubernetes cluster on this machine: the real control plane, and nodes that are network namespaces. Needs root and Go.
  up                     starts it, and says how to reach it
    --nodes N            how many nodes, in three zones by turns (default: 3)
${kindUsage}
  down                   takes it away, with every process in it
  status                 says what runs
  exec [NODE] -- WORDS   runs a command in the network of a node, else in that of the control plane`;

async function up(settings: LabSettings): Promise<number> {
  if (settings.proxy === 'weir') await build();
  sayHow(await startLab(settings, await upstreamFolder()));
  return 0;
}

function sayHow(state: LabState): void {
  console.log(`The lab is up: ${state.nodes.map((node) => node.name).join(', ')}. To look at it:`);
  console.log(`  export KUBECONFIG=${labFiles.kubeconfig}`);
  console.log(`  ${join(state.programs, 'kubectl')} get nodes`);
}

async function down(): Promise<number> {
  const state = await runningLab();
  if (state !== undefined) await stopLab(state);
  console.log(state === undefined ? 'There is no lab.' : 'The lab is gone.');
  return 0;
}

async function status(): Promise<number> {
  const state = await runningLab();
  if (state === undefined) {
    console.log('There is no lab.');
    return 1;
  }
  sayHow(state);
  return run([join(state.programs, 'kubectl'), 'get', 'nodes,pods', '-A', '-o', 'wide'], {
    KUBECONFIG: labFiles.kubeconfig,
  });
}

async function execInside(words: readonly string[]): Promise<number> {
  const state = await runningLab();
  if (state === undefined) throw new Error('There is no lab.');
  const node = state.nodes.find(({ name }) => name === words[0])?.name;
  const command = node === undefined ? words : words.slice(1);
  return run([...wordsInside(state, node), ...command], environmentInside(state));
}

async function run(
  [file = '', ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const result = await execa(file, args, { reject: false, stdio: 'inherit', env });
  return result.exitCode ?? 1;
}

async function main(words: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      nodes: { type: 'string', default: '3' },
      ...kindOptions,
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [verb = '', ...rest] = positionals;
  if (values.help) {
    console.log(usage);
    return 0;
  }
  switch (verb) {
    case 'up': {
      const nodes = Number(values.nodes);
      if (!Number.isInteger(nodes) || nodes < 1 || nodes > 50)
        throw new RangeError('--nodes is a number from 1 to 50');
      return up({ nodes, ...kindOf(values) });
    }
    case 'down':
      return down();
    case 'status':
      return status();
    case 'exec':
      return execInside(rest);
    default:
      console.error(usage);
      return 2;
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
