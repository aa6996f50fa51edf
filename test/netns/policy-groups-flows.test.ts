import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import type { ConnectRequest } from '../support/agent/protocol.ts';
import { answersEcho, sendTooBig } from '../support/icmp.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { become, canRunFacts, createFactsKernel, factsVariants } from '../support/policy-facts.ts';
import type { PolicyKernel } from '../support/policy-kernel.ts';

const families: readonly Family[] = ['IPv4', 'IPv6'];
const protocols = ['tcp', 'udp'] as const;
const web = { matchLabels: { app: 'web' } };
const fromDb = [{ podSelector: { matchLabels: { app: 'db' } } }];
const port = 7000;
const closedPort = 7999;
const silenceMs = 400;
const closed = { closed: { podSelector: web, policyTypes: ['Ingress', 'Egress'] } };

describe.skipIf(!canRunFacts).each(factsVariants)(
  'flows and policies, $backend backend, --policy-deny=$deny',
  (variant) => {
    let kernel: PolicyKernel;
    let server: NetworkNamespace;
    let client: NetworkNamespace;

    beforeAll(async () => {
      kernel = await createFactsKernel(variant, []);
      server = kernel.world.pod('web');
      client = kernel.world.pod('db');
      await server.listen(...protocols.map((protocol) => ({ protocol, port })));
    });
    afterAll(() => kernel.dispose());

    describe.each(families)('over %s', (family) => {
      function target(protocol: 'tcp' | 'udp'): ConnectRequest {
        return { protocol, address: server.address(family), port };
      }

      async function attempt(request: ConnectRequest, from = client): Promise<string> {
        const { kind } = await from.connect({ timeoutMs: silenceMs, ...request });
        return kind;
      }

      test.each(protocols)(
        '%s goes on when a policy comes that forbids it, but does not begin',
        async (protocol) => {
          await become(kernel, {});
          const flow = await client.openFlow(target(protocol));
          expect(flow.outcome).toMatchObject({ kind: 'reply', name: 'web' });
          await become(kernel, { policies: closed });
          expect(await flow.exchange('and on')).toMatchObject({ kind: 'reply', text: 'and on' });
          expect(await attempt(target(protocol))).not.toBe('reply');
          await become(kernel, { policies: { closed: { ...closed.closed, ingress: [{ from: fromDb }] } } });
          await become(kernel, {});
          expect(await flow.exchange('still')).toMatchObject({ kind: 'reply', text: 'still' });
          await flow.close();
        },
      );

      test('what was forbidden passes once it is allowed, UDP from the same port too', async () => {
        const sourcePort = family === 'IPv4' ? 41_000 : 41_001;
        const requests = [target('tcp'), { ...target('udp'), sourcePort }];
        const kinds = () => Promise.all(requests.map((request) => attempt(request)));
        await become(kernel, { policies: closed });
        expect(await kinds()).not.toContain('reply');
        await become(kernel, { policies: { some: { podSelector: web, ingress: [{ from: fromDb }] } } });
        expect(await kinds()).toEqual(['reply', 'reply']);
        expect(await attempt(target('tcp'), kernel.world.client('outside'))).not.toBe('reply');
      });

      test('answers come back to a pod that nobody may reach, and from one that may reach nobody', async () => {
        await become(kernel, {
          policies: {
            server: { podSelector: web, policyTypes: ['Egress'] },
            client: { podSelector: fromDb[0]?.podSelector, policyTypes: ['Ingress'] },
          },
        });
        const kinds = await Promise.all(protocols.map((protocol) => attempt(target(protocol))));
        expect(kinds).toEqual(['reply', 'reply']);
      });

      test('an echo request goes where a rule without ports allows it', async () => {
        const echo = (from: NetworkNamespace) => answersEcho(from, server.address(family));
        const outside = kernel.world.client('outside');
        await become(kernel, {});
        expect([await echo(client), await echo(outside)]).toEqual([true, true]);
        await become(kernel, { policies: closed });
        expect([await echo(client), await echo(outside)]).toEqual([false, false]);
        await become(kernel, { policies: { some: { podSelector: web, ingress: [{ from: fromDb }] } } });
        expect([await echo(client), await echo(outside)]).toEqual([true, false]);
        const ports = [{ port: 80 }, { protocol: 'UDP' }];
        await become(kernel, {
          policies: { some: { podSelector: web, ingress: [{ from: fromDb, ports }] } },
        });
        expect([await echo(client), await echo(outside)]).toEqual([false, false]);
      });

      test('a pod and its node reach each other whatever the policies say', async () => {
        await become(kernel, { policies: closed });
        expect(await attempt(target('tcp'), kernel.node)).toBe('reply');
        expect(await answersEcho(kernel.node, server.address(family))).toBe(true);
        expect(await answersEcho(server, kernel.node.address(family))).toBe(true);
      });

      describe('the answer of a closed pod that may be asked', () => {
        const asked = {
          asked: { podSelector: web, policyTypes: ['Ingress', 'Egress'], ingress: [{ from: fromDb }] },
        };

        test.each(protocols)('tells of a closed port: %s', async (protocol) => {
          await become(kernel, { policies: asked });
          expect(await attempt({ ...target(protocol), port: closedPort })).toBe('refused');
        });

        test('tells that a packet was too big, but not of a flow that nobody has', async () => {
          await become(kernel, { policies: asked });
          const flow = await client.openFlow({ ...target('udp'), sourcePort: 42_000 });
          expect(flow.outcome.kind).toBe('reply');
          const ends = {
            source: client.address(family),
            sourcePort: 42_000,
            destination: server.address(family),
            destinationPort: port,
          };
          const route = async () => (await client.run('ip', ['route', 'get', ends.destination])).stdout;
          await sendTooBig(server, { ...ends, sourcePort: 42_001 }, 1300);
          expect(await route()).not.toContain('mtu');
          await sendTooBig(server, ends, 1400);
          expect(await route()).toContain('mtu 1400');
          await flow.close();
        });
      });
    });
  },
);
