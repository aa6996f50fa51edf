import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { debianPackage } from '../../../hack/debian-package.ts';
import { alertCases, alertTests } from './support/alert-cases.ts';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';
import { Prometheus, promtool, ruleFile } from './support/prometheus.ts';

const patience = { timeout: 60_000, interval: 500 };
const scrapedFromAfar = new URL('manifests/weir-scraped-from-afar', import.meta.url).pathname;

let programs: string;
beforeAll(async () => {
  programs = await debianPackage('prometheus');
});

describe('the alerts, by promtool,', () => {
  test('are a valid rule file', async () => {
    const said = await promtool(programs, ['check', 'rules', 'rules.yml'], { 'rules.yml': await ruleFile() });
    expect(said).toContain(`SUCCESS: ${alertCases.length} rules found`);
  });

  test('fire, each for its own fault and no other', async () => {
    const rules = await ruleFile();
    const groups = (parse(rules) as { groups: readonly { rules: readonly { alert: string }[] }[] }).groups;
    const alerts = groups.flatMap((group) => group.rules.map(({ alert }) => alert));
    expect(alertCases.map(({ alert }) => alert).toSorted()).toEqual(alerts.toSorted());
    const files = { 'rules.yml': rules, 'tests.yml': alertTests('rules.yml') };
    expect(await promtool(programs, ['test', 'rules', 'tests.yml'], files)).toContain('SUCCESS');
  });
});

describe('Prometheus in the cluster', () => {
  let lab: OwnLab;
  let prometheus: Prometheus;

  beforeAll(async () => {
    lab = await startOwnLab();
    await lab.kubectl(['apply', '-k', scrapedFromAfar]);
    await lab.waitForRollout('daemonset/weir', 'kube-system', 120_000);
    prometheus = await Prometheus.start(lab, programs);
  });
  afterAll(() => lab.stop());

  /** Alerts that are not at rest: name and state, and the nodes they are about. */
  async function raised(): Promise<readonly string[]> {
    const rules = await prometheus.rules();
    return rules
      .filter(({ state }) => state !== 'inactive')
      .map(({ name, state, alerts }) =>
        [name, state, ...alerts.map(({ labels }) => labels['instance'] ?? '')].join(' '),
      );
  }

  test('reaches Weir on every node, and calls each by the name of its node', async () => {
    const seen = async () =>
      (await prometheus.targets()).map(({ labels, health, lastError }) =>
        [labels['job'], labels['instance'], health, lastError].join(' ').trim(),
      );
    await expect
      .poll(async () => (await seen()).toSorted(), patience)
      .toEqual(lab.state.nodes.map(({ name }) => `kube-proxy ${name} up`));
  });

  test('evaluates every alert, and none is raised where nothing is wrong', async () => {
    const since = Date.now() + 2000;
    const evaluated = async () => {
      const rules = await prometheus.rules();
      const recent = rules.filter(({ lastEvaluation }) => Date.parse(lastEvaluation) > since);
      return recent.map(({ name, health }) => `${name} ${health}`).toSorted();
    };
    const wanted = alertCases.map(({ alert }) => `${alert} ok`).toSorted();
    await expect.poll(evaluated, patience).toEqual(wanted);
    expect(await raised()).toEqual([]);
  });

  test('raises the alert for rules that others change, for that node', async () => {
    await lab.exec('node-2', ['iptables', '-w', '-t', 'nat', '-F', 'KUBE-SERVICES']);
    await expect
      .poll(raised, patience)
      .toEqual(expect.arrayContaining(['WeirRulesChangedByOthers pending node-2']));
  });
});
