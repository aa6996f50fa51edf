import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { capabilities } from '../support/capabilities.ts';
import {
  backends,
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  families,
  type PodName,
} from '../support/fault-world.ts';
import { frontendsOf, servicePort } from '../support/service-manifests.ts';

const patience = { timeout: 20_000, interval: 100 };

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend) || !capabilities.conntrack)(
    `weir run, with UDP clients that never fall silent, on the ${backend} backend,`,
    () => {
      let faults: FaultWorld;

      beforeAll(async () => {
        faults = await createFaultWorld(backend);
      });
      afterAll(() => faults.dispose());

      function setPods(...pods: readonly PodName[]): Promise<void> {
        return faults.setServices([{ name: 'shop', number: 1, pods }]);
      }

      /** Always from the same port of pod c. */
      async function ask(): Promise<readonly string[]> {
        const outcomes = families.map((family, index) =>
          faults.pod('c').connect({
            protocol: 'udp',
            address: frontendsOf(1, family).clusterIP,
            port: servicePort,
            sourcePort: 20_000 + index,
            timeoutMs: 300,
          }),
        );
        return (await Promise.all(outcomes)).map((one) => (one.kind === 'reply' ? one.name : one.kind));
      }

      test('keeps them with what their Service leads to', async () => {
        // They begin before there are any rules.
        expect(await ask()).not.toContain('a');
        await setPods('a');
        const weir = await faults.start();
        await expect.poll(ask, patience).toEqual(['a', 'a']);
        await setPods('b');
        await expect.poll(ask, patience).toEqual(['b', 'b']);
        // What happened while Weir was away is found at its start.
        await weir.kill();
        await setPods('a');
        expect(await ask()).toEqual(['b', 'b']);
        await faults.start();
        await expect.poll(ask, patience).toEqual(['a', 'a']);
        await setPods();
        await expect.poll(ask, patience).toEqual(['refused', 'refused']);
        await setPods('b');
        await expect.poll(ask, patience).toEqual(['b', 'b']);
        await faults.setServices([]);
        await expect.poll(ask, patience).toEqual(['timeout', 'timeout']);
      });
    },
  );
}
