import type { FamilyTools } from '../../pkg/apply/index.ts';

/** The IPv4 programs of a backend, named after it. */
export function benchTools(backend: string): FamilyTools {
  const kind = backend === 'legacy' ? 'legacy' : 'nft';
  const base = `iptables-${kind}`;
  return { family: 'IPv4', backend: kind, save: `${base}-save`, restore: `${base}-restore`, list: base };
}
