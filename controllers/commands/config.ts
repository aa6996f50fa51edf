import { writeFile } from 'node:fs/promises';
import { configText, type Flags, loadRunConfig } from '../../pkg/config/index.ts';
import { WeirError } from '../../pkg/runtime/index.ts';
import { configHost } from './config-host.ts';
import type { Output } from './output.ts';
import { requireLoaded } from './require-config.ts';

export interface ConfigCommand {
  readonly flags: Flags;
  readonly output: Output;
}

/**
 * `weir config`, and `weir run --write-config-to`: prints the effective configuration, or writes it to that file. The text is
 * one that `--config` reads. Returns the exit code.
 */
export async function config({ flags, output }: ConfigCommand): Promise<number> {
  const { config, warnings } = requireLoaded(await loadRunConfig(flags, configHost()));
  for (const warning of warnings) output.warn(`warning: ${warning}\n`);
  const { writeConfigTo } = flags;
  if (typeof writeConfigTo === 'string' && writeConfigTo !== '')
    await write(writeConfigTo, configText(config));
  else output.write(configText(config));
  return 0;
}

async function write(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new WeirError('WEIR_BAD_FLAG', `--write-config-to: ${path} can't be written: ${why}`, { cause });
  }
}
