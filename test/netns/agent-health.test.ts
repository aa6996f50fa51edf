import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AgentNode, createAgentNode, healthPort, metricsPort } from '../support/agent-node.ts';
import { canRunFaults, type FaultService, liveServices } from '../support/fault-world.ts';
import type { WeirExit, WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 60_000, interval: 200 };
const checkPort = 31_500;
const local: FaultService = {
  name: 'local',
  number: 7,
  pods: ['a', 'b'],
  externalTrafficPolicy: 'Local',
  healthCheckNodePort: checkPort,
};

describe.skipIf(!canRunFaults('nft'))('who asks the running agent over HTTP', () => {
  let agent: AgentNode;

  beforeAll(async () => {
    agent = await createAgentNode('nft');
    await agent.newApi();
    agent.putService(liveServices.shop);
    await agent.start();
  });
  afterAll(() => agent.dispose());

  async function health(path: string): Promise<unknown> {
    const { status, body } = await agent.ask(healthPort, path);
    const { healthy, nodeEligible, ready } = JSON.parse(body) as Record<string, unknown>;
    return { status, healthy, nodeEligible, ready };
  }

  test('hears that a node about to go takes no new connections, and that this is no reason for a restart', async () => {
    expect(await health('/healthz')).toEqual({ status: 200, healthy: true, nodeEligible: true });
    const taints = [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule', value: '1' }];
    agent.putNode({ spec: { taints } });
    await expect
      .poll(() => health('/healthz'), patience)
      .toEqual({ status: 503, healthy: true, nodeEligible: false });
    expect(await health('/livez')).toEqual({ status: 200, healthy: true });
    expect(await health('/readyz')).toEqual({ status: 200, healthy: true, ready: true });
    agent.putNode();
    await expect
      .poll(() => health('/healthz'), patience)
      .toEqual({ status: 200, healthy: true, nodeEligible: true });
  });

  /** As a load balancer or a script reads it, byte for byte, but for the time. */
  async function golden(port: number, path: string): Promise<unknown> {
    const { status, headers, body } = await agent.ask(port, path);
    const length = headers['content-length'] === String(Buffer.byteLength(body));
    const { 'content-length': _, ...others } = headers;
    const times = /"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/g;
    return { status, headers: others, length, body: body.replaceAll(times, 'TIME') };
  }

  const json = { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' };
  const text = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };

  test('hears when both families were last written', async () => {
    const families =
      '"status":{"IPv4":{"lastUpdated":TIME,"healthy":true},"IPv6":{"lastUpdated":TIME,"healthy":true}}';
    const answer = { status: 200, headers: json, length: true };
    expect(await golden(healthPort, '/livez')).toEqual({
      ...answer,
      body: `{"lastUpdated":TIME,"currentTime":TIME,"healthy":true,${families}}`,
    });
    expect(await golden(healthPort, '/healthz')).toEqual({
      ...answer,
      body: `{"lastUpdated":TIME,"currentTime":TIME,"nodeEligible":true,"healthy":true,${families}}`,
    });
    expect(await golden(healthPort, '/readyz')).toEqual({ ...answer, body: '{"ready":true,"healthy":true}' });
    expect(await golden(healthPort, '/')).toEqual({
      status: 404,
      headers: text,
      length: true,
      body: '404 page not found\n',
    });
  });

  test('finds a port for each Service that has one, with as much weight as it has endpoints here', async () => {
    const answer = (status: number, localEndpoints: number): unknown => ({
      status,
      headers: { ...json, 'x-load-balancing-endpoint-weight': String(localEndpoints) },
      length: true,
      body: [
        '{',
        '\t"service": {',
        '\t\t"namespace": "default",',
        '\t\t"name": "local"',
        '\t},',
        `\t"localEndpoints": ${localEndpoints},`,
        '\t"serviceProxyHealthy": true',
        '}',
      ].join('\n'),
    });
    const check = (): Promise<unknown> => golden(checkPort, '/');
    expect(await agent.status(checkPort, '/')).toBe('ECONNREFUSED');
    agent.putService(local);
    await expect.poll(() => agent.status(checkPort, '/'), patience).toBe(200);
    expect(await check()).toEqual(answer(200, 2));
    agent.putService({ ...local, pods: ['b'] });
    await expect.poll(check, patience).toEqual(answer(200, 1));
    agent.putService({ ...local, pods: [] });
    await expect.poll(check, patience).toEqual(answer(503, 0));
    agent.removeService(local.name);
    await expect.poll(() => agent.status(checkPort, '/'), patience).toBe('ECONNREFUSED');
  });

  test('finds what is asked of kube-proxy on its other port', async () => {
    const plain = { status: 200, headers: text, length: true };
    expect(await golden(metricsPort, '/healthz')).toEqual({ ...plain, body: 'ok' });
    expect(await golden(metricsPort, '/proxyMode')).toEqual({ ...plain, body: 'iptables' });
    const { status, headers, body } = await agent.ask(metricsPort, '/configz');
    expect(status).toBe(200);
    expect(headers).toEqual({ ...json, 'content-length': String(Buffer.byteLength(body)) });
    expect(JSON.parse(body)).toMatchObject({
      'kubeproxy.config.k8s.io': {
        kind: 'KubeProxyConfiguration',
        mode: 'iptables',
        clusterCIDR: '10.244.0.0/16,fd00:10:244::/48',
        clientConnection: { kubeconfig: agent.kubeconfig },
        metricsBindAddress: `0.0.0.0:${metricsPort}`,
        iptables: { syncPeriod: '1s' },
      },
    });
    expect(await agent.status(metricsPort, '/debug/pprof')).toBe(404);
    expect((await agent.ask(metricsPort, '/metrics')).headers).toMatchObject({
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    });
    const metrics = await agent.scrape();
    expect(metrics.get('weir_ready')?.samples).toMatchObject([{ value: 1 }]);
    expect([...metrics.keys()].filter((name) => name.startsWith('rest_client_'))).not.toEqual([]);
    expect([...metrics.keys()].filter((name) => name.startsWith('process_'))).not.toEqual([]);
  });
});

describe.skipIf(!canRunFaults('nft'))('a port that somebody else holds', () => {
  /** On 10256 it would be taken for another proxy. */
  const taken = { protocol: 'tcp', port: 20_256 } as const;
  const flag = `--healthz-bind-address=0.0.0.0:${taken.port}`;
  let agent: AgentNode;

  beforeAll(async () => {
    agent = await createAgentNode('nft');
    await agent.newApi();
    agent.putService(liveServices.shop);
  });
  afterAll(() => agent.dispose());
  beforeEach(() => agent.node.listen(taken));
  afterEach(async () => {
    await agent.node.unlisten(taken);
    await agent.wipe();
  });

  const errors = ({ lines }: WeirProcess): readonly string[] =>
    lines.filter((line) => line.includes(' ERROR '));

  test('ends the agent with a clear line when that was asked for', async () => {
    const weir = agent.launch(flag, '--bind-address-hard-fail');
    const failed: WeirExit = { code: 1, signal: null };
    expect(await weir.exited).toEqual(failed);
    expect(weir.lines.at(-1)).toMatch(
      / ERROR weir can't start: can not listen on 0\.0\.0\.0:20256: another program listens there$/,
    );
    expect(errors(weir)).toHaveLength(1);
    expect(await agent.written()).toEqual([]);
  });

  test('is tried again otherwise, while the rules are written', async () => {
    const weir = await agent.start(flag);
    expect(errors(weir)).toEqual([expect.stringMatching(/no health server yet; tried again every 5 s/)]);
    expect(errors(weir)[0]).toContain('another program listens there');
    await agent.node.unlisten(taken);
    await weir.waitForLine(/the health server listens on 0\.0\.0\.0:20256 now/);
    expect(await agent.status(taken.port, '/readyz')).toBe(200);
    // What the tests' end lets go of.
    await weir.stop();
    await agent.node.listen(taken);
  });
});
