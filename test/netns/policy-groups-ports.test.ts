import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  canRunFacts,
  container,
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
  'ports and blocks of policies, $backend backend, --policy-deny=$deny',
  (variant) => {
    let kernel: PolicyKernel;

    beforeAll(async () => {
      kernel = await createFactsKernel(variant);
    });
    afterAll(() => kernel.dispose());

    function wrongIn(facts: Facts): Promise<readonly string[]> {
      return wrongFacts(kernel, facts);
    }

    describe('named ports', () => {
      const podSpecs = {
        web: { containers: [container('main', 'http=TCP/80', 'dns=TCP/53', 'dns=UDP/53')] },
        db: { containers: [container('main', 'http=TCP/8080')] },
        lab: { containers: [container('one', 'http=TCP/9090'), container('two', 'http=TCP/81')] },
      };
      const ingress = (...ports: readonly object[]) => ({ podSelector: {}, ingress: [{ ports }] });
      const egress = (rule: object) => ({ podSelector: {}, policyTypes: ['Egress'], egress: [rule] });

      test('of ingress are those of each pod that is reached', async () =>
        expect(
          await wrongIn({
            podSpecs,
            policies: { named: ingress({ port: 'http' }) },
            allowed: ['lab,outside > web TCP/80', 'lab,outside,web > db TCP/8080'],
            denied: [
              'lab,outside > web TCP/8080,UDP/80',
              'lab,outside > db TCP/80',
              'lab,web > bare TCP/80,TCP/8080,TCP/9090',
            ],
          }),
        ).toEqual([]));

      test('of one name count for their protocol only', async () => {
        expect(
          await wrongIn({
            podSpecs,
            policies: { named: ingress({ port: 'dns', protocol: 'UDP' }) },
            allowed: ['lab,outside > web UDP/53'],
            denied: ['lab,outside > web TCP/53,UDP/80'],
          }),
        ).toEqual([]);
        expect(
          await wrongIn({
            podSpecs,
            policies: { named: ingress({ port: 'dns' }) },
            allowed: ['lab,outside > web TCP/53'],
            denied: ['lab,outside > web UDP/53'],
          }),
        ).toEqual([]);
      });

      test('of one name with several numbers are all meant', async () =>
        expect(
          await wrongIn({
            podSpecs,
            policies: { 'lab/named': ingress({ port: 'http' }) },
            allowed: ['web,open > lab TCP/9090,TCP/81'],
            denied: ['web,open > lab TCP/80,TCP/8080'],
          }),
        ).toEqual([]));

      test('of egress are those of each pod that is asked, and of no address outside', async () =>
        expect(
          await wrongIn({
            podSpecs,
            policies: { named: egress({ ports: [{ port: 'http' }] }) },
            allowed: ['bare,db > web TCP/80', 'bare,web > db TCP/8080', 'bare > lab TCP/9090,TCP/81'],
            denied: [
              'bare,db > web TCP/8080',
              'bare,web > db,lab TCP/80',
              'bare > open,outside TCP/80,TCP/8080',
            ],
          }),
        ).toEqual([]));

      test('of egress that only the one who asks has mean nothing', async () =>
        expect(
          await wrongIn({
            podSpecs: { bare: { containers: [container('main', 'mine=TCP/80')] } },
            policies: {
              named: { podSelector: {}, policyTypes: ['Egress'], egress: [{ ports: [{ port: 'mine' }] }] },
            },
            allowed: ['web > bare TCP/80'],
            denied: ['bare > web,lab,outside TCP/80'],
          }),
        ).toEqual([]));

      test('of egress to a block are those of the pods in it', async () =>
        expect(
          await wrongIn({
            podSpecs,
            policies: {
              named: egress({
                to: [
                  { ipBlock: { cidr: '10.244.1.0/24', except: ['10.244.1.14/32'] } },
                  { ipBlock: { cidr: 'fd00:10:244:1::/64', except: ['fd00:10:244:1::14/128'] } },
                  { ipBlock: { cidr: '172.18.0.0/16' } },
                ],
                ports: [{ port: 'http' }],
              }),
            },
            allowed: ['bare > web TCP/80', 'bare > db TCP/8080'],
            denied: ['bare > lab TCP/9090,TCP/81', 'bare > db,outside TCP/80'],
          }),
        ).toEqual([]));

      test('that no pod has isolate all the same', async () =>
        expect(
          await wrongIn({
            podSpecs,
            policies: {
              named: {
                ...ingress({ port: 'nobody' }),
                ...egress({ ports: [{ port: 'nobody' }] }),
                policyTypes: ['Ingress', 'Egress'],
              },
            },
            denied: ['lab,outside > web TCP/80,UDP/53', 'web > lab,outside TCP/80,TCP/9090'],
          }),
        ).toEqual([]));

      test('of sidecars count, of other init containers they do not', async () =>
        expect(
          await wrongIn({
            podSpecs: {
              web: { initContainers: [{ ...container('sidecar', 'http=TCP/80'), restartPolicy: 'Always' }] },
              db: { initContainers: [container('migrate', 'http=TCP/80')] },
            },
            policies: { named: ingress({ port: 'http' }) },
            allowed: ['lab,outside > web TCP/80'],
            denied: ['lab,outside > db TCP/80'],
          }),
        ).toEqual([]));
    });

    describe('blocks', () => {
      const block = (cidr: string, ...except: readonly string[]) => ({ ipBlock: { cidr, except } });
      const from = (...blocks: readonly object[]) => ({
        peers: { podSelector: web, ingress: [{ from: blocks }] },
      });
      const all = `${everyone},six`;

      test('of one rule have their own holes each', async () =>
        expect(
          await wrongIn({
            policies: from(
              block('10.244.1.0/24', '10.244.1.12/31', '10.244.1.14/31'),
              block('10.244.1.12/30', '10.244.1.12/32', '10.244.1.14/31'),
              block('fd00:10:244:1::/64', 'fd00:10:244:1::12/127', 'fd00:10:244:1::14/127'),
              block('fd00:10:244:1::12/126', 'fd00:10:244:1::12/128', 'fd00:10:244:1::10/127'),
            ),
            allowed: ['bare,six > web TCP/80,UDP/80,SCTP/80'],
            denied: ['db,lab,open,outside > web TCP/80,UDP/80,SCTP/80'],
          }),
        ).toEqual([]));

      test('take everything but their holes', async () =>
        expect(
          await wrongIn({
            policies: from(block('0.0.0.0/0', '10.244.1.0/24'), block('::/0', 'fd00:10:244:1::/64')),
            allowed: ['outside > web TCP/80,UDP/80,SCTP/80'],
            denied: ['db,bare,lab,open,six > web TCP/80,UDP/80,SCTP/80'],
          }),
        ).toEqual([]));

      test('of one address, and of egress', async () =>
        expect(
          await wrongIn({
            policies: {
              peers: {
                podSelector: web,
                policyTypes: ['Egress'],
                egress: [
                  { to: [block('10.244.1.14/32'), block('fd00:10:244:1::14/128')], ports: [{ port: 80 }] },
                ],
              },
            },
            allowed: ['web > lab TCP/80', `${all} > web TCP/80`],
            denied: ['web > lab UDP/80,TCP/81', 'web > db,open,outside TCP/80'],
          }),
        ).toEqual([]));

      test('with host bits mean their network', async () =>
        expect(
          await wrongIn({
            policies: from(block('10.244.1.77/24'), block('fd00:10:244:1::77/64')),
            allowed: ['db,bare,lab,open,six > web TCP/80'],
            denied: ['outside > web TCP/80'],
          }),
        ).toEqual([]));

      test('of IPv4 hold IPv6 closed', async () => {
        expect(
          await wrongIn({
            policies: from(block('0.0.0.0/0')),
            allowed: [`${all} > web TCP/80`],
            family: 'IPv4',
          }),
        ).toEqual([]);
        expect(
          await wrongIn({
            policies: from(block('0.0.0.0/0')),
            denied: [`${all} > web TCP/80,UDP/80`],
            family: 'IPv6',
          }),
        ).toEqual([]);
      });

      test('of IPv6 hold IPv4 closed', async () => {
        expect(
          await wrongIn({ policies: from(block('::/0')), allowed: [`${all} > web TCP/80`], family: 'IPv6' }),
        ).toEqual([]);
        expect(
          await wrongIn({
            policies: from(block('::/0')),
            denied: [`${all} > web TCP/80,UDP/80`],
            family: 'IPv4',
          }),
        ).toEqual([]);
      });

      test('of both families in one rule say nothing of the other family', async () => {
        const policies = from(block('10.244.1.12/32'), block('fd00:10:244:1::14/128'));
        expect(
          await wrongIn({
            policies,
            allowed: ['db > web TCP/80'],
            denied: ['lab,bare > web TCP/80'],
            family: 'IPv4',
          }),
        ).toEqual([]);
        expect(
          await wrongIn({
            policies,
            allowed: ['lab > web TCP/80'],
            denied: ['db,bare > web TCP/80'],
            family: 'IPv6',
          }),
        ).toEqual([]);
      });

      test('and pods with one address only: IPv6', async () =>
        expect(
          await wrongIn({
            policies: {
              six: {
                podSelector: { matchLabels: { app: 'six' } },
                ingress: [{ from: [{ podSelector: db }] }],
              },
            },
            allowed: ['db > six TCP/80', 'six > db,outside TCP/80'],
            denied: ['web,lab,outside > six TCP/80'],
          }),
        ).toEqual([]));
    });

    describe('port ranges', () => {
      test.each([
        ['of one port', [{ port: 80, endPort: 80 }], 'TCP/80', 'TCP/53,TCP/81,UDP/80'],
        [
          'of all ports',
          [{ port: 1, endPort: 65_535 }],
          'TCP/53,TCP/80,TCP/9090,TCP/65535',
          'UDP/53,SCTP/80',
        ],
        [
          'that overlap',
          [{ port: 80, endPort: 8080 }, { port: 81, endPort: 9090 }, { port: 8080 }],
          'TCP/80,TCP/81,TCP/8080,TCP/9090',
          'TCP/53,TCP/65535,UDP/80',
        ],
        ['of a protocol alone', [{ protocol: 'UDP' }], 'UDP/53,UDP/80', 'TCP/53,TCP/80,SCTP/80'],
        ['without anything: all TCP', [{}], 'TCP/53,TCP/65535', 'UDP/53,SCTP/80'],
        ['of SCTP', [{ protocol: 'SCTP', port: 80 }], 'SCTP/80', 'TCP/80,UDP/80'],
      ])('%s', async (_, ports, open, closed) =>
        expect(
          await wrongIn({
            policies: {
              ports: {
                podSelector: web,
                policyTypes: ['Ingress', 'Egress'],
                ingress: [{ ports }],
                egress: [{ ports }],
              },
            },
            allowed: [`${everyone} > web ${open}`, `web > lab,outside ${open}`],
            denied: [`${everyone} > web ${closed}`, `web > lab,outside ${closed}`],
          }),
        ).toEqual([]),
      );
    });
  },
);
