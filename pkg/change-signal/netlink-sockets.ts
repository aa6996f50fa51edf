/** A netlink socket of this network namespace. */
export interface NetlinkSocket {
  /** As in the link text of /proc/PID/fd: `socket:[INODE]`. */
  readonly inode: string;
  /** NETLINK_NETFILTER is 12. */
  readonly protocol: number;
  /** One bit for each of the first 32 groups that it listens to; bit 0 is group 1. */
  readonly groups: number;
  /** Bytes of memory that wait to be read. */
  readonly unread: number;
  /** Messages that were lost because the buffer was full. */
  readonly drops: number;
}

/** Reads the text of /proc/net/netlink. */
export function parseNetlinkSockets(text: string): readonly NetlinkSocket[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, protocol, , groups, unread, , , , drops, inode] = line.trim().split(/\s+/u);
      if (inode === undefined || groups === undefined) return [];
      return [
        {
          inode,
          protocol: Number(protocol),
          groups: Number.parseInt(groups, 16),
          unread: Number(unread),
          drops: Number(drops),
        },
      ];
    });
}
