import type { FakeApiCall, FakeApiReply } from './fake-api-process.ts';
import { FakeApiServer } from './fake-api-server.ts';

// A fake API server in a process of its own, so that its work is not counted as that of who looks on; see fake-api-process.ts.
const server = await new FakeApiServer().start();

async function perform(call: FakeApiCall): Promise<unknown> {
  switch (call.operation) {
    case 'url':
      return server.url;
    case 'put':
      for (const object of call.objects) server.put(object);
      return undefined;
    case 'remove':
      return server.remove(call.resource, call.namespace, call.name);
    case 'disturb':
      return server.disturbWatches({ effect: call.effect }, call.resource);
    case 'expire':
      return server.expire(call.resource);
    case 'fetch':
      return (await fetch(call.url)).text();
  }
}

async function handle({ id, call }: { readonly id: number; readonly call: FakeApiCall }): Promise<void> {
  let reply: FakeApiReply;
  try {
    reply = { id, result: await perform(call) };
  } catch (error) {
    reply = { id, error: String(error) };
  }
  process.send?.(reply);
}

process.on('message', (message) => void handle(message as Parameters<typeof handle>[0]));
// Whoever started it is gone.
process.once('disconnect', () => process.exit(0));
