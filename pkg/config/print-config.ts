import { stringify } from 'yaml';
import { kubeProxyKind, weirKind } from './config-file.ts';
import { inertSettings } from './inert-settings.ts';
import type { RunConfig } from './run-config.ts';
import { kubeProxyField, type Place, settingKeys, settings } from './settings.ts';

/** A field's value in a document: plain data. */
type Document = Readonly<Record<string, unknown>>;

/**
 * The configuration as kube-proxy's own type, with every default filled in and the fields in kube-proxy's order. What has no
 * effect in Weir has kube-proxy's default, `mode` is `iptables`, and a `minSyncPeriod` of `0s` is Weir's adaptive one.
 */
export function kubeProxyConfiguration(config: RunConfig): Document {
  const fields = new Map(
    inertSettings.flatMap(({ field, type, default: value }) =>
      field === undefined || value === undefined ? [] : [[field, type.print(value)] as const],
    ),
  );
  for (const key of settingKeys) {
    const field = kubeProxyField(settings[key], 'iptables');
    if (field !== undefined) fields.set(field, printed(key, config));
  }
  fields.set('iptables.minSyncPeriod', printed('iptablesMinSyncPeriod', config) ?? '0s');
  fields.set('mode', 'iptables');
  return nested({ ...kubeProxyKind, ...Object.fromEntries(fields) });
}

/** The rest of it: what kube-proxy's type has no field for. */
export function weirConfiguration(config: RunConfig): Document {
  const fields = new Map<string, unknown>();
  for (const key of settingKeys) {
    const { weir }: Place = settings[key];
    if (weir !== undefined) fields.set(weir, printed(key, config) ?? '');
  }
  if (config.iptablesMinSyncPeriod === 0) fields.set('minSyncPeriod', '0s');
  fields.set('healthServer', config.healthzBindAddress !== '');
  fields.set('metricsServer', config.metricsBindAddress !== '');
  return nested({ ...weirKind, ...Object.fromEntries(fields) });
}

/** Both, as a file that `--config` reads. */
export function configText(config: RunConfig): string {
  return [kubeProxyConfiguration(config), weirConfiguration(config)]
    .map((document) => stringify(document, { lineWidth: 0 }))
    .join('---\n');
}

function printed(key: (typeof settingKeys)[number], config: RunConfig): unknown {
  const value = (config as unknown as Document)[key];
  return value === undefined ? undefined : settings[key].type.print(value as never);
}

/** Dotted fields as objects in objects, sorted as kube-proxy writes them. */
function nested(fields: Document): Document {
  const root: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const keys = field.split('.');
    let parent = root;
    for (const key of keys.slice(0, -1)) parent = (parent[key] ??= {}) as Record<string, unknown>;
    parent[keys.at(-1) ?? ''] = value;
  }
  return root;
}
