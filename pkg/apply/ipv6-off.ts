import { readFile } from 'node:fs/promises';

/** Why this node has no IPv6, or undefined when it has. */
export async function ipv6Off(procRoot: string): Promise<string | undefined> {
  const interfaces = await contents(`${procRoot}/net/if_inet6`);
  if (interfaces === undefined) return 'the kernel has no IPv6 (no /proc/net/if_inet6)';
  const disabled = await contents(`${procRoot}/sys/net/ipv6/conf/all/disable_ipv6`);
  return disabled?.trim() === '1' ? 'net.ipv6.conf.all.disable_ipv6 is 1' : undefined;
}

async function contents(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // Whatever keeps us from reading it, the answer is the same: it is not there for us.
    return undefined;
  }
}
