import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  backends,
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  families,
  liveServices,
} from '../support/fault-world.ts';
import { ipvsRulesText, ipvsSetsText } from '../support/kube-proxy-ipvs.ts';
import { frontendsOf, servicePort } from '../support/service-manifests.ts';

const { shop } = liveServices;

// The kernels that run the tests have no IPVS and no dummy interfaces: everything is there but the virtual servers, and a bridge holds the addresses.
for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend))(
    `what kube-proxy in IPVS mode left, and Weir on the ${backend} backend`,
    () => {
      let faults: FaultWorld;

      beforeAll(async () => {
        faults = await createFaultWorld(backend);
        await faults.setServices([shop]);
      });
      afterAll(() => faults.dispose());

      async function kubeProxyWas(): Promise<void> {
        await faults.node.run('ip', ['link', 'add', 'kube-ipvs0', 'type', 'bridge']);
        for (const family of families) {
          const { clusterIP, loadBalancerIP } = frontendsOf(shop.number, family);
          for (const address of [clusterIP, loadBalancerIP]) {
            const length = family === 'IPv4' ? 32 : 128;
            await faults.node.run('ip', ['address', 'add', `${address}/${length}`, 'dev', 'kube-ipvs0']);
          }
          const services = [{ number: shop.number, endpoint: faults.pod('a').address(family) }];
          await faults.node.run('ipset', ['restore'], { input: ipvsSetsText(family, services) });
          await faults.restore(family, ipvsRulesText(family));
          await faults.iptables(family, '-t nat -N ADMIN', '-t nat -A ADMIN -j RETURN');
        }
        await faults.node.run('ipset', ['create', 'KUBE-ADMIN', 'hash:ip']);
      }

      /** All that is left of it. */
      async function left(): Promise<readonly string[]> {
        const sets = (await faults.node.run('ipset', ['list', '-n'])).stdout.split('\n');
        const texts = await Promise.all(families.map((family) => faults.save(family)));
        const lines = texts
          .join('\n')
          .split('\n')
          .filter((line) => /IPVS|KUBE-NODE-PORT\b|LOAD-BALANCER|SOURCE-RANGES/.test(line));
        const links = (await faults.node.run('ip', ['-o', 'link'])).stdout.match(/kube-ipvs0/) ?? [];
        return [...sets.filter((name) => name.startsWith('KUBE-')), ...lines, ...links];
      }

      async function answers(): Promise<readonly string[]> {
        const attempts = families.flatMap((family) => {
          const { clusterIP, loadBalancerIP, nodePort } = frontendsOf(shop.number, family);
          const to = (address: string, port: number) =>
            ({ protocol: 'tcp', address, port, timeoutMs: 5000 }) as const;
          return [
            faults.pod('c').connect(to(clusterIP, servicePort)),
            faults.node.connect(to(clusterIP, servicePort)),
            faults.outside.connect(to(loadBalancerIP, servicePort)),
            faults.outside.connect(to(faults.node.address(family), nodePort)),
          ];
        });
        return (await Promise.all(attempts)).map(({ kind }) => kind);
      }

      test('goes once Weir has written its rules, and nothing else does', async () => {
        await kubeProxyWas();
        const before = await faults.plan();
        expect(before.code).toBe(2);
        expect(before.lines).toContain(
          'kube-proxy in IPVS mode has in force, and Weir removes once its own rules are written: interface kube-ipvs0',
        );
        expect(before.lines).toEqual(
          expect.arrayContaining([
            "  - set KUBE-CLUSTER-IP  # kube-proxy's",
            "  - set KUBE-6-CLUSTER-IP  # kube-proxy's",
          ]),
        );
        const weir = await faults.start();
        await weir.waitForLine(
          /removed what kube-proxy in IPVS mode had left in force: interface kube-ipvs0/,
        );
        expect(await left()).toEqual(['KUBE-ADMIN']);
        expect(await answers()).toEqual(Array.from({ length: 8 }, () => 'reply'));
        expect((await faults.plan()).lines).toEqual(['IPv4: no change', 'IPv6: no change']);
        expect(Object.keys((await faults.rules()).foreign)).toEqual(
          expect.arrayContaining(['IPv4 nat ADMIN', 'IPv6 nat ADMIN']),
        );
        await faults.killAll();
      });

      test('goes with weir cleanup, too, but not when the node is handed back', async () => {
        await faults.cleanup();
        await faults.wipe();
        await kubeProxyWas();
        const before = await left();
        expect(await faults.cleanup('--hand-back')).toMatchObject({ code: 0 });
        expect(await left()).toEqual(before);
        const { code, lines } = await faults.cleanup();
        expect({ code, last: lines.at(-1) }).toEqual({
          code: 0,
          last: 'kube-proxy in IPVS mode: removed interface kube-ipvs0',
        });
        expect(await left()).toEqual(['KUBE-ADMIN']);
      });
    },
  );
}
