/** One requirement of a `fieldSelector`. */
export interface FieldSelector {
  /** Path of the field, with dots: `spec.clusterIP`. */
  readonly field: string;
  readonly operator: '=' | '!=';
  readonly value: string;
}

/** As the API takes it: `spec.clusterIP!=None`. */
export function fieldSelectorText({ field, operator, value }: FieldSelector): string {
  return `${field}${operator}${value}`;
}

/** Whether the API server would select this object. A field that is missing counts as empty, as it does there. */
export function selectsObject({ field, operator, value }: FieldSelector, object: unknown): boolean {
  let found: unknown = object;
  for (const key of field.split('.')) {
    found =
      typeof found === 'object' && found !== null
        ? (found as Readonly<Record<string, unknown>>)[key]
        : undefined;
  }
  const text = typeof found === 'string' ? found : '';
  return (text === value) === (operator === '=');
}
