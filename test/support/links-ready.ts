import { type CommandRunner, systemClock } from '../../pkg/runtime/index.ts';
import { bridgeName } from './world-layout.ts';

const pollMs = 5;
const patienceMs = 10_000;

interface Link {
  readonly ifname: string;
  readonly operstate: string;
  readonly master?: string;
}

function isLink(link: Partial<Link>): link is Link {
  return link.ifname !== undefined;
}

/**
 * Waits until the kernel has noticed every carrier. It does so in the background and at most once a second when links
 * come up in bunches; until then a link that is up drops all it is given, and a bridge port does not forward. Where
 * `names` are given, only those links count.
 */
export async function linksReady(
  runner: CommandRunner,
  namespaces: readonly string[],
  names?: readonly string[],
): Promise<void> {
  const deadline = systemClock.now() + patienceMs;
  const waits = namespaces.map(async (namespace) => {
    for (;;) {
      const waiting = await linksWaiting(runner, namespace, names);
      if (waiting.length === 0) return;
      if (systemClock.now() > deadline)
        throw new Error(`${namespace}: links without carrier: ${waiting.join(', ')}`);
      await systemClock.sleep(pollMs);
    }
  });
  await Promise.all(waits);
}

async function linksWaiting(
  runner: CommandRunner,
  namespace: string,
  names: readonly string[] | undefined,
): Promise<readonly string[]> {
  const args = ['-netns', namespace, '-json', 'link', 'show', 'up'];
  const result = await runner.run({ file: 'ip', args, captureOutput: true, timeoutMs: patienceMs });
  if (result.exitCode !== 0) throw new Error(`${namespace}: ${result.stderr.trim()}`);
  // Older versions of iproute2 print an empty object for each link that `up` filters out.
  // On a busy machine the tool was seen to print nothing at all.
  if (result.stdout.trim() === '') return ['(no answer yet)'];
  const links = (JSON.parse(result.stdout) as readonly Partial<Link>[]).filter(isLink);
  const bridgesInUse = new Set(links.map((link) => link.master));
  // A bridge has a carrier only once it has a port; loopback says UNKNOWN.
  const counts = ({ ifname }: Link): boolean =>
    (ifname !== bridgeName || bridgesInUse.has(ifname)) && (names?.includes(ifname) ?? true);
  return links
    .filter((link) => counts(link) && !['UP', 'UNKNOWN'].includes(link.operstate))
    .map((link) => link.ifname);
}
