import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import type { NetworkNamespace } from '../../support/network-namespace.ts';

/** A health-check node port. */
export interface HealthQuestion {
  readonly address: string;
  readonly port: number;
}

const program = fileURLToPath(new URL('ask-health.ts', import.meta.url));

/**
 * What a machine is answered, in the order of the questions, each as one text: status, headers and body, or the code of the error
 * (`ECONNREFUSED`), or `lost`.
 */
export async function healthAnswers(
  from: NetworkNamespace,
  questions: readonly HealthQuestion[],
): Promise<readonly string[]> {
  const { stdout } = await from.run(execPath, [program, JSON.stringify(questions)]);
  return JSON.parse(stdout) as readonly string[];
}
