import type { Json, JsonReader, Path } from './json-reader.ts';
import { describe } from './json-reader.ts';
import { everything, readLabelSelector } from './label-selector.ts';
import type { LabelSelector } from './meta.ts';
import { type PolicyRule, readPolicyRules } from './policy-rules.ts';
import { reportUnknownFields } from './unknown-fields.ts';

/**
 * networking.k8s.io/v1 NetworkPolicy with the API server's defaults filled in. What could not be read is closed, never
 * open: an unreadable podSelector selects the whole namespace, unreadable policyTypes count as both, an unreadable
 * rule or peer is left out, so it allows nothing.
 */
export interface NetworkPolicy {
  readonly kind: 'NetworkPolicy';
  readonly namespace: string;
  readonly name: string;
  readonly podSelector: LabelSelector;
  /** At least one, `Ingress` first. */
  readonly policyTypes: readonly PolicyType[];
  /** Empty when `policyTypes` lacks the direction, whatever the object said. */
  readonly ingress: readonly PolicyRule[];
  readonly egress: readonly PolicyRule[];
}

export type PolicyType = 'Ingress' | 'Egress';

const specPath: Path = { parent: undefined, key: 'spec' };
const bothTypes: readonly PolicyType[] = Object.freeze(['Ingress', 'Egress']);

/** Always gives a policy: the less of it can be read, the more it closes. */
export function decodeNetworkPolicy(reader: JsonReader, raw: Json): NetworkPolicy {
  const { namespace, name } = reader;
  const spec = reader.record(raw, 'spec', undefined);
  if (spec === undefined) {
    if (reader.errors === 0)
      reader.error(undefined, 'spec', 'a NetworkPolicy needs a spec; the whole namespace is closed');
    const podSelector = everything;
    return {
      kind: 'NetworkPolicy',
      namespace,
      name,
      podSelector,
      policyTypes: bothTypes,
      ingress: [],
      egress: [],
    };
  }
  const knownFields = ['podSelector', 'policyTypes', 'ingress', 'egress'];
  reportUnknownFields(reader, spec, knownFields, specPath, 'warning');
  const policyTypes = readPolicyTypes(reader, spec);
  return {
    kind: 'NetworkPolicy',
    namespace,
    name,
    podSelector: readLabelSelector(reader, spec, 'podSelector', specPath) ?? everything,
    policyTypes,
    ingress: rulesOf(reader, spec, 'ingress', policyTypes.includes('Ingress')),
    egress: rulesOf(reader, spec, 'egress', policyTypes.includes('Egress')),
  };
}

function rulesOf(
  reader: JsonReader,
  spec: Json,
  key: 'ingress' | 'egress',
  inEffect: boolean,
): readonly PolicyRule[] {
  const rules = readPolicyRules(reader, spec, key, specPath);
  if (inEffect || rules.length === 0) return inEffect ? rules : [];
  const type = key === 'ingress' ? 'Ingress' : 'Egress';
  reader.report('warning', specPath, key, `has no effect because policyTypes lacks ${type}`);
  return [];
}

/** Without policyTypes the API server fills in Ingress, and Egress where there is at least one egress rule. */
function readPolicyTypes(reader: JsonReader, spec: Json): readonly PolicyType[] {
  const before = reader.errors;
  const words = reader.texts(spec, 'policyTypes', specPath);
  const path: Path = { parent: specPath, key: 'policyTypes' };
  for (const [index, word] of words.entries()) {
    if (word === 'Ingress' || word === 'Egress') continue;
    reader.error(
      path,
      index,
      `expected Ingress or Egress, not ${describe(word)}; the policy counts for both`,
    );
  }
  if (reader.errors > before) return bothTypes;
  if (words.length > 0) return bothTypes.filter((type) => words.includes(type));
  return hasEgress(spec['egress']) ? bothTypes : ['Ingress'];
}

/** An egress that is no list was meant to say something about egress. */
function hasEgress(egress: unknown): boolean {
  if (egress === undefined || egress === null) return false;
  return !Array.isArray(egress) || egress.length > 0;
}
