import type { Family } from '../net/index.ts';

/** `namespace/name`: how objects refer to each other. */
export type NamespacedName = string & { readonly __brand: 'NamespacedName' };

export function namespacedName(namespace: string, name: string): NamespacedName {
  return `${namespace}/${name}` as NamespacedName;
}

export const protocols = ['TCP', 'UDP', 'SCTP'] as const;

export type Protocol = (typeof protocols)[number];

export type Labels = Readonly<Record<string, string>>;

/** A label selector as `metav1.LabelSelector`: both parts must hold; without any it selects everything. */
export interface LabelSelector {
  readonly matchLabels: Labels;
  readonly matchExpressions: readonly LabelRequirement[];
}

export type LabelRequirement =
  | { readonly key: string; readonly operator: 'In' | 'NotIn'; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: 'Exists' | 'DoesNotExist' };

/** An address in canonical text, with its family. */
export interface PodAddress {
  readonly family: Family;
  readonly ip: string;
}
