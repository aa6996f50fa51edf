import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from '../../pkg/runtime/index.ts';

/**
 * How long the bare tools take for the same bytes: each recorded command alone, its input from a file, nothing else in the
 * way. Milliseconds in all.
 */
export function bareMilliseconds(commands: readonly Command[]): number {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bench-'));
  let total = 0;
  try {
    for (const { file, args, input } of commands) {
      const path = join(folder, 'input');
      writeFileSync(path, typeof input === 'string' ? input : (input ?? []).join(''));
      const stdin = openSync(path, 'r');
      const start = performance.now();
      const result = spawnSync(file, [...args], { stdio: [stdin, 'ignore', 'pipe'] });
      total += performance.now() - start;
      closeSync(stdin);
      if (result.status !== 0) throw new Error(`${file}: ${result.stderr.toString()}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return total;
}
