import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { beforeAll, describe, expect, test } from 'vitest';
import { kubeProxyConfiguration, loadRunConfig, weirConfiguration } from '../../pkg/config/index.ts';
import { createProgram } from '../program.ts';

/** Of kube-proxy on Linux, but for those that print and end. */
const kubeProxyFlags = `
  --bind-address --bind-address-hard-fail --boot-id-file --cleanup --cluster-cidr --config --config-sync-period --conntrack-max-per-core
  --conntrack-min --conntrack-tcp-be-liberal --conntrack-tcp-timeout-close-wait --conntrack-tcp-timeout-established
  --conntrack-udp-timeout --conntrack-udp-timeout-stream --detect-local-mode --feature-gates --healthz-bind-address --healthz-port
  --hostname-override --init-only --iptables-localhost-nodeports --iptables-masquerade-bit --iptables-min-sync-period
  --iptables-sync-period --ipvs-exclude-cidrs --ipvs-min-sync-period --ipvs-scheduler --ipvs-strict-arp --ipvs-sync-period
  --ipvs-tcp-timeout --ipvs-tcpfin-timeout --ipvs-udp-timeout --kube-api-burst --kube-api-content-type --kube-api-qps --kubeconfig
  --log-flush-frequency --log-json-info-buffer-size --log-json-split-stream --log-text-info-buffer-size --log-text-split-stream
  --logging-format --machine-id-file --masquerade-all --master --metrics-bind-address --metrics-port --nodeport-addresses
  --oom-score-adj --pod-bridge-interface --pod-interface-name-prefix --profiling --proxy-mode --show-hidden-metrics-for-version --v
  --vmodule --write-config-to
`
  .trim()
  .split(/\s+/);

describe("the README's tables of configuration", () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [, section = ''] = /\n### Configuration\n([^]*?)\n## /.exec(readme) ?? [];
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  const named = new Set(rows.flatMap((row) => [...row.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)));
  let run: Command;
  let fields: Readonly<Record<string, unknown>>[];

  beforeAll(async () => {
    const nothing = (): Promise<void> => Promise.resolve();
    const program = createProgram('', { run: nothing, plan: nothing, config: nothing, cleanup: nothing });
    const found = program.commands.find((command) => command.name() === 'run');
    const loaded = await loadRunConfig({}, { hostname: 'machine', readFile: () => Promise.resolve('') });
    if (found === undefined || 'errors' in loaded) throw new Error('no run, or no configuration');
    run = found;
    fields = [kubeProxyConfiguration(loaded.config), weirConfiguration(loaded.config)];
  });

  test('name every flag that run takes, and no other', () => {
    const flags = [...named].flatMap((code) => /^--[a-z-]+$/.exec(code)?.[0] ?? []);
    const others = ['--version', '--help'];
    const options = run.options.map((option) => option.long ?? '');
    expect(flags.toSorted()).toEqual([...options, ...others].toSorted());
  });

  test("run takes every flag of kube-proxy's", () => {
    const options = new Set(run.options.map((option) => option.long));
    expect(kubeProxyFlags.filter((flag) => !options.has(flag))).toEqual([]);
  });

  test('name every field of both kinds', () => {
    const leaves = fields.flatMap((document) => leavesOf(document));
    const isNamed = (field: string): boolean =>
      named.has(field) ||
      [...named].some((code) => code.endsWith('.*') && field.startsWith(code.slice(0, -1)));
    expect(leaves.filter((field) => !isNamed(field))).toEqual([]);
  });
});

/** Dotted, without what says which kind it is. */
function leavesOf(document: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(document)
    .filter(([key]) => key !== 'apiVersion' && key !== 'kind')
    .flatMap(([key, value]) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? leavesOf(value as Readonly<Record<string, unknown>>).map((leaf) => `${key}.${leaf}`)
        : [key],
    );
}
