import * as v from 'valibot';
import { type KnownFields, readConfigFile } from './config-file.ts';
import type { Flags } from './effective-values.ts';
import { inertSettings } from './inert-settings.ts';
import { parts } from './parts.ts';
import { type RuleConfig, type RunConfig, settle } from './run-config.ts';
import { flagName, type Place, settings } from './settings.ts';
import { boolean, oneOf, partList } from './value-types.ts';

/** `errors` are one line each and name the flag, or file, line, column and field. */
export type Parsed<Config> = { readonly config: Config } | { readonly errors: readonly string[] };

/** `warnings` say what was passed over, and what is hardly meant; one line each. */
export type Loaded<Config> =
  | { readonly config: Config; readonly warnings: readonly string[] }
  | { readonly errors: readonly string[] };

/** What configuration takes from the machine. */
export interface ConfigHost {
  readFile(path: string): Promise<string>;
  /** Name of the machine, for want of another. */
  readonly hostname: string;
}

export interface PlanConfig extends RunConfig {
  readonly output: 'text' | 'json';
  /** Print the summary alone. */
  readonly summary: boolean;
  /** Files with saved rules. */
  readonly against: readonly string[];
}

const cleanupSchema = v.object({
  handBack: v.optional(boolean.flag, false),
  force: v.optional(boolean.flag, false),
  parts: v.optional(partList.flag, parts.join(',')),
  iptablesBackend: v.optional(oneOf(['auto', 'legacy', 'nft']).flag, 'auto'),
});

const planSchema = v.object({
  output: v.optional(oneOf(['text', 'json']).flag, 'text'),
  summary: v.optional(boolean.flag, false),
  against: v.optional(v.array(v.pipe(v.string(), v.minLength(1, 'must not be empty'))), []),
});

export type CleanupConfig = Readonly<v.InferOutput<typeof cleanupSchema>>;

/** Reads the configuration of `run`: flags, and the file that `--config` names. */
export async function loadRunConfig(flags: Flags, host: ConfigHost): Promise<Loaded<RunConfig>> {
  const { config: path } = flags;
  if (typeof path !== 'string' || path === '') return settle(flags, undefined, host.hostname);
  const text = await host.readFile(path).catch((error: unknown) => asError(error));
  if (text instanceof Error) return { errors: [`--config: ${path} can't be read: ${text.message}`] };
  return settle(flags, readConfigFile(path, text, knownFields()), host.hostname);
}

/** Reads the configuration of `plan`: that of `run`, and what to compare with. */
export async function loadPlanConfig(flags: Flags, host: ConfigHost): Promise<Loaded<PlanConfig>> {
  const run = await loadRunConfig(flags, host);
  const plan = parse(planSchema, flags);
  if ('config' in run && 'config' in plan)
    return { config: Object.freeze({ ...run.config, ...plan.config }), warnings: run.warnings };
  return { errors: [run, plan].flatMap((parsed) => ('errors' in parsed ? parsed.errors : [])) };
}

/** Reads flags alone, for those who have no machine to look at. */
export function parseRuleConfig(flags: Flags): Parsed<RuleConfig> {
  return settle(flags, undefined, '');
}

/** Reads the flags of `cleanup`. */
export function parseCleanupConfig(flags: Flags): Parsed<CleanupConfig> {
  return parse(cleanupSchema, flags);
}

function knownFields(): KnownFields {
  const places: readonly Place[] = Object.values(settings);
  return {
    kubeProxy: new Set([
      ...places.flatMap(({ kubeProxy = [] }) =>
        typeof kubeProxy === 'string' ? kubeProxy : Object.values(kubeProxy),
      ),
      ...inertSettings.flatMap(({ field }) => field ?? []),
    ]),
    weir: new Set(places.flatMap(({ weir }) => weir ?? [])),
  };
}

function parse<Schema extends v.GenericSchema>(schema: Schema, flags: Flags): Parsed<v.InferOutput<Schema>> {
  const result = v.safeParse(schema, flags);
  return result.success ? { config: result.output } : { errors: result.issues.map(issueLine) };
}

function issueLine(issue: v.BaseIssue<unknown>): string {
  return `${flagName(String(issue.path?.[0]?.key))}: ${issue.message}`;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
