import { writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AgentNode, createAgentNode, healthPort, nodeName } from '../support/agent-node.ts';
import { canRunFaults, liveServices } from '../support/fault-world.ts';
import { kubeadmConfig } from '../support/kubeadm-config.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const patience = { timeout: 60_000, interval: 200 };

describe.skipIf(!canRunFaults('nft'))('an agent that ends', () => {
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

  async function configFile(): Promise<string> {
    const file = agent.path('config.conf');
    await writeFile(file, configText());
    return file;
  }

  function configText(): string {
    return kubeadmConfig.replace('/var/lib/kube-proxy/kubeconfig.conf', agent.kubeconfig);
  }

  const errors = ({ lines }: WeirProcess): readonly string[] =>
    lines.filter((line) => line.includes(' ERROR '));

  test('names the configuration file that has changed, and leaves the rules', async () => {
    const file = await configFile();
    const weir = agent.exec(['run', '--config', file, '--hostname-override', nodeName]);
    await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
    const before = await agent.faults.rules();
    await writeFile(file, configText().replace('masqueradeAll: false', 'masqueradeAll: true'));
    expect(await weir.exited).toEqual({ code: 1, signal: null });
    expect(weir.lines.at(-1)).toMatch(/ ERROR weir stops: configuration: WEIR_CONFIG_CHANGED: /);
    expect(weir.lines.at(-1)).toContain(`${file} has changed: the next start reads it`);
    expect(errors(weir)).toHaveLength(1);
    expect(await agent.faults.rules()).toEqual(before);
  });

  test('ends as well when the file changes while it waits for the API server', async () => {
    agent.api.fault({ effect: 'stall', on: 'services' });
    const file = await configFile();
    const weir = agent.exec(['run', '--config', file, '--hostname-override', nodeName]);
    await expect.poll(() => agent.api.watches.length, patience).toBe(6);
    await writeFile(file, `${configText()}---\n`);
    expect(await weir.exited).toEqual({ code: 1, signal: null });
    expect(weir.lines.at(-1)).toContain(`${file} has changed: the next start reads it`);
    expect(await agent.written()).toEqual([]);
  });

  /** Code that the program runs before its own: on SIGUSR2 it goes wrong where nobody looks. */
  const faultyCode = (fault: string): readonly string[] => {
    const code = encodeURIComponent(`process.on("SIGUSR2", () => { ${fault} })`);
    return ['env', `NODE_OPTIONS=--import=data:text/javascript,${code}`];
  };

  test.each([
    ['thrown', 'throw new Error("no way out")'],
    ['rejected', 'Promise.reject(new Error("no way out"))'],
  ])('says that an error was %s that nobody caught, and leaves the rules', async (_, fault) => {
    const weir = agent.exec(['run', ...agent.flags], faultyCode(fault));
    await weir.waitForLine(/\bready: /, { timeoutMs: 60_000 });
    const before = await agent.faults.rules();
    weir.signal('SIGUSR2');
    expect(await weir.exited).toEqual({ code: 1, signal: null });
    expect(weir.lines.at(-1)).toMatch(/ ERROR weir stops: an error that nobody caught: no way out$/);
    // Where it came from, for whoever mends it.
    const origin = expect.stringMatching(/a fault in Weir error="Error: no way out\\n +at /) as string;
    expect(errors(weir)).toEqual([origin, weir.lines.at(-1)]);
    expect(await agent.status(healthPort, '/livez')).toBe('ECONNREFUSED');
    expect(await agent.faults.rules()).toEqual(before);
  });

  test('ends in order although the API server has fallen silent, and leaves the rules', async () => {
    const weir = await agent.start();
    const before = await agent.faults.rules();
    agent.api.fallSilent();
    expect(await weir.stop()).toEqual({ code: 0, signal: null });
    expect(weir.lines.at(-1)).toMatch(/SIGTERM: stopping; the rules stay$/);
    expect(await agent.faults.rules()).toEqual(before);
    expect(await agent.status(healthPort, '/livez')).toBe('ECONNREFUSED');
  });

  test('tells the API server what happened on its node before it goes', async () => {
    const weir = await agent.start();
    await expect.poll(() => agent.api.list('events').length, patience).toBeGreaterThan(0);
    expect(await weir.stop()).toEqual({ code: 0, signal: null });
    expect(agent.api.list('events')).toContainEqual(
      expect.objectContaining({
        reason: 'Starting',
        regarding: expect.objectContaining({ kind: 'Node', name: nodeName }) as unknown,
      }),
    );
  });

  test.each(['garbage', 'half-line', 'reset', 'end'] as const)(
    'it does not for watches that %s: it begins them again, and hears what comes after',
    async (effect) => {
      const weir = await agent.start();
      await expect.poll(() => agent.api.watches.length, patience).toBe(7);
      const asked = agent.api.requests.length;
      expect(agent.api.disturbWatches({ effect })).toBe(7);
      await expect.poll(() => agent.api.requests.length, patience).toBeGreaterThanOrEqual(asked + 7);
      await expect.poll(() => agent.api.watches.length, patience).toBe(7);
      const from = weir.lines.length;
      agent.putService(liveServices.alone);
      await weir.waitForLine(/IPv4 service rules written services=1 /, { from });
      expect(await agent.status(healthPort, '/readyz')).toBe(200);
      expect(errors(weir)).toEqual([]);
      expect(await weir.stop()).toEqual({ code: 0, signal: null });
    },
  );
});
