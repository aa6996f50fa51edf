import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../pkg/runtime/index.ts';
import { findSandbox, runInvocation, sandboxed } from '../test/support/sandbox.ts';
import { build } from './build.ts';
import { processesLeft, runVariable, sayEnding } from './demo/ending.ts';
import { Stage } from './demo/stage.ts';

const usage = `npm run demo [-- OPTIONS]

Shows Weir at work on a small Kubernetes node that exists only while the command runs; takes some twenty seconds.
  --backend legacy|nft   use this kind of iptables (default: the one that Weir chooses)`;

const root = new URL('../', import.meta.url).pathname;

async function main(backend: string): Promise<number> {
  const start = systemClock.now();
  const stage = new Stage();
  const sandbox = await findSandbox();
  if (sandbox.kind === 'none') {
    stage.failure([
      'The demo needs network namespaces of its own, and this machine gives none:',
      sandbox.reason,
    ]);
    return 1;
  }
  try {
    await build();
  } catch {
    stage.failure(['dist/weir.js could not be built; the reasons are above.']);
    return 1;
  }
  const run = randomUUID();
  const play = { file: process.execPath, args: [join(root, 'hack/demo/play.ts'), '--backend', backend] };
  const exitCode = await runInvocation(sandboxed(sandbox, play), { [runVariable]: run });
  if (exitCode !== 0) return exitCode;
  const left = await processesLeft(run);
  if (left.length > 0) {
    stage.failure(['Processes of the demo are left:', left.join(', ')]);
    return 1;
  }
  sayEnding(stage, systemClock.now() - start);
  return 0;
}

try {
  const { values } = parseArgs({
    args: process.argv.slice(2).filter((word) => word !== '--'),
    options: {
      backend: { type: 'string', default: 'auto' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (!['auto', 'legacy', 'nft'].includes(values.backend))
    throw new RangeError(`There is no backend ${values.backend}.`);
  if (values.help) console.log(usage);
  else process.exitCode = await main(values.backend);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
