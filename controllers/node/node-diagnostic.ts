import type { Diagnostic } from '../../pkg/api/index.ts';
import type { Store } from '../../pkg/cache/index.ts';

const shownNames = 5;

/** What is wrong with the Node this process runs for: a mistyped name would make Weir take every pod for a far one. */
export function nodeDiagnostics(store: Store, nodeName: string): readonly Diagnostic[] {
  if (store.get('Node', '', nodeName) !== undefined) return [];
  const names = store.list('Node').map((node) => node.name);
  const more = names.length > shownNames ? ` and ${names.length - shownNames} more` : '';
  const known =
    names.length === 0 ? 'no Node at all' : `only ${names.slice(0, shownNames).join(', ')}${more}`;
  const message = `not among the objects (${known}): without it Weir knows neither the node's zone nor its addresses and pod CIDRs`;
  return [{ severity: 'warning', kind: 'Node', namespace: '', name: nodeName, field: '', message }];
}
