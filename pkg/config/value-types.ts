import * as v from 'valibot';
import { canonicalAddress, canonicalCidr, familyOf } from '../net/index.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { type Part, parts } from './parts.ts';

/** How one kind of value is written: behind a flag, and in a configuration file. */
export interface ValueType<Value> {
  /** Reads what stands behind a flag: text, or `true` for a flag without a value. */
  readonly flag: v.GenericSchema<unknown, Value>;
  /** Reads a value of a file, where numbers, booleans and lists are what they are. */
  readonly field: v.GenericSchema<unknown, Value>;
  /** The value as a file holds it. */
  print(value: Value): unknown;
}

const string = v.string(({ input }) => `must be text, not ${JSON.stringify(input)}`);

/** A kind of value that is text in both places. */
function ofText<Value>(
  schema: v.GenericSchema<unknown, Value>,
  print: (value: Value) => unknown = (value) => value,
): ValueType<Value> {
  return { flag: schema, field: schema, print };
}

/** Reads text through `read`; what it can't read is `"…" is not <what>`. */
function readAs<Value>(read: (text: string) => Value | undefined, what: string) {
  return v.pipe(
    string,
    v.rawTransform<string, Value>(({ dataset, addIssue, NEVER }) => {
      const value = read(dataset.value);
      if (value !== undefined) return value;
      addIssue({ message: `"${dataset.value}" is not ${what}` });
      return NEVER;
    }),
  );
}

export const text: ValueType<string> = ofText(string);

/** Text that names a file or a node: anything but nothing. */
export const name: ValueType<string> = ofText(v.pipe(string, v.trim(), v.minLength(1, 'must not be empty')));

export function oneOf<const Options extends readonly string[]>(options: Options): ValueType<Options[number]> {
  return ofText(
    v.picklist(options, ({ input }) => `${JSON.stringify(input)} is not one of ${options.join(', ')}`),
  );
}

/** In milliseconds. */
export const duration: ValueType<number> = ofText(
  readAs(parseDuration, 'a duration such as 30s or 1m30s'),
  formatDuration,
);

/** In a file 0 is how Go's programs write what is not given. */
export const positiveDuration: ValueType<number> = {
  ...duration,
  flag: v.pipe(
    duration.flag,
    v.check((milliseconds) => milliseconds > 0, 'must be greater than 0'),
  ),
};

/** component-base lets files give its durations as numbers, too: of nanoseconds. */
export const loggingDuration: ValueType<number> = {
  ...duration,
  field: v.union([
    v.pipe(
      v.number(),
      v.transform((nanoseconds) => nanoseconds / 1e6),
    ),
    duration.field,
  ]),
};

export const boolean: ValueType<boolean> = {
  flag: v.pipe(
    v.unknown(),
    v.transform(String),
    v.picklist(['true', 'false'], ({ input }) => `"${String(input)}" is neither true nor false`),
    v.transform((word) => word === 'true'),
  ),
  field: v.boolean(({ input }) => `${JSON.stringify(input)} is neither true nor false`),
  print: (value) => value,
};

export function wholeNumber(min: number, max: number): ValueType<number> {
  const isInRange = (value: number): boolean => Number.isInteger(value) && value >= min && value <= max;
  const range = `a number from ${min} to ${max}`;
  return {
    flag: readAs(
      (word) => (/^-?\d{1,10}$/.test(word) && isInRange(Number(word)) ? Number(word) : undefined),
      range,
    ),
    field: v.custom<number>(
      (value) => typeof value === 'number' && isInRange(value),
      ({ input }) => `${JSON.stringify(input)} is not ${range}`,
    ),
    print: (value) => value,
  };
}

export const number: ValueType<number> = {
  flag: readAs(
    (word) => (word.trim() !== '' && Number.isFinite(Number(word)) ? Number(word) : undefined),
    'a number',
  ),
  field: v.number(({ input }) => `${JSON.stringify(input)} is not a number`),
  print: (value) => value,
};

/** A resource quantity such as `64Ki`, which files may give as a number. */
export const quantity: ValueType<string> = {
  flag: string,
  field: v.union([v.pipe(v.number(), v.transform(String)), string]),
  print: (value) => value,
};

/** In its one spelling. */
export const address: ValueType<string> = ofText(readAs(canonicalAddress, 'an IP address'));

/** An IP address in its one spelling, with a port or without: `10.0.0.1`, `10.0.0.1:80`, `[fd00::1]:80`. */
export const bindAddress: ValueType<string> = ofText(
  readAs(canonicalBindAddress, 'an IP address with a port from 1 to 65535, such as 0.0.0.0:10256'),
);

function canonicalBindAddress(word: string): string | undefined {
  const bare = canonicalAddress(word);
  if (bare !== undefined) return bare;
  const [, bracketed, plain, digits = ''] = /^(?:\[(.*)\]|([^:]*)):(\d{1,5})$/.exec(word) ?? [];
  const host = canonicalAddress(bracketed ?? plain ?? '');
  const port = Number(digits);
  return host === undefined || port < 1 || port > 65_535 ? undefined : withPort(host, port);
}

/** The bind address with a port: its own, or this one. */
export function withPort(bindAddress: string, port: number): string {
  const family = familyOf(bindAddress);
  if (family === undefined) return bindAddress;
  return family === 'IPv4' ? `${bindAddress}:${port}` : `[${bindAddress}]:${port}`;
}

/**
 * The name of a network interface, or the beginning of one, at most this long; or nothing. A name goes into rules as it is, where a last
 * `+` stands for any end: alone, it would be every interface.
 */
export function interfaceName(longest: number): ValueType<string> {
  const isName = (word: string): boolean =>
    word === '' || (word.length <= longest && /^[^\s"'\\/!-][^\s"'\\/]*$/.test(word) && word !== '+');
  return ofText(
    v.pipe(
      string,
      v.check(
        isName,
        ({ input }) => `"${input}" is not the name of an interface (at most ${longest} characters)`,
      ),
    ),
  );
}

const commaSeparated = v.pipe(
  string,
  v.transform((list) =>
    list
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  ),
);
const list = v.array(string, ({ input }) => `must be a list, not ${JSON.stringify(input)}`);

/** A list that a flag gives with commas and a file as a list. */
function listOf(entries: v.GenericSchema<string[], string[]>): ValueType<readonly string[]> {
  return {
    flag: v.pipe(commaSeparated, entries),
    field: v.pipe(list, entries),
    print: (values) => [...values],
  };
}

const cidrEntries = v.array(readAs(canonicalCidr, 'a CIDR such as 10.244.0.0/16'));

export const texts = listOf(list);

/** CIDRs of one node's pods: one of every address would take all clients and all other pods for them. */
export const localCidrs = listOf(
  v.array(
    readAs(
      (entry) => [canonicalCidr(entry)].find((cidr) => cidr?.endsWith('/0') === false),
      'a CIDR of some addresses such as 10.244.1.0/24',
    ),
  ),
);

const someParts = listOf(
  v.pipe(
    list,
    v.array(readAs((entry) => parts.find((part) => part === entry), `one of ${parts.join(', ')}`)),
    v.minLength(1, `must name at least one of ${parts.join(', ')}`),
    v.check((given) => new Set(given).size === given.length, 'names a part twice'),
  ),
);
const inWritingOrder = v.transform((given: readonly string[]) =>
  parts.filter((part) => given.includes(part)),
);

/** Some of the parts, each at most once and in any order; read in the order in which they are written. */
export const partList: ValueType<readonly Part[]> = {
  flag: v.pipe(someParts.flag, inWritingOrder),
  field: v.pipe(someParts.field, inWritingOrder),
  print: (given) => [...given],
};

/** At most one CIDR of each family; with a comma in files, too. */
export const clusterCIDRs: ValueType<readonly string[]> = ofText(
  v.pipe(
    commaSeparated,
    cidrEntries,
    v.check(
      (cidrs) => new Set(cidrs.map(familyOf)).size === cidrs.length,
      'takes one CIDR, or two of different families',
    ),
  ),
  (cidrs) => cidrs.join(','),
);

/** What stands for CIDRs since Kubernetes 1.37; each at most once. */
const nodePortWords: ReadonlySet<string> = new Set(['primary', 'localhost', 'all']);

/** CIDRs and the words `primary`, `localhost` and `all`, in any combination. */
export const nodePortAddresses = listOf(
  v.pipe(
    list,
    v.array(
      readAs(
        (entry) => (nodePortWords.has(entry) ? entry : canonicalCidr(entry)),
        'a CIDR such as 192.168.0.0/16 or one of the words primary, localhost and all',
      ),
    ),
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      const input = dataset.value;
      for (const [key, value] of input.entries()) {
        if (!nodePortWords.has(value) || input.indexOf(value) === key) continue;
        const path = [{ type: 'array', origin: 'value', input, key, value }] as const;
        addIssue({ message: `"${value}" is given twice`, path: [...path] });
      }
    }),
  ),
);

/** `--feature-gates A=true,B=false`, in a file a mapping. */
export const featureGates: ValueType<Readonly<Record<string, boolean>>> = {
  flag: v.pipe(
    commaSeparated,
    v.array(
      v.pipe(
        string,
        v.regex(/^[^=]+=(true|false)$/, ({ input }) => `"${input}" is not a gate such as SomeFeature=true`),
      ),
    ),
    v.transform((pairs) =>
      Object.fromEntries(
        pairs.map((pair): [string, boolean] => {
          const [gate = '', value] = pair.split('=');
          return [gate, value === 'true'];
        }),
      ),
    ),
  ),
  field: v.record(v.string(), boolean.field, 'must be a mapping of names to true or false'),
  print: (value) => value,
};
