import { leftoverText, type ProxyLeftover } from '../../pkg/apply/index.ts';

/** What a plan says of kube-proxy's leftovers, for people: a line for each mode, none where there are none. */
export function leftoverReport(leftovers: readonly ProxyLeftover[]): readonly string[] {
  const modes = Map.groupBy(leftovers.map(leftoverText), ({ mode }) => mode);
  return Array.from(
    modes,
    ([mode, texts]) =>
      `kube-proxy in ${mode} mode has in force, and Weir removes once its own rules are written: ${texts.map(({ what }) => what).join(', ')}`,
  );
}

/** The same for programs. */
export function leftoversAsJson(
  leftovers: readonly ProxyLeftover[],
): readonly Readonly<Record<string, string>>[] {
  return leftovers.map(leftoverText).map(({ mode, what }) => ({ mode, what }));
}
