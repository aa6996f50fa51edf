import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { ConfigHost } from '../../pkg/config/index.ts';

/** This machine, as the configuration looks at it. */
export function configHost(): ConfigHost {
  return { readFile: (path) => readFile(path, 'utf8'), hostname: hostname() };
}
