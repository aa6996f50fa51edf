import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCommandRunner, systemClock } from '../../pkg/runtime/index.ts';
import { type ApiServerClient, createApiClient } from '../../pkg/source/apiserver/api-transport.ts';
import { capabilities } from '../support/capabilities.ts';
import { FakeApiServer } from '../support/fake-api-server.ts';
import { wire } from '../support/wire-objects.ts';

const runner = createCommandRunner();
const watch = { verb: 'WATCH', path: '/api/v1/services?watch=true', idleTimeoutMs: 300_000 } as const;

/** On the loopback interface of the sandbox, which nobody else uses. */
describe.skipIf(!capabilities['iptables-nft'])('when the network swallows every packet, both ways', () => {
  let server: FakeApiServer;
  let client: ApiServerClient;
  beforeEach(async () => {
    server = await new FakeApiServer().start();
    server.put(wire('Service'));
    client = await createApiClient({
      master: server.url,
      env: {},
      clock: systemClock,
      userAgent: 'weir/test',
    });
  });
  afterEach(async () => {
    await swallow('-D');
    await client.close();
    await server.close();
  });

  async function swallow(action: '-I' | '-D'): Promise<void> {
    for (const side of ['--dport', '--sport']) {
      const rule = ['INPUT', '-i', 'lo', '-p', 'tcp', side, String(server.port), '-j', 'DROP'];
      await runner.run({ file: 'iptables-nft', args: ['-w', action, ...rule], timeoutMs: 10_000 });
    }
  }

  test('a watch notices within 30 seconds, and goes on once the packets do', async () => {
    const { chunks } = await client.open(watch, AbortSignal.timeout(90_000));
    const events = chunks[Symbol.asyncIterator]();
    expect(await events.next()).toMatchObject({ done: false });
    await swallow('-I');
    const tooLate = systemClock.sleep(30_000).then(() => 'nothing noticed');
    const noticed = events.next().then(
      () => 'an event',
      (error: unknown) => error,
    );
    expect(await Promise.race([noticed, tooLate])).toMatchObject({
      code: 'WEIR_API_UNREACHABLE',
      message: expect.stringContaining('ETIMEDOUT') as string,
    });
    await swallow('-D');
    const again = await client.open(watch, AbortSignal.timeout(30_000));
    expect(await again.chunks[Symbol.asyncIterator]().next()).toMatchObject({ done: false });
  });

  test('a call does not wait for a connection for longer than 15 seconds', async () => {
    await swallow('-I');
    const outcome = client.json({ verb: 'GET', path: '/version' }, AbortSignal.timeout(15_000));
    await expect(outcome).rejects.toMatchObject({ code: 'WEIR_API_UNREACHABLE' });
  });
});
