import { inject } from 'vitest';
import { type CapabilityName, capabilityNames } from './capability-names.ts';

/**
 * What this machine offers to the tests of the project `netns`, as `require-capabilities.ts` found it. Use as
 * `describe.skipIf(!capabilities.ipset)`.
 */
export const capabilities: Readonly<Record<CapabilityName, boolean>> = readCapabilities();

function readCapabilities(): Readonly<Record<CapabilityName, boolean>> {
  const missing = inject('missingCapabilities');
  const entries = capabilityNames.map((name) => [name, missing[name] === undefined] as const);
  return Object.fromEntries(entries) as Record<CapabilityName, boolean>;
}
