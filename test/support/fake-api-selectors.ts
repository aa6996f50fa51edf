import type { Resource } from './fake-api-resources.ts';
import type { StoredObject } from './fake-api-store.ts';

/** Before 1.31 Services could be selected by name and namespace only. */
export type Release = 'current' | 'before-1.31';

/** Whether an object is in the answer. */
export type Selector = (object: StoredObject) => boolean;

/**
 * The selectors of a request's query, in the forms `!key`, `key`, `key=value` and `key!=value`, joined by commas; a text when
 * the server would refuse them.
 */
export function selectorOf(
  resource: Resource,
  query: URLSearchParams,
  release: Release = 'current',
): Selector | string {
  const tests: Selector[] = [];
  for (const term of termsOf(query.get('labelSelector'))) {
    const test = labelTest(term);
    if (test === undefined) return `unable to parse requirement: ${term}`;
    tests.push(test);
  }
  for (const term of termsOf(query.get('fieldSelector'))) {
    const [, field = '', operator = '', value = ''] = /^([\w.]+)(==?|!=)(.*)$/.exec(term) ?? [];
    if (field === '') return `invalid selector: '${term}'; can't understand '${term}'`;
    const refusal = fieldRefusal(resource, field, release);
    if (refusal !== undefined) return refusal;
    tests.push(({ fields }) => ((fields[field] ?? '') === value) === (operator !== '!='));
  }
  return (object) => tests.every((test) => test(object));
}

/** Kinds with words of their own for a field that they do not know. */
const selectableFields: Readonly<Partial<Record<Resource, readonly string[]>>> = {
  services: ['metadata.name', 'metadata.namespace', 'spec.clusterIP', 'spec.type'],
  pods: ['metadata.name', 'metadata.namespace', 'spec.nodeName', 'status.phase', 'status.podIP'],
  nodes: ['metadata.name', 'spec.unschedulable'],
  namespaces: ['metadata.name', 'status.phase'],
};
const plainFields = ['metadata.name', 'metadata.namespace'];

function fieldRefusal(resource: Resource, field: string, release: Release): string | undefined {
  const isPlain = resource === 'services' && release === 'before-1.31';
  const own = isPlain ? undefined : selectableFields[resource];
  if ((own ?? plainFields).includes(field)) return undefined;
  if (own !== undefined) return `field label not supported: ${field}`;
  return `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`;
}

/** The values that field selectors can ask for. */
export function selectableFieldsOf(resource: Resource, object: unknown): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (const field of selectableFields[resource] ?? plainFields) {
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
