import { setImmediate as turn } from 'node:timers/promises';
import { type ApiClient, ApiStatusError } from './api-client.ts';
import { type Resource, requestPath, type Selection } from './resources.ts';
import { isWireObject, metadataOf, unreadableAnswer } from './wire-object.ts';

/** As client-go pages: large enough to be quick, small enough to be parsed and dropped at once. */
const pageSize = 500;

export interface ListPage {
  readonly items: readonly unknown[];
  /** Of the list as a whole; that of the last page is where a watch goes on. */
  readonly resourceVersion: string;
  /** A list begins here, perhaps anew: what earlier pages said is not part of it. */
  readonly first: boolean;
}

/**
 * All objects of a resource, page by page; other work gets its turn between pages. Pages belong to one moment, and a slow
 * reader may find that moment forgotten (410): then the list is asked for once more, whole. That, too, is asked for as of
 * now: a server answers a list of some version from its cache, which may never get there while the kind is quiet
 * (kubernetes/kubernetes#107133). Throws what the client throws, and WEIR_API_ANSWER for what is no list.
 */
export async function* listPages(
  client: ApiClient,
  selection: Selection,
  signal: AbortSignal,
): AsyncGenerator<ListPage> {
  const { resource } = selection;
  let next = '';
  do {
    const query = { limit: String(pageSize), ...(next === '' ? {} : { continue: next }) };
    const before = next;
    let answer: unknown;
    try {
      answer = await client.json({ verb: 'LIST', path: requestPath(selection, query) }, signal);
    } catch (error) {
      if (before === '' || !isExpired(error)) throw error;
      yield await wholeList(client, selection, signal);
      return;
    }
    const page = readPage(answer, resource, before === '');
    next = page.next;
    // It would never end.
    if (next !== '' && next === before)
      throw unreadableAnswer(`the list of ${resource.plural} goes in circles`);
    yield page;
    if (next !== '') await turn(undefined, { signal });
  } while (next !== '');
}

async function wholeList(client: ApiClient, selection: Selection, signal: AbortSignal): Promise<ListPage> {
  const { resource } = selection;
  const answer = await client.json({ verb: 'LIST', path: requestPath(selection, {}) }, signal);
  const page = readPage(answer, resource, true);
  if (page.next !== '') throw unreadableAnswer(`the whole list of ${resource.plural} is only a page`);
  return page;
}

function readPage(
  answer: unknown,
  { plural }: Resource,
  first: boolean,
): ListPage & { readonly next: string } {
  const metadata = metadataOf(answer);
  const resourceVersion = metadata?.['resourceVersion'];
  // Go writes an empty list as null. Without `items` it is no list: that must not count as "there are none".
  const items = isWireObject(answer) && 'items' in answer ? (answer['items'] ?? []) : undefined;
  if (typeof resourceVersion !== 'string' || resourceVersion === '' || !Array.isArray(items))
    throw unreadableAnswer(`the answer to a list of ${plural} is no list`);
  const next = metadata?.['continue'];
  return { items: items as unknown[], resourceVersion, first, next: typeof next === 'string' ? next : '' };
}

function isExpired(error: unknown): boolean {
  return error instanceof ApiStatusError && error.code === 410;
}
