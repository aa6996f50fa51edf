import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import type { ConfigFile, Field, Remark } from './config-file.ts';
import { type InertSetting, inertSettings } from './inert-settings.ts';
import {
  flagKey,
  flagName,
  kubeProxyField,
  type Place,
  type ProxyMode,
  type SettingKey,
  settingKeys,
  settings,
  type Values,
} from './settings.ts';

/** Flag names in camel case → what stood behind them: text, `true` for a flag without a value, a list for a repeated one. */
export type Flags = Readonly<Record<string, unknown>>;

/** What was given, before it is read: from a flag or from the file. */
interface Given {
  readonly raw: unknown;
  readonly from: 'flag' | 'file';
  /** `--cluster-cidr` or `config.conf:3:14: clusterCIDR`. */
  readonly where: string;
  readonly offset: number;
  /** The same for each entry of a list in the file. */
  readonly entries?: readonly { readonly where: string; readonly offset: number }[];
}

export interface EffectiveValues {
  readonly values: Values;
  /** Settings that were given, and not left to their default. */
  readonly given: ReadonlyMap<SettingKey, 'flag' | 'file'>;
  /** Settings that can't be read, and stand at their default. */
  readonly broken: ReadonlySet<SettingKey>;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  /** What a person calls the setting: where it was given, or else its field or flag. */
  readonly nameOf: (key: SettingKey) => string;
}

/** Puts flags, file and defaults together, with kube-proxy's precedence: beside a file most flags do not count. */
export function effectiveValues(flags: Flags, file: ConfigFile | undefined): EffectiveValues {
  return new Reading(flags, file).result();
}

class Reading {
  readonly #flags: Flags;
  readonly #file: ConfigFile | undefined;
  readonly #errors: Remark[] = [];
  readonly #warnings: Remark[] = [];
  readonly #given = new Map<SettingKey, Given>();
  readonly #broken = new Set<SettingKey>();

  constructor(flags: Flags, file: ConfigFile | undefined) {
    this.#flags = flags;
    this.#file = file;
  }

  result(): EffectiveValues {
    // Of a file that can't be read the fields are not all there; what follows from that nobody wants to know.
    this.#errors.push(...(this.#file?.errors ?? []));
    this.#warnings.push(...(this.#file?.warnings ?? []));
    const mode = this.#value('proxyMode', 'iptables') as ProxyMode;
    const values = Object.fromEntries(
      settingKeys.map((key) => [key, key === 'proxyMode' ? mode : this.#value(key, mode)]),
    ) as unknown as Values;
    // With policies alone the file is that of a kube-proxy beside Weir, whose mode it may well be.
    if (values.parts.includes('services')) this.#warnOfMode(mode);
    this.#warnOfOverriddenFlags(mode);
    for (const inert of inertSettings) this.#readInertFlag(inert, mode);
    this.#readInertFields(mode);
    this.#checkOtherModes(mode);
    return {
      values,
      given: new Map([...this.#given].map(([key, { from }]) => [key, from])),
      broken: this.#broken,
      errors: inOrder(this.#errors),
      warnings: inOrder(this.#warnings),
      nameOf: (key) => this.#given.get(key)?.where ?? this.#wouldBe(key, mode),
    };
  }

  #value(key: SettingKey, mode: ProxyMode): unknown {
    const setting = settings[key];
    const given = this.#find(key, mode);
    if (given === undefined) return setting.default;
    const schema: v.GenericSchema = given.from === 'flag' ? setting.type.flag : setting.type.field;
    const read = v.safeParse(schema, given.raw);
    if (!read.success) {
      this.#complain(given, read.issues);
      this.#broken.add(key);
      return setting.default;
    }
    const isUnset = given.from === 'file' && (setting as Place).zeroIsUnset === true && read.output === 0;
    if (isUnset) return setting.default;
    this.#given.set(key, given);
    return read.output;
  }

  #find(key: SettingKey, mode: ProxyMode): Given | undefined {
    const place: Place = settings[key];
    const flag = flagKey(key, mode);
    const raw = flag === undefined ? undefined : this.#flags[flag];
    const counts = this.#file === undefined || place.overrides === true;
    const isGiven = raw !== undefined && !(raw === '' && place.emptyFlagIsUnset === true);
    if (flag !== undefined && isGiven && counts)
      return { raw, from: 'flag', where: flagName(flag), offset: -1 };
    const field = kubeProxyField(place, mode);
    if (field !== undefined) return fileValue(field, this.#file?.kubeProxy.get(field));
    return place.weir === undefined ? undefined : fileValue(place.weir, this.#file?.weir.get(place.weir));
  }

  #wouldBe(key: SettingKey, mode: ProxyMode): string {
    const place: Place = settings[key];
    const field = kubeProxyField(place, mode) ?? place.weir;
    return this.#file === undefined || field === undefined ? flagName(key) : field;
  }

  #complain(given: Given, issues: readonly v.BaseIssue<unknown>[]): void {
    for (const { message, path } of issues) {
      const { where, offset } = given.entries?.[Number(path?.[0]?.key)] ?? given;
      this.#errors.push({ text: `${where}: ${message}`, offset });
    }
  }

  #warnOfMode(mode: ProxyMode): void {
    const given = this.#given.get('proxyMode');
    if (given === undefined || mode === 'iptables') return;
    const text = `${given.where}: ${mode} is not what Weir does; it routes with iptables rules`;
    this.#warnings.push({ text, offset: given.offset });
  }

  /** kube-proxy says nothing, and people wonder. */
  #warnOfOverriddenFlags(mode: ProxyMode): void {
    for (const key of settingKeys) {
      const place: Place = settings[key];
      if (place.flag === false || place.overrides === true || (this.#flags[key] ?? '') === '') continue;
      const field = kubeProxyField(place, mode);
      if (this.#file !== undefined) {
        const instead = field === undefined ? '' : `; the file says ${field}`;
        this.#warnings.push({ text: `${flagName(key)} is ignored beside --config${instead}`, offset: -1 });
      } else if (flagKey(key, mode) !== key) {
        this.#warnings.push({ text: `${flagName(key)} has no effect with --proxy-mode=${mode}`, offset: -1 });
      }
    }
  }

  #readInertFlag({ flag, type, why }: InertSetting, mode: ProxyMode): void {
    if (flag === undefined || this.#flags[flag] === undefined || isUsedFlag(flag, mode)) return;
    const where = flagName(flag);
    const read = v.safeParse(type.flag, this.#flags[flag]);
    if (read.success) this.#warnings.push({ text: `${where} has no effect: ${why}`, offset: -1 });
    else this.#complain({ raw: undefined, from: 'flag', where, offset: -1 }, read.issues);
  }

  /** Of a mode that is not this one, kube-proxy reads the fields all the same. */
  #checkOtherModes(mode: ProxyMode): void {
    for (const key of settingKeys) {
      const field = kubeProxyField(settings[key], 'iptables');
      const found = field === undefined ? undefined : this.#file?.kubeProxy.get(field);
      const given = field === undefined || isUsedField(field, mode) ? undefined : fileValue(field, found);
      const schema: v.GenericSchema = settings[key].type.field;
      const read = given && v.safeParse(schema, given.raw);
      if (given !== undefined && read?.success === false) this.#complain(given, read.issues);
    }
  }

  /** One line for each part, such as `ipvs`, that says something else than the defaults. */
  #readInertFields(mode: ProxyMode): void {
    const parts = new Map<string, { fields: string[]; where: string; offset: number; why: string }>();
    for (const { field, type, why, ...inert } of inertSettings) {
      const found = field === undefined ? undefined : this.#file?.kubeProxy.get(field);
      const given = field === undefined ? undefined : fileValue(field, found);
      if (field === undefined || given === undefined || isUsedField(field, mode)) continue;
      const read = v.safeParse(type.field, given.raw);
      if (!read.success) this.#complain(given, read.issues);
      else if (!isZero(read.output) && !isDeepStrictEqual(read.output, inert.default)) {
        const name = field.split('.')[0] ?? field;
        const part = parts.get(name) ?? { fields: [], where: given.where, offset: given.offset, why };
        part.fields.push(field);
        parts.set(name, part);
      }
    }
    for (const { fields, where, offset, why } of parts.values()) {
      const [, ...more] = fields;
      const names = [where, ...more].join(', ');
      const text = `${names} ${more.length === 0 ? 'has' : 'have'} no effect: ${why}`;
      this.#warnings.push({ text, offset });
    }
  }
}

function isUsedField(field: string, mode: ProxyMode): boolean {
  return settingKeys.some((key) => kubeProxyField(settings[key], mode) === field);
}

function isUsedFlag(flag: string, mode: ProxyMode): boolean {
  return settingKeys.some((key) => flagKey(key, mode) === flag);
}

/** Empty text is how Go's programs write what is not given. */
function fileValue(name: string, field: Field | undefined): Given | undefined {
  if (field === undefined || field.value === '') return undefined;
  const entries = field.entries.map(({ location, offset }, index) => ({
    where: `${location}: ${name}[${index}]`,
    offset,
  }));
  return {
    raw: field.value,
    from: 'file',
    where: `${field.location}: ${name}`,
    offset: field.offset,
    entries,
  };
}

function isZero(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === 0 || value === '' || value === false || value === '0';
}

/** Flags first, then by place in the file. */
function inOrder(remarks: readonly Remark[]): readonly string[] {
  return remarks.toSorted((a, b) => a.offset - b.offset).map(({ text }) => text);
}
