/** What one restore command gets on its standard input. */
export interface RestorePiece {
  readonly tool: 'iptables-restore' | 'ipset';
  /** What it does, for people: `chains`, `stale chains`. */
  readonly about: string;
  /** Each text is one or more whole lines with their line ends; to be written in order, never joined. */
  readonly input: readonly string[];
  /** A set that cannot be destroyed because something else looks into it is left, and the rest done; not so where its successor needs the name. */
  readonly leavesHeldSets?: true;
}
