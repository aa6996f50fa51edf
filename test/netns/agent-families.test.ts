import { mkdir } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AgentNode, createAgentNode, healthPort, nodeName } from '../support/agent-node.ts';
import { capabilities } from '../support/capabilities.ts';
import { backends, canRunFaults, families, liveServices } from '../support/fault-world.ts';
import { podManifest } from '../support/policy-manifests.ts';
import { frontendsOf, servicePort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';
import { withoutPrograms } from '../support/without-programs.ts';

const patience = { timeout: 60_000, interval: 200 };
const complaints = ({ lines }: WeirProcess): readonly string[] =>
  lines.filter((line) => / (?:WARN|ERROR) /.test(line));

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend) || !capabilities.conntrack)(
    `a node that lacks something, on the ${backend} backend,`,
    () => {
      let agent: AgentNode;
      let scratch: string;

      beforeAll(async () => {
        agent = await createAgentNode(backend);
        scratch = agent.path('programs');
        await mkdir(scratch);
      });
      afterAll(() => agent.dispose());
      beforeEach(async () => {
        await agent.newApi();
        agent.putService(liveServices.shop);
      });
      afterEach(() => agent.wipe());

      /** The agent on a machine that lacks these programs. */
      function launchWithout(names: string): WeirProcess {
        return agent.exec(['run', ...agent.flags], withoutPrograms(names, scratch));
      }

      async function answers(): Promise<readonly string[]> {
        const outcomes = families.map((family) =>
          agent.faults.pod('c').connect({
            protocol: 'tcp',
            address: frontendsOf(liveServices.shop.number, family).clusterIP,
            port: servicePort,
            timeoutMs: 1000,
          }),
        );
        return (await Promise.all(outcomes)).map(({ kind }) => kind);
      }

      async function expectIPv4Only(weir: WeirProcess): Promise<void> {
        await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
        expect((await answers())[0]).toBe('reply');
        const { own } = await agent.faults.rules();
        expect(Object.keys(own).filter((chain) => chain.startsWith('IPv6'))).toEqual([]);
        const { body } = await agent.ask(healthPort, '/healthz');
        expect(JSON.parse(body)).toMatchObject({ healthy: true, nodeEligible: true });
        expect(Object.keys((JSON.parse(body) as { readonly status: object }).status)).toEqual(['IPv4']);
        // What comes later is routed, too.
        agent.putService({ ...liveServices.shop, pods: [] });
        await expect.poll(async () => (await answers())[0], patience).toBe('refused');
        expect(weir.lines.filter((line) => / ERROR /.test(line))).toEqual([]);
      }

      test('routes both families with all programs there', async () => {
        const weir = await agent.start();
        expect(await answers()).toEqual(['reply', 'reply']);
        expect(complaints(weir)).toEqual([]);
      });

      test('without ip6tables says so, and routes IPv4; where no pod uses IPv6, that is all', async () => {
        for (const name of ['a', 'b', 'c'] as const) {
          const addresses = [agent.faults.pod(name).address('IPv4')];
          agent.api.put(podManifest({ name, node: nodeName, addresses }));
        }
        const weir = launchWithout('ip6tables*');
        await expectIPv4Only(weir);
        expect(complaints(weir)).toEqual([
          expect.stringMatching(/ WARN {2}no IPv6 rules are written: ip6tables-\w+-save: .*ENOENT/),
        ]);
      });

      test('without ip6tables is neither healthy nor ready where pods use IPv6: their policies are not enforced', async () => {
        const weir = launchWithout('ip6tables*');
        await weir.waitForLine(/ WARN {2}no IPv6 rules are written: .*ENOENT/, { timeoutMs: 60_000 });
        await expect.poll(async () => (await answers())[0], patience).toBe('reply');
        await expect
          .poll(
            () =>
              Promise.all(['/healthz', '/readyz', '/livez'].map((path) => agent.status(healthPort, path))),
            patience,
          )
          .toEqual([503, 503, 200]);
        const { body } = await agent.ask(healthPort, '/healthz');
        expect(JSON.parse(body)).toMatchObject({
          problems: [expect.stringMatching(/^IPv6 is off, its policies are not enforced: .*ENOENT/)],
          status: { IPv4: { healthy: true }, IPv6: { healthy: false } },
        });
      });

      test('without ipset ends with one line that says what to install', async () => {
        const weir = launchWithout('ipset');
        expect(await weir.exited).toEqual({ code: 1, signal: null });
        expect(weir.lines.at(-1)).toMatch(
          / ERROR weir can't start: ipset can not be started .*; install the package ipset$/,
        );
        expect(complaints(weir)).toHaveLength(1);
        expect(await agent.written()).toEqual([]);
      });

      test('without conntrack says once for each family what that means, and routes', async () => {
        const weir = launchWithout('conntrack');
        await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
        expect(await answers()).toEqual(['reply', 'reply']);
        // Each change of UDP endpoints is a reason to look at the flows.
        for (const service of [liveServices.alone, liveServices.sticky]) {
          const from = weir.lines.length;
          agent.putService(service);
          for (const family of families)
            await weir.waitForLine(new RegExp(`${family} service rules written services=1 `), { from });
        }
        const said = (): readonly string[] =>
          complaints(weir).toSorted((a, b) => (a.slice(13) < b.slice(13) ? -1 : 1));
        await expect.poll(said, patience).toHaveLength(families.length);
        expect(await weir.stop()).toEqual({ code: 0, signal: null });
        expect(said()).toEqual(
          families.map((family): unknown =>
            expect.stringMatching(
              new RegExp(`WARN {2}stale ${family} UDP flows are not forgotten: .*conntrack`),
            ),
          ),
        );
      });

      // The last: addresses do not come back.
      test('with IPv6 switched off says so, and routes IPv4; IPv6 joins when it is switched on', async () => {
        await agent.node.run('sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=1']);
        const weir = agent.launch();
        await expectIPv4Only(weir);
        expect(complaints(weir)).toEqual([
          expect.stringMatching(/ WARN {2}no IPv6 rules are written: .*disable_ipv6/),
        ]);
        await agent.node.run('sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=0']);
        await weir.waitForLine(/ INFO .*recovered: the kernel has all IPv6 tables/);
        await weir.waitForLine(/ INFO .*IPv6 service rules written/);
        expect(await agent.written()).toContain('IPv6 nat KUBE-SERVICES');
        const { body } = await agent.ask(healthPort, '/healthz');
        expect(JSON.parse(body)).toMatchObject({ status: { IPv6: { healthy: true } } });
      });
    },
  );
}
