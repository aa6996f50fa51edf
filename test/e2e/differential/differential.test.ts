import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../../pkg/apply/index.ts';
import { toolFolder } from '../../lab/iptables-backend.ts';
import { worldSeed } from '../../support/random.ts';
import { worlds } from '../../support/service-world.ts';
import type { PodNetworkMode } from '../../support/world-layout.ts';
import { type Cluster, startControlPlane } from './control-plane.ts';
import { randomRound } from './history.ts';
import { playRound } from './play-round.ts';
import { cables } from './twin.ts';

/** What `npm run e2e -- differential` was told. */
const programs = process.env['WEIR_UPSTREAM'] ?? '';
const seed = worldSeed();
const rounds = Number(process.env['WEIR_ROUNDS'] ?? 4);

const batches = 6;
const roundTimeoutMs = 600_000;

/** Both backends and both kinds of pod network in turn. */
const kinds = [0, 3, 1, 2].flatMap((index) => worlds[index % worlds.length] ?? []);
interface Plan {
  readonly seed: number;
  readonly backend: Backend;
  readonly mode: PodNetworkMode;
}

const plans = Array.from(
  { length: rounds },
  (_, index): Plan => ({
    seed: seed + index,
    ...(kinds[index % kinds.length] ?? { backend: 'nft', mode: 'routed' }),
  }),
);

describe('Weir and kube-proxy', () => {
  let cluster: Cluster;
  let tools: Readonly<Record<Backend, string>>;

  beforeAll(async () => {
    tools = { legacy: await toolFolder('legacy'), nft: await toolFolder('nft') };
    cluster = await startControlPlane(programs, [cables.weir.server, cables['kube-proxy'].server]);
  });

  afterAll(() => cluster.dispose());

  test.each(plans)(
    'treat every packet alike: $mode pods on $backend, seed $seed',
    { timeout: roundTimeoutMs },
    async ({ seed, backend, mode }) => {
      const kind = { backend, mode, programs, tools: tools[backend] };
      expect(await playRound(cluster, kind, randomRound(seed, batches))).toBe('');
    },
  );
});
