import type { Loaded, Parsed } from '../../pkg/config/index.ts';
import { WeirError } from '../../pkg/runtime/index.ts';

/** The configuration, or WEIR_BAD_FLAG with all that is wrong with it, one line each. */
export function requireConfig<Config>(parsed: Parsed<Config>): Config {
  if ('config' in parsed) return parsed.config;
  throw new WeirError('WEIR_BAD_FLAG', parsed.errors.join('\n'));
}

/** The same with what is to be warned of. */
export function requireLoaded<Config>(loaded: Loaded<Config>): Exclude<Loaded<Config>, { errors: unknown }> {
  return 'config' in loaded ? loaded : requireConfig(loaded);
}
