import { canonicalAddress, canonicalCidr, type Family } from '../net/index.ts';
import type { Diagnostic, Severity } from './diagnostic.ts';
import type { Labels, PodAddress } from './meta.ts';
import { unusableAddress } from './special-address.ts';

/** A mapping as YAML or JSON gives it. */
export type Json = Readonly<Record<string, unknown>>;

/** Where the reader stands in an object. Linked, so that a good object costs no text: it is spelled only in a diagnostic. */
export interface Path {
  readonly parent: Path | undefined;
  readonly key: string | number;
}

/** More say nothing new to a reader: the object as a whole is wrong. */
const diagnosticsPerObject = 100;

/**
 * Reads the fields of one wire object and collects what is wrong with them. A missing field and `null` are the same, as
 * for the API server. Every method gives `undefined` (or an empty value) for what is missing and for what is unusable,
 * and reports the latter; `errors` tells the two apart where that matters.
 */
export class JsonReader {
  readonly kind: string;
  namespace = '';
  name = '';
  /** Errors so far, the ones over the limit included. */
  errors = 0;
  readonly #diagnostics: Diagnostic[] = [];
  #left = 0;

  constructor(kind: string) {
    this.kind = kind;
  }

  get diagnostics(): readonly Diagnostic[] {
    if (this.#left === 0) return this.#diagnostics;
    return [
      ...this.#diagnostics,
      this.#diagnostic('error', '', `has ${this.#left} more problems that are not listed`),
    ];
  }

  report(
    severity: Severity,
    path: Path | undefined,
    key: string | number | undefined,
    message: string,
  ): void {
    if (severity === 'error') this.errors += 1;
    if (this.#diagnostics.length >= diagnosticsPerObject) this.#left += 1;
    else this.#diagnostics.push(this.#diagnostic(severity, spell(path, key), message));
  }

  error(path: Path | undefined, key: string | number | undefined, message: string): void {
    this.report('error', path, key, message);
  }

  record(from: Json, key: string, path: Path | undefined): Json | undefined {
    const value = from[key];
    if (value === undefined || value === null) return undefined;
    if (isJson(value)) return value;
    this.error(path, key, `expected an object, not ${describe(value)}`);
    return undefined;
  }

  /** An element of a list. Unlike a field, `null` is wrong here: the API server never stores one. */
  element(value: unknown, path: Path): Json | undefined {
    if (isJson(value)) return value;
    this.error(path, undefined, `expected an object, not ${describe(value)}`);
    return undefined;
  }

  list(from: Json, key: string, path: Path | undefined): readonly unknown[] {
    const value = from[key];
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return value as readonly unknown[];
    this.error(path, key, `expected a list, not ${describe(value)}`);
    return [];
  }

  text(from: Json, key: string | number, path: Path | undefined): string | undefined {
    const value = from[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'string') return value;
    this.error(path, key, `expected a string, not ${describe(value)}${quotingHint(value)}`);
    return undefined;
  }

  flag(from: Json, key: string, path: Path | undefined): boolean | undefined {
    const value = from[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'boolean') return value;
    this.error(path, key, `expected true or false, not ${describe(value)}`);
    return undefined;
  }

  integer(
    from: Json,
    key: string,
    path: Path | undefined,
    least: number,
    greatest: number,
  ): number | undefined {
    const value = from[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= greatest)
      return value;
    this.error(path, key, `expected a whole number from ${least} to ${greatest}, not ${describe(value)}`);
    return undefined;
  }

  choice<Word extends string>(
    from: Json,
    key: string,
    path: Path | undefined,
    words: readonly Word[],
  ): Word | undefined {
    const value = from[key];
    if (value === undefined || value === null) return undefined;
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) this.error(path, key, `expected ${orList(words)}, not ${describe(value)}`);
    return word;
  }

  /** A map of strings; an entry whose value is no string is left out and reported. */
  labels(from: Json, key: string, path: Path | undefined): Labels {
    const map = this.record(from, key, path);
    if (map === undefined) return noLabels;
    const labels: Record<string, string> = {};
    let at: Path | undefined;
    for (const label of Object.keys(map)) {
      const value = map[label];
      if (typeof value === 'string') {
        define(labels, label, value);
      } else {
        at ??= { parent: path, key };
        this.error(at, label, `expected a string, not ${describe(value)}${quotingHint(value)}`);
      }
    }
    return labels;
  }

  /** Texts of a list; elements that are no strings are left out and reported. */
  texts(from: Json, key: string, path: Path | undefined): readonly string[] {
    const list = this.list(from, key, path);
    if (list.length === 0) return noTexts;
    const texts: string[] = [];
    for (const [index, value] of list.entries()) {
      if (typeof value === 'string') texts.push(value);
      else this.error({ parent: path, key }, index, `expected a string, not ${describe(value)}`);
    }
    return texts;
  }

  /** An address that a packet can carry: neither the unspecified one nor an IPv4 address written as IPv6. */
  address(value: unknown, path: Path | undefined, key: string | number): PodAddress | undefined {
    const ip = typeof value === 'string' ? canonicalAddress(value) : undefined;
    if (ip === undefined) {
      this.error(path, key, `${describe(value)} is not an IP address${leadingZerosHint(value)}`);
      return undefined;
    }
    const problem = unusableAddress(ip);
    if (problem === undefined) return { family: familyOfCanonical(ip), ip };
    this.error(path, key, `${ip} is ${problem}`);
    return undefined;
  }

  /** Canonical CIDR text, host bits masked. */
  cidr(value: unknown, path: Path | undefined, key: string | number): string | undefined {
    const cidr = typeof value === 'string' ? canonicalCidr(value) : undefined;
    if (cidr !== undefined) return cidr;
    this.error(path, key, `${describe(value)} is not a CIDR${leadingZerosHint(value)}`);
    return undefined;
  }

  #diagnostic(severity: Severity, field: string, message: string): Diagnostic {
    return { severity, kind: this.kind, namespace: this.namespace, name: this.name, field, message };
  }
}

const noLabels: Labels = Object.freeze({});
const noTexts: readonly string[] = Object.freeze([]);

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function familyOfCanonical(text: string): Family {
  return text.includes(':') ? 'IPv6' : 'IPv4';
}

/** A value as a message shows it: short, on one line. */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') return 'an object';
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
}

/** `__proto__` as a label key must not become a prototype. */
function define(record: Record<string, string>, key: string, value: string): void {
  if (key === '__proto__') Object.defineProperty(record, key, { value, enumerable: true });
  else record[key] = value;
}

function spell(path: Path | undefined, key: string | number | undefined): string {
  const keys: (string | number)[] = key === undefined ? [] : [key];
  for (let at = path; at !== undefined; at = at.parent) keys.push(at.key);
  let text = '';
  for (const part of keys.toReversed()) {
    if (typeof part === 'string' && /^\w{1,80}$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += typeof part === 'number' || plainKey.test(part) ? `[${part}]` : `[${describe(part)}]`;
  }
  return text;
}

/** A label key of any length that the API server takes; other keys may hold anything, and are quoted. */
const plainKey = /^[\w./-]{1,317}$/;

function orList(words: readonly string[]): string {
  return words.length === 1 ? String(words[0]) : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function quotingHint(value: unknown): string {
  return typeof value === 'number' || typeof value === 'boolean' ? `; write it in quotes: "${value}"` : '';
}

function leadingZerosHint(value: unknown): string {
  if (typeof value !== 'string' || !/^(?:\d+\.){3}\d+(?:\/\d+)?$/.test(value)) return '';
  return /(?:^|[./])0\d/.test(value)
    ? '; leading zeros are refused because programs read them differently'
    : '';
}
