import { createInterface } from 'node:readline';
import { Agent } from './agent/agent.ts';
import type { OperationName } from './agent/protocol.ts';

// The process in a network namespace that listens and connects for a test:
//   node pod-agent.ts NAME, requests as {"id", "operation", "request"} a line on standard input.
const agent = new Agent(process.argv[2] ?? 'agent');

function answer(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function handle(line: string): Promise<void> {
  const { id, operation, request } = JSON.parse(line) as {
    id: number;
    operation: OperationName;
    request: never;
  };
  try {
    answer({ id, result: await agent.perform(operation, request) });
  } catch (error) {
    answer({ id, error: error instanceof Error ? error.message : String(error) });
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => void handle(line))
  // The test is gone.
  .on('close', () => process.exit(0));
