import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  canRunFacts,
  createFactsKernel,
  type Facts,
  factsVariants,
  wrongFacts,
} from '../support/policy-facts.ts';
import type { PolicyKernel } from '../support/policy-kernel.ts';

const web = { matchLabels: { app: 'web' } };
const db = { matchLabels: { app: 'db' } };
const everyone = 'db,bare,lab,open,outside';

describe.skipIf(!canRunFacts).each(factsVariants)(
  'policies by the book, $backend backend, --policy-deny=$deny',
  (variant) => {
    let kernel: PolicyKernel;

    beforeAll(async () => {
      kernel = await createFactsKernel(variant);
    });
    afterAll(() => kernel.dispose());

    function wrongIn(facts: Facts): Promise<readonly string[]> {
      return wrongFacts(kernel, facts);
    }

    test('nothing is held while there is no policy', async () =>
      expect(
        await wrongIn({
          allowed: [`${everyone},six > web TCP/80,UDP/80,SCTP/80`, 'web > outside,open TCP/80,UDP/53'],
        }),
      ).toEqual([]));

    describe('selectors', () => {
      const expression = (key: string, operator: string, ...values: readonly string[]) => ({
        matchExpressions: [values.length === 0 ? { key, operator } : { key, operator, values }],
      });

      test.each([
        ['NotIn takes what lacks the key', expression('app', 'NotIn', 'db'), 'bare,lab,six'],
        ['DoesNotExist takes what lacks the key', expression('env', 'DoesNotExist'), 'db,bare,six'],
        ['Exists takes any value', expression('env', 'Exists'), 'lab,open'],
        ['In takes each value', expression('app', 'In', 'db', 'six'), 'db,open,six'],
        ['all of several labels must match', { matchLabels: { app: 'db', tier: 'back' } }, 'db'],
        [
          'labels and expressions both must match',
          { ...db, ...expression('env', 'NotIn', 'dev') },
          'db,open',
        ],
        [
          'every expression must match',
          {
            matchExpressions: [
              { key: 'env', operator: 'Exists' },
              { key: 'app', operator: 'NotIn', values: ['db'] },
            ],
          },
          'lab',
        ],
        ['the empty one takes all pods, and pods only', {}, 'db,bare,lab,open,six'],
      ])('of peers: %s', async (_, podSelector, taken) => {
        const from = [{ namespaceSelector: {}, podSelector }];
        const others = [...everyone.split(','), 'six']
          .filter((name) => !taken.split(',').includes(name))
          .join(',');
        expect(
          await wrongIn({
            policies: { peers: { podSelector: web, ingress: [{ from }] } },
            allowed: [`${taken} > web TCP/80,UDP/80`],
            denied: [`${others} > web TCP/80,UDP/80`],
          }),
        ).toEqual([]);
      });

      test.each([
        [
          'NotIn takes what lacks the key',
          expression('stage', 'NotIn', 'test'),
          'db,bare,open',
          'lab,outside',
        ],
        ['Exists takes any value', expression('stage', 'Exists'), 'db,bare,lab', 'open,outside'],
        [
          'a namespace has its name as a label',
          { matchLabels: { 'kubernetes.io/metadata.name': 'open' } },
          'open',
          'db,bare,lab,outside',
        ],
      ])('of namespaces: %s', async (_, namespaceSelector, taken, others) =>
        expect(
          await wrongIn({
            policies: { peers: { podSelector: web, ingress: [{ from: [{ namespaceSelector }] }] } },
            allowed: [`${taken} > web TCP/80`],
            denied: [`${others} > web TCP/80`],
          }),
        ).toEqual([]),
      );

      test('a pod selector alone stays in its namespace, with a namespace selector both must match', async () =>
        expect(
          await wrongIn({
            policies: {
              own: { podSelector: web, ingress: [{ from: [{ podSelector: db }] }] },
              both: {
                podSelector: { matchLabels: { app: 'six' } },
                ingress: [
                  { from: [{ podSelector: db, namespaceSelector: expression('stage', 'DoesNotExist') }] },
                ],
              },
            },
            allowed: ['db > web TCP/80', 'open > six TCP/80'],
            denied: ['open,bare,lab > web TCP/80', 'db,bare,lab > six TCP/80'],
          }),
        ).toEqual([]));

      test.each([
        ['NotIn', expression('app', 'NotIn', 'web'), 'db,bare', 'web'],
        ['DoesNotExist', expression('app', 'DoesNotExist'), 'bare', 'web,db'],
        ['Exists', expression('tier', 'Exists'), 'web,db', 'bare'],
      ])('of the pods that are isolated: %s', async (_, podSelector, isolated, free) =>
        expect(
          await wrongIn({
            policies: { isolate: { podSelector, policyTypes: ['Ingress'] } },
            allowed: [`lab,outside > ${free} TCP/80`, `${isolated} > lab TCP/80`],
            denied: [`lab,outside > ${isolated} TCP/80,UDP/80,SCTP/80`],
          }),
        ).toEqual([]),
      );
    });

    describe('policy types', () => {
      const inbound = `${everyone} > web TCP/80,UDP/80,SCTP/80`;
      const outbound = 'web > db,lab,outside TCP/80,UDP/80,SCTP/80';

      test.each([
        ['nothing said is Ingress', { podSelector: web }, [outbound], [inbound]],
        [
          'an empty list of egress rules does not add Egress',
          { podSelector: web, egress: [] },
          [outbound],
          [inbound],
        ],
        [
          'an egress rule adds Egress',
          { podSelector: web, egress: [{ to: [{ podSelector: db }] }] },
          ['web > db TCP/80,UDP/80'],
          [inbound, 'web > bare,lab,outside TCP/80,UDP/80'],
        ],
        [
          'an empty list counts as nothing said',
          { podSelector: web, policyTypes: [] },
          [outbound],
          [inbound],
        ],
        [
          'ingress rules under Egress mean nothing',
          { podSelector: web, policyTypes: ['Egress'], ingress: [{ from: [{ podSelector: db }] }] },
          [inbound],
          [outbound],
        ],
        [
          'egress rules under Ingress mean nothing',
          { podSelector: web, policyTypes: ['Ingress'], egress: [{ to: [{ podSelector: db }] }] },
          [outbound],
          [inbound],
        ],
        [
          'the same type twice is once',
          { podSelector: web, policyTypes: ['Ingress', 'Ingress'] },
          [outbound],
          [inbound],
        ],
      ])('%s', async (_, spec, allowed, denied) =>
        expect(await wrongIn({ policies: { types: spec }, allowed, denied })).toEqual([]),
      );

      test('without a pod selector all pods of the namespace are meant', async () =>
        expect(
          await wrongIn({
            policies: { types: { policyTypes: ['Ingress', 'Egress'] } },
            allowed: ['outside,lab > open TCP/80', 'open > lab TCP/80'],
            denied: ['outside,lab > web,db,bare,six TCP/80', 'web,db,bare,six > lab,open,outside TCP/80'],
          }),
        ).toEqual([]));
    });

    describe('several rules', () => {
      test('each has its own peers and ports, in both directions', async () =>
        expect(
          await wrongIn({
            policies: {
              rules: {
                podSelector: web,
                policyTypes: ['Ingress', 'Egress'],
                ingress: [
                  { from: [{ podSelector: db }], ports: [{ port: 80 }] },
                  {
                    from: [{ namespaceSelector: { matchLabels: { stage: 'test' } } }],
                    ports: [{ port: 81 }],
                  },
                  { ports: [{ port: 53, protocol: 'UDP' }] },
                ],
                egress: [
                  { to: [{ podSelector: db }], ports: [{ port: 8080 }] },
                  {
                    to: [{ namespaceSelector: { matchLabels: { stage: 'test' } } }],
                    ports: [{ port: 80, protocol: 'SCTP' }],
                  },
                ],
              },
            },
            allowed: [
              'db > web TCP/80',
              'lab > web TCP/81',
              `${everyone} > web UDP/53`,
              'web > db TCP/8080',
              'web > lab SCTP/80',
            ],
            denied: [
              'db > web TCP/81,UDP/80',
              'lab > web TCP/80',
              'bare,open,outside > web TCP/80,TCP/81,TCP/53',
              'web > db TCP/80,SCTP/80',
              'web > lab TCP/8080,TCP/80',
            ],
          }),
        ).toEqual([]));

      test('of several policies add up, and one that allows all wins', async () => {
        const none = { podSelector: {}, policyTypes: ['Ingress'] };
        const some = { podSelector: web, ingress: [{ from: [{ podSelector: db }] }] };
        const more = { podSelector: web, ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 81 }] }] };
        expect(
          await wrongIn({
            policies: { none, some, more },
            allowed: ['db > web TCP/80,TCP/81', 'bare > web TCP/81'],
            denied: ['bare > web TCP/80', 'lab > web TCP/80,TCP/81', 'db > bare TCP/80'],
          }),
        ).toEqual([]);
        expect(
          await wrongIn({
            policies: { none, some, all: { podSelector: web, ingress: [{}] } },
            allowed: [`${everyone} > web TCP/80,UDP/80,SCTP/80`],
            denied: ['web > bare TCP/80'],
          }),
        ).toEqual([]);
        expect(
          await wrongIn({ policies: { none }, denied: [`${everyone} > web TCP/80,UDP/80,SCTP/80`] }),
        ).toEqual([]);
      });
    });

    describe('names', () => {
      const longName = (end: string): string =>
        `${'a-very-long-name.'.repeat(14)}${end.padEnd(253 - 17 * 14, 'z')}`;

      test('of 253 characters that differ at the end only are two policies', async () => {
        const [one, other] = [longName('one'), longName('other')];
        const policyOf = (port: number) => ({
          podSelector: web,
          ingress: [{ from: [{ podSelector: {} }], ports: [{ port }] }],
        });
        expect(
          await wrongIn({
            policies: { [one]: policyOf(80), [other]: policyOf(81) },
            allowed: ['db > web TCP/80,TCP/81'],
            denied: ['db > web TCP/8080', 'lab > web TCP/80'],
          }),
        ).toEqual([]);
        expect(
          await wrongIn({
            policies: { [other]: policyOf(81) },
            allowed: ['db > web TCP/81'],
            denied: ['db > web TCP/80'],
          }),
        ).toEqual([]);
      });

      test('that two namespaces share are two policies', async () =>
        expect(
          await wrongIn({
            policies: {
              'shop/same': { podSelector: {}, ingress: [{ ports: [{ port: 80 }] }] },
              'lab/same': { podSelector: {}, ingress: [{ ports: [{ port: 81 }] }] },
            },
            allowed: ['outside > web TCP/80', 'outside > lab TCP/81'],
            denied: ['outside > web TCP/81', 'outside > lab TCP/80'],
          }),
        ).toEqual([]));
    });

    test('a namespace that goes takes its policies and pods with it', async () => {
      const policies = {
        'lab/closed': { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
        'shop/from-lab': {
          podSelector: web,
          ingress: [{ from: [{ namespaceSelector: { matchLabels: { stage: 'test' } } }] }],
        },
      };
      expect(
        await wrongIn({
          policies: { 'shop/from-lab': policies['shop/from-lab'] },
          allowed: ['lab > web TCP/80'],
        }),
      ).toEqual([]);
      expect(
        await wrongIn({ policies, denied: ['open > lab TCP/80', 'lab > web TCP/80', 'open > web TCP/80'] }),
      ).toEqual([]);
      expect(
        await wrongIn({
          policies,
          withoutNamespace: 'lab',
          denied: ['lab,open > web TCP/80'],
          allowed: ['web > open TCP/80'],
        }),
      ).toEqual([]);
      expect(
        await wrongIn({
          policies: { 'shop/from-lab': policies['shop/from-lab'] },
          allowed: ['lab > web TCP/80', 'open > lab TCP/80'],
        }),
      ).toEqual([]);
    });
  },
);
