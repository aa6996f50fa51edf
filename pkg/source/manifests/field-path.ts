export type FieldKey = string | number;

/** The keys of a diagnostic's field: `spec.ports[0].port` → spec, ports, 0, port. */
export function fieldKeys(field: string): readonly FieldKey[] {
  const keys: FieldKey[] = [];
  for (const [, bracketed, plain] of field.matchAll(/\[([^\]]*)\]|([^.[]+)/g)) {
    if (bracketed === undefined) keys.push(plain ?? '');
    else keys.push(/^\d+$/.test(bracketed) ? Number(bracketed) : bracketed);
  }
  return keys;
}
