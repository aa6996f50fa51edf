import type { ChainName, TableName } from './names.ts';
import type { TableSnapshot } from './snapshot.ts';

const tableNames: ReadonlySet<string> = new Set<TableName>(['filter', 'nat', 'mangle', 'raw']);

interface TableDraft {
  readonly chains: Map<ChainName, string>;
  readonly builtins: Map<string, readonly string[]>;
  readonly policies: Map<string, string>;
  /** Rule bodies by chain, of both kinds. */
  readonly rules: Map<string, string[]>;
}

/**
 * Reads the text of `iptables-save` or `ip6tables-save` of either backend, with or without counters. Rules are cut out, not
 * parsed: a save of a large node has 70,000 lines. Tables that Weir has no name for (`security`) are left out, and so are
 * comments, such as nf_tables' warnings.
 */
export function parseIptablesSave(text: string): ReadonlyMap<TableName, TableSnapshot> {
  const tables = new Map<TableName, TableDraft>();
  let table: TableDraft | undefined;
  let chain = '';
  let rules: string[] = [];
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    const ruleStart = text[start] === '[' ? text.indexOf(' ', start) + 1 : start;
    if (text.startsWith('-A ', ruleStart)) {
      const nameStart = ruleStart + 3;
      const nameEnd = nameStart + chain.length;
      // Rules come chain by chain, so the name is nearly always the one before.
      if (nameEnd > end || !text.startsWith(chain, nameStart) || (nameEnd < end && text[nameEnd] !== ' ')) {
        const space = text.indexOf(' ', nameStart);
        chain = text.slice(nameStart, space === -1 || space > end ? end : space);
        rules = table?.rules.get(chain) ?? [];
        table?.rules.set(chain, rules);
      }
      rules.push(text.slice(Math.min(nameStart + chain.length + 1, end), end));
    } else if (text[start] === ':') {
      if (table !== undefined) declareChain(table, text.slice(start + 1, end));
    } else if (text[start] === '*') {
      table = openTable(tables, text.slice(start + 1, end).trim());
      chain = '';
    }
    start = end + 1;
  }
  return new Map(Array.from(tables, ([name, draft]) => [name, finishTable(draft)]));
}

function openTable(tables: Map<TableName, TableDraft>, name: string): TableDraft | undefined {
  if (!tableNames.has(name)) return undefined;
  const draft: TableDraft = { chains: new Map(), builtins: new Map(), policies: new Map(), rules: new Map() };
  tables.set(name as TableName, draft);
  return draft;
}

/** `NAME POLICY [packets:bytes]`; the policy of a user chain is `-`. */
function declareChain(table: TableDraft, line: string): void {
  const [name = '', policy = '-'] = line.split(' ', 2);
  if (policy === '-') {
    table.chains.set(name as ChainName, '');
  } else {
    table.builtins.set(name, []);
    table.policies.set(name, policy);
  }
}

function finishTable({ chains, builtins, policies, rules }: TableDraft): TableSnapshot {
  for (const [chain, bodies] of rules) {
    if (builtins.has(chain)) builtins.set(chain, bodies);
    else chains.set(chain as ChainName, bodies.join('\n'));
  }
  return { chains, builtins, policies };
}
