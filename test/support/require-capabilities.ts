import type { TestProject } from 'vitest/node';
import { createCommandRunner } from '../../pkg/runtime/index.ts';
import { type CapabilityName, requiredCapabilities } from './capability-names.ts';
import { type MissingCapabilities, probeCapabilities } from './probe-capabilities.ts';

declare module 'vitest' {
  interface ProvidedContext {
    missingCapabilities: MissingCapabilities;
  }
}

/**
 * Looks once what the machine offers, before the first test with a real kernel. What is missing is named, and what
 * `WEIR_REQUIRE` asks for must be there: a run where tests were skipped must not pass for one where they succeeded.
 */
export async function setup(project: TestProject): Promise<void> {
  const missing = await probeCapabilities(createCommandRunner());
  project.provide('missingCapabilities', missing);
  const names = Object.keys(missing) as CapabilityName[];
  const required = requiredCapabilities();
  const refused = names.filter((name) => required.has(name));
  if (refused.length > 0) {
    throw new Error(
      `WEIR_REQUIRE asks for what is not there: ${refused.map((name) => `${name} (${missing[name]})`).join('; ')}`,
    );
  }
  for (const name of names) process.stderr.write(`Tests that need ${name} are skipped: ${missing[name]}\n`);
}
