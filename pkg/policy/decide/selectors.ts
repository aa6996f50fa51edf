import type { LabelRequirement, LabelSelector, Labels } from '../../api/index.ts';

/**
 * Whether the selector selects something with these labels: every pair and every expression must hold. `NotIn` and
 * `DoesNotExist` hold where the key is absent. The empty selector selects everything.
 */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  for (const key of Object.keys(selector.matchLabels)) {
    if (labelOf(labels, key) !== selector.matchLabels[key]) return false;
  }
  return selector.matchExpressions.every((requirement) => holds(requirement, labels));
}

function holds(requirement: LabelRequirement, labels: Labels): boolean {
  const value = labelOf(labels, requirement.key);
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && requirement.values.includes(value);
    case 'NotIn':
      return value === undefined || !requirement.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** Own keys only: a label named `constructor` is absent unless somebody set it. */
function labelOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

/**
 * One text for all spellings of a selector, in the notation of `kubectl get -l`: `app=web,tier in (a,b),!canary`. Equal texts
 * select the same. Empty for the empty selector.
 */
export function canonicalSelector(selector: LabelSelector): string {
  const pairs = Object.entries(selector.matchLabels).map(([key, value]) => `${quote(key)}=${quote(value)}`);
  const requirements = selector.matchExpressions.map(canonicalRequirement);
  return [...new Set([...pairs, ...requirements])].toSorted().join(',');
}

function canonicalRequirement(requirement: LabelRequirement): string {
  const key = quote(requirement.key);
  switch (requirement.operator) {
    case 'In':
    case 'NotIn': {
      const values = [...new Set(requirement.values)].toSorted().map(quote);
      const [only] = values;
      if (values.length === 1 && only !== undefined)
        return `${key}${requirement.operator === 'In' ? '=' : '!='}${only}`;
      return `${key} ${requirement.operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`;
    }
    case 'Exists':
      return key;
    case 'DoesNotExist':
      return `!${key}`;
  }
}

/** Labels out of files need not keep to the syntax of labels; quoted, two different selectors never print alike. */
function quote(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : JSON.stringify(text);
}
