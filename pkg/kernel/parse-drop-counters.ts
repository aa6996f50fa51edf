/** `[packets:bytes] -A CHAIN … -j DROP`, and the chains' own lines, `:CHAIN - [0:0]`. */
const counted = /^\[(\d+):\d+\] -A (\S+) (?:.* )?-j (?:DROP|REJECT(?: --reject-with \S+)?)\s*$/gmu;
const declared = /^:(\S+) - /gmu;

/**
 * Packets that the rules of these chains refused (DROP or REJECT) since each rule was last written, by chain, of what
 * `iptables-save -c` prints of a table; 0 for a chain that refused none.
 */
export function parseDropCounters(
  saved: string,
  isCounted: (chain: string) => boolean,
): ReadonlyMap<string, number> {
  const packets = new Map<string, number>();
  for (const [, chain = ''] of saved.matchAll(declared)) if (isCounted(chain)) packets.set(chain, 0);
  for (const [, count = '0', chain = ''] of saved.matchAll(counted)) {
    const before = packets.get(chain);
    if (before !== undefined) packets.set(chain, before + Number(count));
  }
  return packets;
}
