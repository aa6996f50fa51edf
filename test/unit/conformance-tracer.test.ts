import { describe, expect, it } from 'vitest';
import { familyOf } from '../../pkg/net/index.ts';
import { requiredCapabilities } from '../support/capability-names.ts';
import {
  type ConformanceStep,
  type ExpectedVerdict,
  readConformanceCases,
} from '../support/conformance-cases.ts';
import { conformanceFile } from '../support/conformance-file.ts';
import { PolicyNode, policyOptions } from '../support/policy-node.ts';

/** Verdicts in the file that people usually have, loopback included. */
const usualNumberOfVerdicts = 123_669;

const path = conformanceFile();
const isRequired = requiredCapabilities().has('conformance');

describe('the compiled rules and the policy conformance cases', () => {
  if (path === undefined) {
    it('agree on every verdict', ({ skip }) => {
      expect(isRequired, 'WEIR_REQUIRE asks for the policy cases, and there is no such file').toBe(false);
      skip('the file with the policy cases is not there');
    });
    return;
  }

  const cases = readConformanceCases(path);
  const nodes = {
    IPv4: new PolicyNode(policyOptions('IPv4')),
    IPv6: new PolicyNode(policyOptions('IPv6')),
  };
  let judged = 0;

  // One writer goes through all steps of all cases, so each begins with what the one before left.
  it.each(cases.map((each) => [`case ${each.index}: ${each.description}`, each] as const))(
    '%s',
    (_, each) => {
      const failures = each.steps.flatMap((step, index) => {
        for (const node of Object.values(nodes)) node.become(onOneNode(step));
        judged += step.expected.length;
        return disagreements(step, index);
      });
      expect(failures).toEqual([]);
    },
  );

  it.skipIf(Boolean(process.env['WEIR_CONFORMANCE_FILE']))('are judged completely', () => {
    expect(judged).toBe(usualNumberOfVerdicts);
  });

  it('leave nothing behind', () => {
    for (const node of Object.values(nodes)) {
      node.become({ policies: [], pods: [], namespaces: [] });
      expect(node.kernel().tables.get('filter')).toMatchObject({ chains: new Map() });
      expect(node.kernel().sets).toEqual(new Map());
    }
  });

  function disagreements(step: ConformanceStep, index: number): readonly string[] {
    const addresses = new Map(
      step.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod.addresses[0]?.ip ?? '']),
    );
    return step.expected.flatMap((expected) => {
      const source = addresses.get(expected.from) ?? '';
      const destination = addresses.get(expected.to) ?? '';
      const { protocol, port } = expected;
      // There are no packets between families.
      if (familyOf(source) !== familyOf(destination)) return [];
      const node = nodes[familyOf(source) ?? 'IPv4'];
      const { verdict, steps } = node.judge({ source, destination, protocol, destinationPort: port });
      const last = steps.at(-1)?.chain ?? '';
      const outcome = verdict === 'accept' ? 'accept' : `drop in ${last.replace(/-[A-Z2-7]{15}$/u, '')}`;
      return outcome === outcomeOf(expected)
        ? []
        : [
            `step ${index + 1}: ${expected.from} to ${expected.to} ${protocol}/${port}: ${outcome}, not ${outcomeOf(expected)}`,
          ];
    });
  }
});

function onOneNode(step: ConformanceStep): ConformanceStep {
  return { ...step, pods: step.pods.map((pod) => ({ ...pod, nodeName: 'node-1' })) };
}

/** A packet meets the egress half first. */
function outcomeOf({ ingressAllowed, egressAllowed }: ExpectedVerdict): string {
  if (!egressAllowed) return 'drop in WEIR-EGRESS';
  return ingressAllowed ? 'accept' : 'drop in WEIR-INGRESS';
}
