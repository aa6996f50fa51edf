import type { Parsed } from '../../pkg/config/index.ts';
import { WeirError } from '../../pkg/runtime/index.ts';

/** The configuration, or WEIR_BAD_FLAG with all that is wrong with the flags. */
export function requireConfig<Config>(parsed: Parsed<Config>): Config {
  if ('config' in parsed) return parsed.config;
  throw new WeirError('WEIR_BAD_FLAG', parsed.errors.join('; '));
}
