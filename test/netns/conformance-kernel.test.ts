import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { familyOf } from '../../pkg/net/index.ts';
import type { Transport } from '../support/agent/protocol.ts';
import { capabilities } from '../support/capabilities.ts';
import {
  type ConformanceCase,
  type ConformanceStep,
  type ExpectedVerdict,
  readConformanceCases,
} from '../support/conformance-cases.ts';
import { conformanceFile } from '../support/conformance-file.ts';
import { type Cell, createPolicyKernel, type PolicyKernel, policyNode } from '../support/policy-kernel.ts';
import { worldManifests } from '../support/policy-wire.ts';

/** Verdicts in the file that people usually have, without those of a pod about itself. */
const usualNumberOfCells = 109_956;

const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset && capabilities['perl-raw'];
/** Both ways to deny, one with each backend. */
const variants = (
  [
    { backend: 'nft', deny: 'drop' },
    { backend: 'legacy', deny: 'reject' },
  ] as const
).filter(({ backend }) => capabilities[`iptables-${backend}`]);

const path = conformanceFile();
const cases = path === undefined || !usable ? [] : readConformanceCases(path);

describe.skipIf(!usable || path === undefined).each(variants)(
  'real packets and the policy conformance cases, $backend backend, --policy-deny=$deny',
  ({ backend, deny }) => {
    let kernel: PolicyKernel;
    let tried = 0;
    let rulesBefore: readonly string[];

    beforeAll(async () => {
      kernel = await createPolicyKernel({ backend, deny, pods: machinesOf(cases), ports: portsOf(cases) });
      rulesBefore = await kernel.rules();
    });
    afterAll(() => kernel.dispose());

    // One Weir goes through all steps of all cases, so each begins with what the one before left.
    test.each(cases.map((each) => [`case ${each.index}: ${each.description}`, each] as const))(
      '%s',
      async (_, { steps }) => {
        for (const [index, step] of steps.entries()) {
          const cells = cellsOf(step);
          tried += cells.length;
          await kernel.become(worldManifests(step, policyNode));
          expect(await kernel.wrongCells(cells), `step ${index + 1}`).toEqual([]);
        }
      },
    );

    test.skipIf(Boolean(process.env['WEIR_CONFORMANCE_FILE']))('are tried completely', () => {
      expect(tried).toBe(usualNumberOfCells);
    });

    test('leave nothing behind', async () => {
      await kernel.become([]);
      expect(await kernel.rules()).toEqual(rulesBefore);
      expect(kernel.complaints.filter((line) => line.includes(' ERROR '))).toEqual([]);
    });
  },
);

/** Pods by address: those of different cases never are there at once. */
function machinesOf(
  cases: readonly ConformanceCase[],
): readonly { name: string; addresses: readonly string[] }[] {
  const pods = cases.flatMap(({ steps }) => steps.flatMap((step) => step.pods));
  const addresses = new Set(pods.flatMap((pod) => pod.addresses.map(({ ip }) => ip)));
  return [...addresses].map((address) => ({ name: address, addresses: [address] }));
}

function portsOf(cases: readonly ConformanceCase[]): readonly (readonly [Transport, number])[] {
  const expected = cases.flatMap(({ steps }) => steps.flatMap((step) => step.expected));
  const ports = new Map(
    expected.map(({ protocol, port }) => [`${protocol}/${port}`, [transportOf(protocol), port] as const]),
  );
  return [...ports.values()];
}

/** Without what can not be tried: a pod's packets to itself never leave it, and there are none between families. */
function cellsOf({ pods, expected }: ConformanceStep): readonly Cell[] {
  const addresses = new Map(pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod.addresses[0]?.ip ?? '']));
  return expected.flatMap(({ from, to, protocol, port, ingressAllowed, egressAllowed }): readonly Cell[] => {
    const [source = '', address = ''] = [addresses.get(from), addresses.get(to)];
    if (source === address || familyOf(source) !== familyOf(address)) return [];
    const isAllowed = ingressAllowed && egressAllowed;
    return [{ from: source, protocol: transportOf(protocol), address, port, isAllowed }];
  });
}

function transportOf(protocol: ExpectedVerdict['protocol']): Transport {
  return protocol.toLowerCase() as Transport;
}
