import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AgentNode, createAgentNode } from '../support/agent-node.ts';
import { backends, canRunFaults, liveServices } from '../support/fault-world.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import type { WeirExit } from '../support/weir-process.ts';

const policy = policyManifest('closed', { podSelector: app('a'), policyTypes: ['Ingress'] });

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend))(
    `weir plan that asks the API server, on the ${backend} backend,`,
    () => {
      let agent: AgentNode;

      beforeAll(async () => {
        agent = await createAgentNode(backend);
      });
      afterAll(() => agent.dispose());
      beforeEach(async () => {
        await agent.newApi();
        agent.putService(liveServices.shop);
        agent.api.put(policy);
      });
      afterEach(() => agent.wipe());

      /** It only ever reads, of the API server and of the kernel. */
      async function plan(
        ...flags: readonly string[]
      ): Promise<WeirExit & { readonly lines: readonly string[] }> {
        const before = await agent.faults.rules();
        const asked = agent.api.requests.length;
        const weir = agent.exec(['plan', ...agent.planFlags, ...flags]);
        const exit = await weir.exited;
        expect(await agent.faults.rules()).toEqual(before);
        const verbs = agent.api.requests.slice(asked).map(({ verb }) => verb);
        expect(verbs.filter((verb) => !['GET', 'LIST', 'WATCH'].includes(verb))).toEqual([]);
        return { ...exit, lines: weir.lines };
      }

      test('tells what the first start would write, and writes nothing', async () => {
        const { code, lines } = await plan();
        expect({ code, lines }).toMatchObject({ code: 2 });
        expect(lines).toContain('  Service default/shop:tcp');
        expect(lines).toContainEqual(expect.stringMatching(/^ {2}\+ jump nat PREROUTING: .*\(missing\)$/));
        expect(lines).toContainEqual(
          expect.stringMatching(/^ +\+ chain filter WEIR-INGRESS {2}# finds the policies of a pod$/),
        );
        expect(lines).toContain('  Services to add: 1 (default/shop)');
        expect(lines.filter((line) => /^(?:warning|error)/.test(line))).toEqual([]);
        for (const family of ['IPv4', 'IPv6'])
          expect(lines).toContainEqual(
            expect.stringMatching(new RegExp(`^${family}: \\d+ sets to create, `)),
          );
        expect(await agent.written()).toEqual([]);
      });

      test('finds no difference once the agent has written, and then only what the API server has changed', async () => {
        await (await agent.start()).stop();
        const same = { code: 0, signal: null, lines: ['IPv4: no change', 'IPv6: no change'] };
        expect(await plan()).toEqual(same);
        agent.putService({ ...liveServices.shop, pods: ['b'] });
        const { code, lines } = await plan();
        expect(code).toBe(2);
        expect(lines).toContain('  Services to change: 1 (default/shop)');
        const details = lines.slice(lines.indexOf('IPv4'));
        const owners = details.filter((line) => /^ {2}\S/.test(line)).map((line) => line.trim());
        expect(owners).not.toEqual([]);
        expect(
          owners.filter((owner) => !/^Service default\/shop:|^~ set WEIR-[46]-HAIRPIN$/.test(owner)),
        ).toEqual([]);
      });

      test('ends with one line when there are no credentials', async () => {
        const { code, lines } = await plan(`--kubeconfig=${agent.path('no-file.conf')}`);
        expect(code).toBe(1);
        expect(lines).toEqual([expect.stringMatching(/^error: .*kubeconfig \S+no-file\.conf: .*ENOENT/)]);
      });

      test('says which kind it may not read, and gives up', async () => {
        agent.api.deny('pods');
        const { code, lines } = await plan();
        expect({ code, lines }).toEqual({
          code: 1,
          lines: [
            expect.stringMatching(/^warning: .*may not \w+ pods: apply Weir's ClusterRole/),
            'error: stopped before the API server had told everything: missing pods',
          ],
        });
      });

      test('is stopped by a signal', async () => {
        agent.api.deny('pods');
        const weir = agent.exec(['plan', ...agent.planFlags]);
        await weir.waitForLine(/^warning: .*may not \w+ pods: apply Weir's ClusterRole/);
        expect(await weir.stop()).toMatchObject({ signal: 'SIGTERM' });
        expect(await agent.written()).toEqual([]);
      });
    },
  );
}
