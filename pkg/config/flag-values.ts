import * as v from 'valibot';
import { canonicalCidr, familyOf } from '../net/index.ts';
import { parseDuration } from './duration.ts';

/** Text that names a file or a node: anything but nothing. */
export const nonEmpty = v.pipe(v.string(), v.trim(), v.minLength(1, 'must not be empty'));

/** Milliseconds of a duration as Go writes it. */
export const duration = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const milliseconds = parseDuration(dataset.value);
    if (milliseconds !== undefined) return milliseconds;
    addIssue({ message: `"${dataset.value}" is not a duration such as 30s or 1m30s` });
    return NEVER;
  }),
);

/** `--flag` alone comes as `true`, `--flag=false` as text. */
export const boolean = v.pipe(
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

/** CIDRs separated by commas. */
export const cidrs = v.pipe(commaSeparated, v.array(v.pipe(v.string(), cidr)));

/** At most one CIDR of each family. */
export const clusterCIDRs = v.pipe(
  cidrs,
  v.check(
    (cidrs) => new Set(cidrs.map(familyOf)).size === cidrs.length,
    'takes one CIDR, or two of different families',
  ),
);

/** CIDRs, or the single word `primary`. */
export const nodePortAddresses = v.pipe(
  commaSeparated,
  v.check((values) => !values.includes('primary') || values.length === 1, '"primary" must stand alone'),
  v.array(
    v.pipe(
      v.string(),
      v.rawTransform<string, string>(({ dataset, addIssue, NEVER }) => {
        const value = dataset.value === 'primary' ? 'primary' : canonicalCidr(dataset.value);
        if (value !== undefined) return value;
        addIssue({
          message: `"${dataset.value}" is neither a CIDR such as 192.168.0.0/16 nor the word primary`,
        });
        return NEVER;
      }),
    ),
  ),
);

/** A whole number from 0 to `max`. */
export const wholeNumber = (max: number) =>
  v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      if (/^\d{1,9}$/.test(dataset.value) && Number(dataset.value) <= max) return Number(dataset.value);
      addIssue({ message: `"${dataset.value}" is not a number from 0 to ${max}` });
      return NEVER;
    }),
  );

export const oneOf = <const Options extends readonly string[]>(options: Options) =>
  v.picklist(options, (issue) => `${issue.received} is not one of ${options.join(', ')}`);
