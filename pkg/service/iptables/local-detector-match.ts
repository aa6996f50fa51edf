import type { Match } from '../../kernel/index.ts';
import type { LocalDetector } from '../decide/index.ts';

/** Matches traffic that the detector takes for local. */
export function ifLocal(detector: LocalDetector): Match {
  switch (detector.kind) {
    case 'cidr':
      return { kind: 'source', cidr: detector.cidr };
    case 'bridge':
      return { kind: 'in-interface', name: detector.name };
    case 'interface-prefix':
      return { kind: 'in-interface', name: `${detector.prefix}+` };
  }
}

/** Matches all other traffic; what the node itself sends has no input interface and counts as not local. */
export function ifNotLocal(detector: LocalDetector): Match {
  const match = ifLocal(detector);
  return { ...match, negated: true } as Match;
}
