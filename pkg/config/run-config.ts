import * as v from 'valibot';
import { canonicalCidr, familyOf } from '../net/index.ts';
import { parseDuration } from './duration.ts';

/** Text that names a file or a node: anything but nothing. */
const nonEmpty = v.pipe(v.string(), v.trim(), v.minLength(1, 'must not be empty'));

const duration = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const milliseconds = parseDuration(dataset.value);
    if (milliseconds !== undefined) return milliseconds;
    addIssue({ message: `"${dataset.value}" is not a duration such as 30s or 1m30s` });
    return NEVER;
  }),
);

const boolean = v.pipe(
  v.union([v.boolean(), v.string()]),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const value = String(dataset.value);
    if (value === 'true' || value === 'false') return value === 'true';
    addIssue({ message: `"${value}" is neither true nor false` });
    return NEVER;
  }),
);

const cidr = v.rawTransform<string, string>(({ dataset, addIssue, NEVER }) => {
  const canonical = canonicalCidr(dataset.value);
  if (canonical !== undefined) return canonical;
  addIssue({ message: `"${dataset.value}" is not a CIDR such as 10.244.0.0/16` });
  return NEVER;
});

const commaSeparated = v.pipe(
  v.string(),
  v.transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  ),
);

const clusterCIDRs = v.pipe(
  commaSeparated,
  v.array(v.pipe(v.string(), cidr)),
  v.check((cidrs) => cidrs.length <= 2, 'takes one CIDR, or two of different families'),
  v.check(
    (cidrs) => new Set(cidrs.map(familyOf)).size === cidrs.length,
    'takes one CIDR, or two of different families',
  ),
);

const nodePortAddresses = v.pipe(
  commaSeparated,
  v.check((values) => !values.includes('primary') || values.length === 1, '"primary" must stand alone'),
  v.array(v.union([v.literal('primary'), v.pipe(v.string(), cidr)])),
);

const bit = v.pipe(
  v.string(),
  v.regex(/^\d+$/, 'must be a number from 0 to 31'),
  v.transform(Number),
  v.maxValue(31, 'must be a number from 0 to 31'),
);

const level = v.pipe(v.string(), v.regex(/^\d+$/, 'must be a number, 0 or more'), v.transform(Number));

const oneOf = <const Options extends readonly string[]>(options: Options) =>
  v.picklist(options, (issue) => `${issue.received} is not one of ${options.join(', ')}`);

/** What the rules depend on; the same for `run` and `plan`. */
const ruleEntries = {
  manifests: nonEmpty,
  nodeName: v.pipe(nonEmpty, v.toLowerCase()),
  clusterCidr: v.optional(clusterCIDRs, ''),
  detectLocalMode: v.optional(
    oneOf(['ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix']),
    'ClusterCIDR',
  ),
  podBridgeInterface: v.optional(v.string(), ''),
  podInterfaceNamePrefix: v.optional(v.string(), ''),
  nodeportAddresses: v.optional(nodePortAddresses, ''),
  masqueradeAll: v.optional(boolean, false),
  iptablesMasqueradeBit: v.optional(bit, '14'),
  iptablesLocalhostNodeports: v.optional(boolean, true),
  iptablesBackend: v.optional(oneOf(['auto', 'legacy', 'nft']), 'auto'),
  conntrackTcpBeLiberal: v.optional(boolean, false),
};

const planSchema = v.pipe(
  v.object(ruleEntries),
  v.check(
    (flags) => flags.detectLocalMode !== 'BridgeInterface' || flags.podBridgeInterface !== '',
    '--detect-local-mode=BridgeInterface needs --pod-bridge-interface',
  ),
  v.check(
    (flags) => flags.detectLocalMode !== 'InterfaceNamePrefix' || flags.podInterfaceNamePrefix !== '',
    '--detect-local-mode=InterfaceNamePrefix needs --pod-interface-name-prefix',
  ),
);

const runSchema = v.pipe(
  v.object({
    iptablesSyncPeriod: v.optional(duration, '30s'),
    iptablesMinSyncPeriod: v.optional(duration),
    loggingFormat: v.optional(oneOf(['text', 'json']), 'text'),
    v: v.optional(level, '0'),
  }),
  v.check((flags) => flags.iptablesSyncPeriod > 0, '--iptables-sync-period must be greater than 0'),
  v.check(
    (flags) => (flags.iptablesMinSyncPeriod ?? 0) <= flags.iptablesSyncPeriod,
    '--iptables-min-sync-period must not be longer than --iptables-sync-period',
  ),
);

/** What the rules depend on besides the cluster's objects. */
export type RuleConfig = Readonly<v.InferOutput<typeof planSchema>>;
export type RunConfig = RuleConfig & Readonly<v.InferOutput<typeof runSchema>>;

export type Parsed<Config> = { readonly config: Config } | { readonly errors: readonly string[] };

/** Reads the flags that `run` and `plan` share. Keys are flag names in camel case; errors are one line each. */
export function parseRuleConfig(flags: Readonly<Record<string, unknown>>): Parsed<RuleConfig> {
  const result = v.safeParse(planSchema, flags);
  return result.success ? { config: result.output } : { errors: result.issues.map(issueLine) };
}

/** Reads the flags of `run`. */
export function parseRunConfig(flags: Readonly<Record<string, unknown>>): Parsed<RunConfig> {
  const rules = parseRuleConfig(flags);
  const run = v.safeParse(runSchema, flags);
  if ('config' in rules && run.success) return { config: { ...rules.config, ...run.output } };
  return {
    errors: [...('errors' in rules ? rules.errors : []), ...(run.success ? [] : run.issues.map(issueLine))],
  };
}

function issueLine(issue: v.BaseIssue<unknown>): string {
  const [first] = issue.path ?? [];
  if (first === undefined) return issue.message;
  const flag = `--${String(first.key).replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  return issue.input === undefined ? `${flag} is required` : `${flag}: ${issue.message}`;
}
