import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const usualPlace = new URL('../../../shared/conformance/cyclonus-cases.json.gz', import.meta.url);

/** The policy cases (gzipped JSON): what `WEIR_CONFORMANCE_FILE` names, else the file beside the checkout, if it is there. */
export function conformanceFile(): string | undefined {
  const named = process.env['WEIR_CONFORMANCE_FILE'];
  const path = named === undefined || named === '' ? fileURLToPath(usualPlace) : named;
  return existsSync(path) ? path : undefined;
}
