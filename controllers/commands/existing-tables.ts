import { readFile } from 'node:fs/promises';
import type { FamilyTools } from '../../pkg/apply/index.ts';
import type { TableName } from '../../pkg/kernel/index.ts';

/** Which of these tables are there to be looked at: on legacy, looking at one that is not there creates it. */
export async function existingTables(
  { family, backend }: Pick<FamilyTools, 'family' | 'backend'>,
  tables: readonly TableName[],
  procRoot = '/proc',
): Promise<readonly TableName[]> {
  if (backend === 'nft') return tables;
  const file = `${procRoot}/net/${family === 'IPv4' ? 'ip' : 'ip6'}_tables_names`;
  // Where the module is not loaded there is no such file, and no table.
  const names = await readFile(file, 'utf8').catch(() => '');
  return tables.filter((table) => names.split('\n').includes(table));
}
