import * as v from 'valibot';
import {
  boolean,
  cidrs,
  clusterCIDRs,
  duration,
  nodePortAddresses,
  nonEmpty,
  oneOf,
  wholeNumber,
} from './flag-values.ts';

const backend = oneOf(['auto', 'legacy', 'nft']);

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
  iptablesMasqueradeBit: v.optional(wholeNumber(31), '14'),
  iptablesLocalhostNodeports: v.optional(boolean, true),
  iptablesBackend: v.optional(backend, 'auto'),
  conntrackTcpBeLiberal: v.optional(boolean, false),
  policyDeny: v.optional(oneOf(['drop', 'reject']), 'drop'),
  policyEstablished: v.optional(oneOf(['keep', 'cut']), 'keep'),
  policyClosedStart: v.optional(oneOf(['off', 'known', 'boot']), 'known'),
  localPodCidrs: v.optional(cidrs, ''),
};

const ruleSchema = v.pipe(
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
    cniCacheDir: v.optional(nonEmpty),
    stateDir: v.optional(nonEmpty, '/var/lib/weir'),
    loggingFormat: v.optional(oneOf(['text', 'json']), 'text'),
    v: v.optional(wholeNumber(10), '0'),
  }),
  v.check((flags) => flags.iptablesSyncPeriod > 0, '--iptables-sync-period must be greater than 0'),
  v.check(
    (flags) => (flags.iptablesMinSyncPeriod ?? 0) <= flags.iptablesSyncPeriod,
    '--iptables-min-sync-period must not be longer than --iptables-sync-period',
  ),
);

const planSchema = v.object({
  output: v.optional(oneOf(['text', 'json']), 'text'),
  against: v.optional(v.array(v.pipe(v.string(), v.minLength(1, 'must not be empty'))), []),
});

const cleanupSchema = v.object({
  handBack: v.optional(boolean, false),
  force: v.optional(boolean, false),
  iptablesBackend: v.optional(backend, 'auto'),
});

/** What the rules depend on besides the cluster's objects. */
export type RuleConfig = Readonly<v.InferOutput<typeof ruleSchema>>;
export type RunConfig = RuleConfig & Readonly<v.InferOutput<typeof runSchema>>;
export type PlanConfig = RuleConfig & Readonly<v.InferOutput<typeof planSchema>>;
export type CleanupConfig = Readonly<v.InferOutput<typeof cleanupSchema>>;

/** Flag names in camel case → what stood behind them: text, `true` for a flag without a value, a list for a repeated one. */
export type Flags = Readonly<Record<string, unknown>>;

/** `errors` are one line each and name the flag. */
export type Parsed<Config> = { readonly config: Config } | { readonly errors: readonly string[] };

/** Reads the flags that `run` and `plan` share. */
export function parseRuleConfig(flags: Flags): Parsed<RuleConfig> {
  return parse(ruleSchema, flags);
}

/** Reads the flags of `run`. */
export function parseRunConfig(flags: Flags): Parsed<RunConfig> {
  return both(parseRuleConfig(flags), parse(runSchema, flags));
}

/** Reads the flags of `plan`. */
export function parsePlanConfig(flags: Flags): Parsed<PlanConfig> {
  return both(parseRuleConfig(flags), parse(planSchema, flags));
}

/** Reads the flags of `cleanup`. */
export function parseCleanupConfig(flags: Flags): Parsed<CleanupConfig> {
  return parse(cleanupSchema, flags);
}

/** What is allowed, but hardly meant; one line each. */
export function configWarnings(config: RuleConfig): readonly string[] {
  const blind = config.detectLocalMode === 'ClusterCIDR' && config.clusterCidr.length === 0;
  if (!blind || config.masqueradeAll) return [];
  return [
    'no --cluster-cidr: pods can not be told from other clients, so what comes from outside the cluster to a cluster IP is not masqueraded',
  ];
}

function parse<Schema extends v.GenericSchema>(schema: Schema, flags: Flags): Parsed<v.InferOutput<Schema>> {
  const result = v.safeParse(schema, flags);
  return result.success ? { config: result.output } : { errors: result.issues.map(issueLine) };
}

function both<A, B>(first: Parsed<A>, second: Parsed<B>): Parsed<A & B> {
  if ('config' in first && 'config' in second) return { config: { ...first.config, ...second.config } };
  return { errors: [first, second].flatMap((parsed) => ('errors' in parsed ? parsed.errors : [])) };
}

function issueLine(issue: v.BaseIssue<unknown>): string {
  const [first] = issue.path ?? [];
  if (first === undefined) return issue.message;
  const flag = `--${String(first.key).replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  return issue.input === undefined ? `${flag} is required` : `${flag}: ${issue.message}`;
}
