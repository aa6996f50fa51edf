import { setTimeout as sleep } from 'node:timers/promises';
import type { ServiceWorld } from '../../support/service-world.ts';
import { families } from '../../support/service-world.ts';
import { numbers } from './cluster-state.ts';
import type { Pair } from './comparison.ts';
import { type HealthQuestion, healthAnswers } from './health-question.ts';
import { healthPortOf } from './objects.ts';

const askers = ['outside', 'node'] as const;
type Asker = (typeof askers)[number];
const loopback = { IPv4: '127.0.0.1', IPv6: '::1' } as const;

/** Ports are opened and counts told after the rules are written, and not at the same time by both. */
const patienceMs = 15_000;
const pauseMs = 300;

/**
 * Asks both nodes at every health-check node port, also where no Service has it now, until both have said the same: status, headers
 * and the count of endpoints. Returns, for people, what stays different.
 */
export async function compareHealth(pair: Pair): Promise<readonly string[]> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = (await Promise.all(askers.map((asker) => differences(pair, asker)))).flat();
    if (found.length === 0 || Date.now() > deadline) return found;
    await sleep(pauseMs);
  }
}

async function differences(pair: Pair, asker: Asker): Promise<readonly string[]> {
  const questions = questionsOf(pair.weir, asker);
  const machine = (services: ServiceWorld) => (asker === 'node' ? services.node : services.client(asker));
  const [weir, kubeProxy] = await Promise.all([
    healthAnswers(machine(pair.weir), questions),
    healthAnswers(machine(pair.kubeProxy), questions),
  ]);
  return questions.flatMap(({ address, port }, index) =>
    weir[index] === kubeProxy[index]
      ? []
      : [
          `${asker} to health check ${address} port ${port}: with Weir: ${weir[index]}; with kube-proxy: ${kubeProxy[index]}`,
        ],
  );
}

function questionsOf({ node }: ServiceWorld, asker: Asker): readonly HealthQuestion[] {
  return families.flatMap((family) =>
    numbers.map((number) => ({
      address: asker === 'node' ? loopback[family] : node.address(family),
      port: healthPortOf(number),
    })),
  );
}
