import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import { type AgentNode, createAgentNode, healthPort } from '../support/agent-node.ts';
import { capabilities } from '../support/capabilities.ts';
import { backends, canRunFaults, families, liveServices } from '../support/fault-world.ts';
import { FaultyTools } from '../support/faulty-tools.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import { frontendsOf, servicePort, targetPort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 60_000, interval: 300 };
const { shop } = liveServices;

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend) || !capabilities.conntrack)(
    `a node whose IPv6 is not all there, on the ${backend} backend,`,
    () => {
      const [list, save, restore] = ['', '-save', '-restore'].map((end) => `ip6tables-${backend}${end}`);
      const programs = [list, save, restore] as readonly [string, string, string];
      let agent: AgentNode;
      let tools: FaultyTools;

      beforeAll(async () => {
        agent = await createAgentNode(backend);
        tools = await FaultyTools.mount(programs);
      });
      afterAll(async () => {
        await tools.unmount();
        await agent.dispose();
      });
      beforeEach(async () => {
        await agent.newApi();
        agent.putService({ ...shop, pods: ['a'] });
        agent.api.put(policyManifest('close-b', { podSelector: app('b'), policyTypes: ['Ingress'] }));
      });
      afterEach(async () => {
        await agent.killAll();
        for (const program of programs) await tools.refuse(program, undefined);
        await agent.wipe();
      });

      /** The kernel lacks the table nat, in the words of iptables 1.8.9 to 1.8.11. */
      async function lackNat(): Promise<void> {
        if (backend === 'nft') {
          await agent.node.run('sh', ['-c', 'nft delete table ip6 nat 2>/dev/null || true']);
          const words =
            'ip6tables-nft-restore v1.8.9 (nf_tables): \nline 4: CHAIN_ADD failed (No such file or directory): chain PREROUTING';
          await tools.refuse(programs[2], { input: '^[*]nat', exitCode: 4, words });
          // To list a chain of the kernel is to make it.
          await tools.refuse(programs[0], { args: '-t nat', exitCode: 4, words });
          return;
        }
        const why = 'Table does not exist (do you need to insmod?)';
        await tools.refuse(programs[0], {
          args: '-t nat',
          exitCode: 3,
          words: `ip6tables v1.8.11 (legacy): can't initialize ip6tables table \`nat': ${why}\nPerhaps ip6tables or your kernel needs to be upgraded.`,
        });
        await tools.refuse(programs[1], {
          args: '-t nat',
          exitCode: 1,
          words: `ip6tables-save v1.8.9 (legacy): Cannot initialize: ${why}`,
        });
        await tools.refuse(programs[2], {
          input: '^[*]nat',
          exitCode: 2,
          words:
            "ip6tables-restore v1.8.9 (legacy): ip6tables-restore: unable to initialize table 'nat'\nError occurred at line: 1",
        });
      }

      /** Reading fails, as where memory is short. */
      async function failToRead(isFailing: boolean): Promise<void> {
        const refusal = { exitCode: 1, words: 'ip6tables: Cannot allocate memory' };
        for (const program of [programs[0], programs[1]])
          await tools.refuse(program, isFailing ? refusal : undefined);
      }

      /** What pod c gets from the Service and from pod b, which a policy closes. */
      async function reached(): Promise<Readonly<Record<string, string>>> {
        const ask = async (name: string, family: Family, address: string, port: number) => {
          const to = { protocol: 'tcp', address, port, timeoutMs: 2500 } as const;
          return [`${name} ${family}`, (await agent.faults.pod('c').connect(to)).kind] as const;
        };
        const attempts = families.flatMap((family) => [
          ask('Service', family, frontendsOf(shop.number, family).clusterIP, servicePort),
          ask('closed pod', family, agent.faults.pod('b').address(family), targetPort),
        ]);
        return Object.fromEntries(await Promise.all(attempts));
      }
      const all = {
        'Service IPv4': 'reply',
        'Service IPv6': 'reply',
        'closed pod IPv4': 'timeout',
        'closed pod IPv6': 'timeout',
      };

      async function statuses(): Promise<readonly (number | string)[]> {
        return Promise.all(['/healthz', '/livez', '/readyz'].map((path) => agent.status(healthPort, path)));
      }

      const said = ({ lines }: WeirProcess, text: RegExp): readonly string[] =>
        lines.filter((line) => text.test(line));

      test('without a table nat enforces policies, routes IPv4, is healthy, and routes IPv6 once it is there', async () => {
        await lackNat();
        const weir = await agent.start();
        const { 'Service IPv6': _, ...others } = all;
        expect(await reached()).toMatchObject(others);
        expect((await reached())['Service IPv6']).not.toBe('reply');
        expect(await statuses()).toEqual([200, 200, 200]);
        // Through many looks at the kernel, and changes.
        agent.api.put(policyManifest('close-a', { podSelector: app('a'), policyTypes: ['Ingress'] }));
        await expect.poll(async () => (await reached())['Service IPv4'], patience).toBe('timeout');
        agent.api.remove('networkpolicies', 'default', 'close-a');
        await expect.poll(async () => (await reached())['Service IPv4'], patience).toBe('reply');
        expect(said(weir, / ERROR /)).toEqual([]);
        expect(said(weir, / WARN .*no table nat for IPv6: IPv6 Services are not routed/)).toHaveLength(1);
        expect(said(weir, /changed by somebody else/)).toEqual([]);

        for (const program of programs) await tools.refuse(program, undefined);
        await weir.waitForLine(/ INFO .*recovered: the kernel has all IPv6 tables/);
        await expect.poll(reached, patience).toEqual(all);
      });

      test('where reading fails for a moment at the start comes up with both families', async () => {
        await failToRead(true);
        const weir = agent.launch();
        await expect
          .poll(
            async () => (await tools.calls()).filter((call) => call.startsWith(programs[1])).length,
            patience,
          )
          .toBeGreaterThan(2);
        await failToRead(false);
        await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
        expect(await reached()).toEqual(all);
        expect(await statuses()).toEqual([200, 200, 200]);
      });

      test('where reading fails for long is not ready, enforces IPv4, and joins when it works', async () => {
        await failToRead(true);
        const weir = agent.launch();
        await weir.waitForLine(/ ERROR IPv6 .* rules not written/, { timeoutMs: 60_000 });
        await expect.poll(async () => (await reached())['closed pod IPv4'], patience).toBe('timeout');
        const { 'Service IPv4': service, 'closed pod IPv4': pod } = await reached();
        expect({ service, pod }).toEqual({ service: 'reply', pod: 'timeout' });
        expect((await statuses())[2]).toBe(503);
        // A sync period of one second: what waits for two is overdue.
        await expect.poll(statuses, patience).toEqual([503, 503, 503]);
        await failToRead(false);
        await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
        expect(await reached()).toEqual(all);
        await expect.poll(statuses, patience).toEqual([200, 200, 200]);
      });
    },
  );
}
