/** How it ended to try some elements at once. */
export type Attempt =
  | { readonly outcome: 'accepted' }
  /** `named`: those that the program names, which need not be all, nor any. `why`: its words; may be empty. */
  | { readonly outcome: 'refused'; readonly named: readonly NamedElement[]; readonly why: string }
  /** It failed for another reason: nothing can be concluded. */
  | { readonly outcome: 'inconclusive' };

export interface NamedElement {
  /** Among the elements that were tried. */
  readonly index: number;
  readonly why: string;
}

export interface Refused<Element> {
  readonly element: Element;
  /** The program's words; may be empty. */
  readonly why: string;
}

export type TryElements<Element> = (elements: readonly Element[]) => Promise<Attempt>;

/**
 * The elements that are refused whatever stands beside them, each tried alone; elements are told apart by identity. Those that the program
 * names are tried first; where it names none, halves are, which takes about log2(n) attempts for each bad one among n. `isLate` ends the search
 * early once one is found. `undefined` when an attempt was inconclusive.
 */
export async function refusedAmong<Element>(
  elements: readonly Element[],
  attempt: TryElements<Element>,
  isLate: () => boolean,
): Promise<readonly Refused<Element>[] | undefined> {
  const found: Refused<Element>[] = [];
  let rest = elements;
  while (rest.length > 0 && (found.length === 0 || !isLate())) {
    const result = await attempt(rest);
    if (result.outcome === 'inconclusive') return undefined;
    if (result.outcome === 'accepted') break;
    const named = result.named.flatMap(({ index }) => rest.slice(index, index + 1));
    const suspects = named.length > 0 ? { suspected: named, cleared: [] } : await halve(rest, attempt);
    if (suspects === undefined) return undefined;
    for (const element of suspects.suspected) {
      const alone = await attempt([element]);
      if (alone.outcome === 'inconclusive') return undefined;
      if (alone.outcome === 'refused') found.push({ element, why: alone.named[0]?.why ?? alone.why });
    }
    const done = new Set([...suspects.suspected, ...suspects.cleared]);
    rest = rest.filter((element) => !done.has(element));
  }
  return found;
}

/** One of these that must be to blame if any is alone, and those that were accepted on the way to it. */
async function halve<Element>(
  elements: readonly Element[],
  attempt: TryElements<Element>,
): Promise<{ readonly suspected: readonly Element[]; readonly cleared: readonly Element[] } | undefined> {
  const cleared: Element[] = [];
  let suspected = elements;
  while (suspected.length > 1) {
    const middle = suspected.length >> 1;
    const left = suspected.slice(0, middle);
    const { outcome } = await attempt(left);
    if (outcome === 'inconclusive') return undefined;
    if (outcome === 'accepted') for (const element of left) cleared.push(element);
    suspected = outcome === 'accepted' ? suspected.slice(middle) : left;
  }
  return { suspected, cleared };
}
