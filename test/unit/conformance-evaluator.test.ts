import { describe, expect, it } from 'vitest';
import { evaluate } from '../../pkg/policy/decide/index.ts';
import { requiredCapabilities } from '../support/capability-names.ts';
import {
  type ConformanceCase,
  type ConformanceStep,
  type ExpectedVerdict,
  readConformanceCases,
} from '../support/conformance-cases.ts';
import { conformanceFile } from '../support/conformance-file.ts';

/** Verdicts in the file that people usually have, loopback included. */
const usualNumberOfVerdicts = 123_669;

const path = conformanceFile();
const isRequired = requiredCapabilities().has('conformance');

describe('the reference evaluator and the policy conformance cases', () => {
  if (path === undefined) {
    it('agree on every verdict', ({ skip }) => {
      expect(isRequired, 'WEIR_REQUIRE asks for the policy cases, and there is no such file').toBe(false);
      skip('the file with the policy cases is not there');
    });
    return;
  }

  const cases = readConformanceCases(path);

  it.each(cases.map((each) => [`case ${each.index}: ${each.description}`, each] as const))(
    '%s',
    (_, each) => {
      expect(each.steps.flatMap(disagreements)).toEqual([]);
    },
  );

  it.skipIf(Boolean(process.env['WEIR_CONFORMANCE_FILE']))('are judged completely', () => {
    expect(cases.map(countVerdicts).reduce((a, b) => a + b, 0)).toBe(usualNumberOfVerdicts);
  });
});

function disagreements(step: ConformanceStep, index: number): readonly string[] {
  const addresses = new Map(
    step.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod.addresses[0]?.ip ?? '']),
  );
  return step.expected.flatMap((expected) => {
    const { ingress, egress } = evaluate(step, {
      source: addresses.get(expected.from) ?? '',
      destination: addresses.get(expected.to) ?? '',
      protocol: expected.protocol,
      destinationPort: expected.port,
    });
    const agree =
      (ingress.outcome !== 'denied') === expected.ingressAllowed &&
      (egress.outcome !== 'denied') === expected.egressAllowed;
    return agree
      ? []
      : [
          `step ${index + 1}: ${describeCell(expected)}, not ingress ${ingress.outcome} and egress ${egress.outcome}`,
        ];
  });
}

function describeCell({ from, to, protocol, port, ingressAllowed, egressAllowed }: ExpectedVerdict): string {
  const word = (allowed: boolean) => (allowed ? 'allowed' : 'denied');
  return `${from} to ${to} ${protocol}/${port} should be ingress ${word(ingressAllowed)} and egress ${word(egressAllowed)}`;
}

function countVerdicts({ steps }: ConformanceCase): number {
  return steps.reduce((sum, { expected }) => sum + expected.length, 0);
}
