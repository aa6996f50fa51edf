import { writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../pkg/runtime/index.ts';
import { type AgentNode, createAgentNode, healthPort, nodeName } from '../support/agent-node.ts';
import type { Resource } from '../support/fake-api-resources.ts';
import type { FakeApiServer } from '../support/fake-api-server.ts';
import { backends, canRunFaults, liveServices } from '../support/fault-world.ts';
import { kubeadmConfig } from '../support/kubeadm-config.ts';
import { app, policyManifest } from '../support/policy-manifests.ts';
import { rotating } from '../support/rotating.ts';
import { frontendsOf } from '../support/service-manifests.ts';
import type { WeirExit, WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 60_000, interval: 200 };
const required = [
  'services',
  'endpointslices',
  'nodes',
  'namespaces',
  'networkpolicies',
  'pods',
] as const satisfies readonly Resource[];
const policy = policyManifest('closed', { podSelector: app('a'), policyTypes: ['Ingress'] });
const complaints = ({ lines }: WeirProcess): readonly string[] =>
  lines.filter((line) => / (?:WARN|ERROR) /.test(line));

/** A pod that has not ended 30 seconds after SIGTERM is killed. */
function stopInTime(weir: WeirProcess): Promise<unknown> {
  return Promise.race([weir.stop(), systemClock.sleep(30_000).then(() => 'still there')]);
}

for (const backend of rotating('agent-start', backends)) {
  describe.skipIf(!canRunFaults(backend))(`a start with an API server, on the ${backend} backend,`, () => {
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

    async function probes(): Promise<readonly (number | string)[]> {
      const paths = ['/livez', '/healthz', '/readyz'];
      return Promise.all(paths.map((path) => agent.status(healthPort, path)));
    }

    /** All kinds are asked for, and all but one are known. */
    async function waitForTheOthers(): Promise<void> {
      await expect.poll(() => agent.api.watches.length, patience).toBe(6);
      await expect.poll(probes, patience).toEqual([200, 200, 503]);
      // Long enough for a sync.
      await systemClock.sleep(1000);
    }

    async function expectReady(weir: WeirProcess): Promise<void> {
      await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
      await expect.poll(probes, patience).toEqual([200, 200, 200]);
      const rules = JSON.stringify(await agent.faults.rules());
      expect(rules).toContain(`-d ${frontendsOf(1, 'IPv4').clusterIP}/32 `);
      expect(rules).toContain('-A WEIR-INGRESS ');
    }

    test.each(required)('writes nothing, is alive and not ready, until it knows the %s', async (resource) => {
      agent.api.fault({ effect: 'stall', on: resource });
      const weir = agent.launch();
      await waitForTheOthers();
      expect(await agent.written()).toEqual([]);
      expect(await probes()).toEqual([200, 200, 503]);
      // As when the API server that hangs is replaced by another.
      agent.api.clearFaults();
      await agent.api.refuse();
      await agent.api.start();
      await expectReady(weir);
    });

    test.each([
      ['networkpolicies', 'networkpolicies.networking.k8s.io'],
      ['pods', 'pods'],
    ] as const)(
      'says that it may not read %s and what to apply, writes nothing, and goes on once it may',
      async (resource, name) => {
        agent.api.deny(resource);
        const weir = agent.launch();
        await waitForTheOthers();
        const said = complaints(weir);
        expect(said).toHaveLength(1);
        expect(said[0]).toMatch(
          / may not \w+ (\S+): apply Weir's ClusterRole and its binding .*No rule is written until they are known/,
        );
        expect(said[0]).toContain(` ${name}: apply`);
        expect(await agent.written()).toEqual([]);
        expect(await probes()).toEqual([200, 200, 503]);
        agent.api.allow(resource);
        await expectReady(weir);
        expect(weir.lines.filter((line) => / INFO .*over: .*may not \w+ /.test(line))).toEqual([
          expect.stringContaining(` ${name}: apply`),
        ]);
      },
    );

    test.each(['forbidden', 'absent'] as const)('does without ServiceCIDRs that are %s', async (how) => {
      agent.api.deny('servicecidrs', how);
      const weir = agent.launch();
      await expectReady(weir);
      expect(complaints(weir)).toEqual([]);
    });
  });
}

describe.skipIf(!canRunFaults('nft'))('a start', () => {
  let agent: AgentNode;

  beforeAll(async () => {
    agent = await createAgentNode('nft');
  });
  afterAll(() => agent.dispose());
  beforeEach(async () => {
    await agent.newApi();
    agent.putService(liveServices.shop);
  });
  afterEach(() => agent.wipe());

  test('with a token that is turned away says so once, writes nothing, and goes on once it is accepted', async () => {
    await agent.newApi({ token: 'new' }, { token: 'old' });
    const weir = agent.launch();
    await weir.waitForLine(/WARN .*does not accept Weir's token or certificate \(401\)/);
    const asked = agent.api.requests.length;
    // Every kind once more.
    await expect.poll(() => agent.api.requests.length, patience).toBeGreaterThan(asked + 7);
    expect(complaints(weir)).toHaveLength(1);
    expect(await agent.written()).toEqual([]);
    agent.api.acceptToken('old');
    await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
  });

  test.each<readonly [string, (api: FakeApiServer) => void]>([
    ['is an ERROR event, as with an older etcd,', (api) => api.setWatchList('no-progress')],
    ['is put off with 429', (api) => api.fault({ effect: 'status', code: 429, streaming: true })],
    ['says nothing', (api) => api.fault({ effect: 'hang', afterBytes: 0, streaming: true })],
    ['breaks off', (api) => api.fault({ effect: 'reset', afterBytes: 40, streaming: true })],
  ])('where every stream of a list %s for good, writes all the same', async (_, order) => {
    order(agent.api);
    agent.api.put(policy);
    const weir = agent.launch();
    await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
    await expect.poll(() => agent.status(healthPort, '/readyz'), patience).toBe(200);
    const rules = JSON.stringify(await agent.faults.rules());
    expect(rules).toContain(`-d ${frontendsOf(1, 'IPv4').clusterIP}/32 `);
    expect(rules).toContain('-A WEIR-INGRESS ');
    expect(weir.lines.filter((line) => / INFO .*Weir lists by pages/.test(line))).toHaveLength(1);
  });

  test('with a server from before Kubernetes 1.31 leaves out headless Services itself', async () => {
    await agent.newApi({ release: 'before-1.31' });
    agent.putService(liveServices.shop);
    const weir = agent.launch();
    await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
    expect(complaints(weir)).toEqual([]);
    expect(await agent.faults.save('IPv4', '-t', 'nat')).toContain(frontendsOf(1, 'IPv4').clusterIP);
  });

  test("with kubeadm's ConfigMap and the node's name beside it needs nothing else", async () => {
    const config = agent.path('config.conf');
    await writeFile(config, kubeadmConfig.replace('/var/lib/kube-proxy/kubeconfig.conf', agent.kubeconfig));
    const weir = agent.exec(['run', '--config', config, '--hostname-override', nodeName]);
    await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
    expect(await agent.status(healthPort, '/healthz')).toBe(200);
    const nodes = agent.api.requests.filter(({ resource }) => resource === 'nodes');
    expect(new Set(nodes.map(({ query }) => query['fieldSelector']))).toEqual(
      new Set([`metadata.name=${nodeName}`]),
    );
    expect(await agent.faults.save('IPv4', '-t', 'nat')).toContain(frontendsOf(1, 'IPv4').clusterIP);
  });

  test.each([
    ['no file', undefined, /kubeconfig \S+no-file\.conf: .*ENOENT/],
    ['a file of something else', 'just text', /kubeconfig \S+no-file\.conf: it is not a kubeconfig/],
    [
      'a context that is not there',
      'apiVersion: v1\nkind: Config\ncurrent-context: gone\n',
      /kubeconfig \S+no-file\.conf: its current-context names none of its contexts/,
    ],
  ])('with a kubeconfig that is %s ends with one line that says so', async (_, text, line) => {
    const file = agent.path('no-file.conf');
    if (text !== undefined) await writeFile(file, text);
    const weir = agent.launch('--kubeconfig', file);
    const failed: WeirExit = { code: 1, signal: null };
    expect(await weir.exited).toEqual(failed);
    expect(weir.lines.filter((one) => !one.includes(' INFO '))).toEqual([expect.stringMatching(line)]);
    expect(await agent.written()).toEqual([]);
  });

  test('that waits for an address of its Node ends in order on SIGTERM', async () => {
    agent.putNode({ status: {} });
    const weir = agent.launch();
    await weir.waitForLine(/waiting up to 30 s for node "node-a" to have an address/);
    expect(await stopInTime(weir)).toEqual({ code: 0, signal: null });
    expect(complaints(weir)).toEqual([]);
    expect(weir.lines.at(-1)).toMatch(/ INFO {2}SIGTERM: stopping; the rules stay$/);
    expect(await agent.written()).toEqual([]);
  });

  test('that waits for its Node goes on when the Node has an address', async () => {
    agent.api.remove('nodes', '', nodeName);
    const weir = agent.launch();
    await weir.waitForLine(/waiting up to 30 s for node "node-a" to have an address/);
    expect(await agent.written()).toEqual([]);
    agent.putNode();
    await weir.waitForLine(/\bready: /);
    expect(complaints(weir)).toEqual([]);
  });

  test.each([
    ['refuses connections', (api: FakeApiServer) => api.refuse()],
    ['takes connections and says nothing', async (api: FakeApiServer) => api.fallSilent()],
  ])('with an API server that %s ends in order on SIGTERM', async (_, fail) => {
    await fail(agent.api);
    const weir = agent.launch();
    await weir.waitForLine(/ API server: http/);
    // Past the kernel and the servers, where it waits for objects alone.
    await expect.poll(() => agent.status(healthPort, '/livez'), patience).toBe(200);
    expect(await stopInTime(weir)).toEqual({ code: 0, signal: null });
    expect(weir.lines.at(-1)).toMatch(/ INFO {2}SIGTERM: stopping; the rules stay$/);
    expect(await agent.written()).toEqual([]);
  });

  test('that waits for what the API server does not tell ends in order on SIGTERM', async () => {
    agent.api.fault({ effect: 'stall', on: 'pods' });
    const weir = agent.launch();
    await expect.poll(() => agent.api.watches.length, patience).toBe(6);
    expect(await stopInTime(weir)).toEqual({ code: 0, signal: null });
    expect(complaints(weir)).toEqual([]);
  });
});
