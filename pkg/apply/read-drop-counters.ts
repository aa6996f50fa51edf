import type { CommandRunner } from '../runtime/index.ts';
import { saveFilterCounters } from './save-filter-counters.ts';
import type { FamilyTools } from './tools.ts';

/**
 * Packets that the rules of these filter chains refused (DROP or REJECT) since each rule was last written, by chain; 0 for a chain that
 * refused none. Only reads, and beside any writer: a chain that is being rewritten shows what it had or nothing. Throws
 * WEIR_SAVE_FAILED, or the signal's reason.
 */
export async function readDropCounters(
  commands: CommandRunner,
  tools: FamilyTools,
  isCounted: (chain: string) => boolean,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  return parseDropCounters(await saveFilterCounters(commands, tools, signal), isCounted);
}

/** `[packets:bytes] -A CHAIN … -j DROP`, and the chains' own lines, `:CHAIN - [0:0]`. */
const counted = /^\[(\d+):\d+\] -A (\S+) (?:.* )?-j (?:DROP|REJECT(?: --reject-with \S+)?)\s*$/gmu;
const declared = /^:(\S+) - /gmu;

function parseDropCounters(text: string, isCounted: (chain: string) => boolean): ReadonlyMap<string, number> {
  const packets = new Map<string, number>();
  for (const [, chain = ''] of text.matchAll(declared)) if (isCounted(chain)) packets.set(chain, 0);
  for (const [, count = '0', chain = ''] of text.matchAll(counted)) {
    const before = packets.get(chain);
    if (before !== undefined) packets.set(chain, before + Number(count));
  }
  return packets;
}
