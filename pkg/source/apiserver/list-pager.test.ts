import { expect, test } from 'vitest';
import { type ApiClient, type ApiRequest, ApiStatusError } from './api-client.ts';
import { type ListPage, listPages } from './list-pager.ts';
import { watchedResources } from './resources.ts';

const [services] = watchedResources('node-1');
if (services === undefined) throw new Error('no resources');

type Query = Readonly<Record<string, string>>;

/** Lists `services`; each request gets the next answer. Asked are the queries without the selectors. */
async function listed(...answers: readonly unknown[]): Promise<{
  readonly pages: readonly ListPage[];
  readonly asked: readonly Query[];
  readonly error: unknown;
}> {
  const asked: Query[] = [];
  const client: ApiClient = {
    open: () => Promise.reject(new Error('not a watch')),
    json: ({ path }: ApiRequest) => {
      const { labelSelector, fieldSelector, ...query } = Object.fromEntries(
        new URLSearchParams(path.split('?')[1]),
      );
      expect([labelSelector, fieldSelector]).toEqual([
        '!service.kubernetes.io/service-proxy-name',
        'spec.clusterIP!=None',
      ]);
      const answer = answers[asked.length];
      asked.push(query);
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
    close: () => Promise.resolve(),
  };
  const pages: ListPage[] = [];
  try {
    if (services === undefined) throw new Error('no resources');
    const selection = { resource: services, withFieldSelector: true };
    for await (const page of listPages(client, selection, new AbortController().signal)) pages.push(page);
  } catch (error) {
    return { pages, asked, error };
  }
  return { pages, asked, error: undefined };
}

function page(items: unknown, metadata: object = {}): unknown {
  return { metadata: { resourceVersion: '40', ...metadata }, items };
}

const expired = new ApiStatusError(410, 'Expired', 'the continue token is too old');

test('follows the pages to their end', async () => {
  const { pages, asked, error } = await listed(
    page([1, 2], { continue: 'next' }),
    page([3], { continue: '' }),
  );
  expect(error).toBeUndefined();
  expect(pages.map(({ items, first }) => ({ items, first }))).toEqual([
    { items: [1, 2], first: true },
    { items: [3], first: false },
  ]);
  expect(asked).toEqual([{ limit: '500' }, { limit: '500', continue: 'next' }]);
  expect(pages.at(-1)?.resourceVersion).toBe('40');
});

test('takes the empty list as Go writes it', async () => {
  expect(await listed(page(null))).toMatchObject({ error: undefined, pages: [{ items: [], first: true }] });
});

test('asks for all at once when the pages have expired, and not for a version that a cache may lag behind', async () => {
  const { pages, asked, error } = await listed(
    page([1], { continue: 'next' }),
    expired,
    page([1, 2], { resourceVersion: '50' }),
  );
  expect(error).toBeUndefined();
  expect(asked[2]).toEqual({});
  expect(pages.at(-1)).toMatchObject({ items: [1, 2], first: true, resourceVersion: '50' });
});

test('tries that once only', async () => {
  const { asked, error } = await listed(page([1], { continue: 'next' }), expired, expired);
  expect(error).toBe(expired);
  expect(asked).toHaveLength(3);
});

test('does not take an expiry of the first page for one of its pages', async () => {
  const { asked, error } = await listed(expired);
  expect(error).toBe(expired);
  expect(asked).toHaveLength(1);
});

test.each([
  ['no items', { metadata: { resourceVersion: '40' } }],
  ['no metadata', { items: [] }],
  ['an empty resourceVersion', page([], { resourceVersion: '' })],
  ['items that are no list', page({})],
  ['a list', []],
  ['nothing', null],
])('never takes an answer with %s for an empty list', async (_, answer) => {
  const { pages, error } = await listed(answer);
  expect(error).toMatchObject({
    code: 'WEIR_API_ANSWER',
    message: 'the answer to a list of services is no list',
  });
  expect(pages).toEqual([]);
});

test('does not turn in circles', async () => {
  const circle = page([1], { continue: 'again' });
  const { asked, error } = await listed(circle, circle, circle, circle);
  expect(error).toMatchObject({ code: 'WEIR_API_ANSWER' });
  expect(asked).toHaveLength(2);
});

test('lets other work go on between pages', async () => {
  let turns = 0;
  const count = (): void => {
    turns += 1;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  const pages = Array.from({ length: 20 }, (_, index) => page([index], { continue: `${index}` }));
  await listed(...pages, page([]));
  clearImmediate(counting);
  expect(turns).toBeGreaterThanOrEqual(20);
});
