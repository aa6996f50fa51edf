import type { Plan } from '../kernel/index.ts';

export type Family = Plan['family'];

export type Backend = 'legacy' | 'nft';

/** The programs that read and write the rules of one family on the chosen backend. */
export interface FamilyTools {
  readonly family: Family;
  readonly backend: Backend;
  /** Program name, e.g. `ip6tables-nft-save`. */
  readonly save: string;
  readonly restore: string;
  /** The program that lists single chains. */
  readonly list: string;
}

/** The programs named after their backend, as every iptables since 1.8.3 installs them. */
export function namedTools(family: Family, backend: Backend): FamilyTools {
  const base = `${program(family)}-${backend}`;
  return { family, backend, save: `${base}-save`, restore: `${base}-restore`, list: base };
}

/** The programs without a backend in their name; which one they are, only their version text says. */
export function plainTools(family: Family, backend: Backend): FamilyTools {
  return {
    family,
    backend,
    save: `${program(family)}-save`,
    restore: `${program(family)}-restore`,
    list: program(family),
  };
}

function program(family: Family): string {
  return family === 'IPv4' ? 'iptables' : 'ip6tables';
}
