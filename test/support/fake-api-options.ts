import type { StatusAnswer } from './fake-api-status.ts';

/** Whether `sendInitialEvents` is known; older servers do not know the word, or have it switched off. */
export type WatchListSupport = 'on' | 'off' | 'unknown';

/**
 * What kube-apiserver refuses in the parameters of a list or watch before it looks at any object, in its words. Nothing
 * when they are in order.
 */
export function optionsRefusal(
  query: URLSearchParams,
  isWatch: boolean,
  support: WatchListSupport,
): StatusAnswer | undefined {
  for (const name of ['limit', 'timeoutSeconds']) {
    const text = query.get(name) ?? '';
    if (!/^-?\d*$/.test(text))
      return { code: 400, message: `strconv.ParseInt: parsing "${text}": invalid syntax` };
  }
  const problems = isWatch ? watchProblems(query, support) : listProblems(query, support);
  if (problems.length > 0) return invalid(problems);
  const version = query.get('resourceVersion') ?? '';
  if (/^\d*$/.test(version)) return undefined;
  const message = `resourceVersion: Invalid value: "${version}": strconv.ParseUint: invalid syntax`;
  // For watches a version that is no number is a fault of the server.
  return isWatch ? { code: 500, reason: '', message } : { code: 400, message };
}

function listProblems(query: URLSearchParams, support: WatchListSupport): readonly string[] {
  const match = query.get('resourceVersionMatch') ?? '';
  const version = query.get('resourceVersion') ?? '';
  const forbidden = (words: string): string =>
    `resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden ${words}`;
  const problems: string[] = [];
  if (match !== '') {
    if (version === '') problems.push(forbidden('unless resourceVersion is provided'));
    if (query.has('continue')) problems.push(forbidden('when continue is provided'));
    if (match !== 'Exact' && match !== 'NotOlderThan')
      problems.push(`resourceVersionMatch: Unsupported value: "${match}"`);
    if (match === 'Exact' && version === '0') problems.push(forbidden('for resourceVersion "0"'));
  }
  if (query.has('sendInitialEvents') && support !== 'unknown')
    problems.push('sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list');
  return problems;
}

function watchProblems(query: URLSearchParams, support: WatchListSupport): readonly string[] {
  if (support === 'unknown') return [];
  const match = query.get('resourceVersionMatch') ?? '';
  const asksInitial = query.has('sendInitialEvents');
  const problems: string[] = [];
  if (asksInitial && match !== 'NotOlderThan')
    problems.push('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  if (asksInitial && support === 'off')
    problems.push('sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled');
  if (match !== '' && !asksInitial)
    problems.push('resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided');
  if (match !== '' && match !== 'NotOlderThan') problems.push(`Unsupported value: "${match}"`);
  return problems;
}

function invalid(problems: readonly string[]): StatusAnswer {
  return {
    code: 422,
    reason: 'Invalid',
    message: `ListOptions.meta.k8s.io "" is invalid: ${problems.join(', ')}`,
  };
}
