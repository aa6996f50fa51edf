import type { StoredObject } from './fake-api-store.ts';

/** Whether an object is in the answer. */
export type Selector = (object: StoredObject) => boolean;

/**
 * The selectors of a request's query, in the forms `!key`, `key`, `key=value` and `key!=value`, joined by commas; a
 * text when the server would refuse them.
 */
export function selectorOf(query: URLSearchParams): Selector | string {
  const tests: Selector[] = [];
  for (const term of termsOf(query.get('labelSelector'))) {
    const test = labelTest(term);
    if (test === undefined) return `unable to parse requirement: ${term}`;
    tests.push(test);
  }
  for (const term of termsOf(query.get('fieldSelector'))) {
    const [, field = '', operator = '', value = ''] = /^([\w.]+)(==?|!=)(.*)$/.exec(term) ?? [];
    if (field === '') return `invalid selector: '${term}'; can't understand '${term}'`;
    if (!selectableFields.includes(field)) return `field label not supported: ${field}`;
    tests.push(({ fields }) => ((fields[field] ?? '') === value) === (operator !== '!='));
  }
  return (object) => tests.every((test) => test(object));
}

const selectableFields = [
  'metadata.name',
  'metadata.namespace',
  'spec.clusterIP',
  'spec.type',
  'spec.nodeName',
  'status.phase',
];

/** The values that field selectors can ask for. */
export function selectableFieldsOf(object: unknown): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (const field of selectableFields) {
    let value: unknown = object;
    for (const key of field.split('.')) value = (value as Record<string, unknown> | undefined)?.[key];
    if (typeof value === 'string') fields[field] = value;
  }
  return fields;
}

function termsOf(selector: string | null): readonly string[] {
  return (selector ?? '').split(',').filter((term) => term !== '');
}

function labelTest(term: string): Selector | undefined {
  const [, not, key = '', operator, value = ''] = /^(!?)([\w./-]+)(?:(==?|!=)([\w.-]*))?$/.exec(term) ?? [];
  if (key === '') return undefined;
  if (operator === undefined) return ({ labels }) => key in labels === (not === '');
  return ({ labels }) => (labels[key] === value) === (operator !== '!=');
}
