import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../pkg/runtime/index.ts';
import { FakeApiProcess } from '../support/fake-api-process.ts';
import { canRunFaults } from '../support/fault-world.ts';
import { type NodeRules, nodeRules } from '../support/node-rules.ts';
import { childrenOf, fittedLine, openFiles, programName, residentBytes } from '../support/process-facts.ts';
import { parsePrometheusText } from '../support/prometheus-text.ts';
import { SoakCluster } from '../support/soak-cluster.ts';
import { WeirProcess } from '../support/weir-process.ts';
import { createWorld, type World } from '../support/world.ts';

/** Minutes in continuous integration; one is enough to see what leaks fast. */
const seconds = Number(process.env['WEIR_SOAK_SECONDS'] ?? 60);
const size = { services: 1000, localPods: 60, remotePods: 400, policies: 20 } as const;
const backend = (['nft', 'legacy'] as const).find(canRunFaults);
/** Of the whole time: memory only counts from then on. */
const warmUpShare = 0.3;
const workMs = 4000;
const restMs = 1000;
const mostGrowthMB = 25;
const faults = ['end', 'reset', 'half-line', 'garbage', 'expired'] as const;
const watched = ['services', 'endpointslices', 'pods', 'networkpolicies'] as const;
/** The last changes are known by then: a watch that broke is tried again after half a minute at most. */
const quietMs = 45_000;
const patience = { timeout: 60_000, interval: 300 };

describe.skipIf(backend === undefined)('after a long time in a cluster that never rests', () => {
  let world: World;
  let server: FakeApiProcess;
  let cluster: SoakCluster;
  let weir: WeirProcess;
  const memory: [second: number, megabytes: number][] = [];
  const files: number[] = [];
  let changes = 0;

  beforeAll(
    async () => {
      world = await createWorld({ nodes: [{ name: 'node' }] });
      server = await FakeApiProcess.start(world.node.namespace);
      cluster = new SoakCluster(size, world.node);
      await server.put(cluster.begin());
      weir = await start();
      await soak();
    },
    seconds * 1000 + 240_000,
  );
  afterAll(async () => {
    await weir.kill();
    await server.stop();
    await world.dispose();
  });

  async function start(): Promise<WeirProcess> {
    const where = ['--master', server.url, '--node-name', 'node', '--iptables-backend', String(backend)];
    const pods = ['--cluster-cidr', '10.244.0.0/16', '--local-pod-cidrs', '10.244.1.0/24'];
    const args = ['run', ...where, ...pods, '-v', '1'];
    const started = new WeirProcess(world.node.namespace, args);
    await started.waitForLine(/\bready:/, { timeoutMs: 120_000 });
    return started;
  }

  /** Works and rests in turn; what is measured is measured after a rest. */
  async function soak(): Promise<void> {
    const begun = systemClock.now();
    const elapsed = (): number => systemClock.now() - begun;
    for (let round = 0; elapsed() < seconds * 1000; round += 1) {
      const restAt = elapsed() + workMs;
      while (elapsed() < restAt) {
        for (let count = 1 + (changes % 7); count > 0; count -= 1) await change();
        await systemClock.sleep(200);
      }
      await interrupt(faults[round % faults.length] ?? 'end', watched[round % watched.length] ?? 'services');
      await systemClock.sleep(restMs);
      if (elapsed() < warmUpShare * seconds * 1000) continue;
      memory.push([elapsed() / 1000, residentBytes(weir.pid) / 1e6]);
      files.push(openFiles(weir.pid));
    }
  }

  async function change(): Promise<void> {
    const { put, remove } = cluster.change();
    for (const [resource, name] of remove) await server.remove(resource, 'default', name);
    await server.put(put);
    changes += 1;
  }

  async function interrupt(what: (typeof faults)[number], resource: (typeof watched)[number]): Promise<void> {
    if (what !== 'expired') return server.disturb(what);
    await server.expire(resource);
    await server.disturb('reset', resource);
  }

  async function rules(): Promise<NodeRules> {
    const save = async (program: string): Promise<string> => (await world.node.run(program)).stdout;
    const [ipv4, ipv6, sets] = await Promise.all([
      save(`iptables-${backend}-save`),
      save(`ip6tables-${backend}-save`),
      world.node.run('ipset', ['save']),
    ]);
    return nodeRules({ IPv4: ipv4, IPv6: ipv6 }, sets.stdout);
  }

  async function total(...names: readonly string[]): Promise<number> {
    const families = parsePrometheusText(await server.fetch('http://127.0.0.1:10249/metrics'));
    const samples = names.flatMap((name) => families.get(name)?.samples ?? []);
    if (samples.length === 0) throw new Error(`no metric ${names.join(', ')}`);
    return samples.reduce((sum, { value }) => sum + value, 0);
  }

  test('its memory has not grown', () => {
    const { slope, start } = fittedLine(memory);
    const [first = [0], last = [0]] = [memory[0], memory.at(-1)];
    const growth = slope * (last[0] - first[0]);
    const values = memory.map(([, megabytes]) => megabytes);
    console.log(
      `soak: ${changes} changes in ${seconds} s; resident ${start.toFixed(1)} MB ${slope < 0 ? '-' : '+'} ${Math.abs(slope * 60).toFixed(2)} MB a minute, from ${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)} MB; files open: ${Math.min(...files)} to ${Math.max(...files)}`,
    );
    expect(memory.length).toBeGreaterThan(2);
    expect(growth).toBeLessThan(mostGrowthMB);
  });

  test('it keeps no more files open than in the beginning', () => {
    const half = Math.floor(files.length / 2);
    // Programs that run just then have pipes: what is leaked is there when none runs, too.
    const least = (some: readonly number[]): number => Math.min(...some);
    // Two connections to the API server may close a little later than others open.
    expect(least(files.slice(half))).toBeLessThanOrEqual(least(files.slice(0, half)) + 4);
  });

  test('no write has failed, and nothing had to be repaired', async () => {
    const prefix = 'kubeproxy_sync_proxy_rules_iptables';
    const failures = [`${prefix}_restore_failures_total`, `${prefix}_partial_restore_failures_total`];
    expect(await total(...failures)).toBe(0);
    expect(
      weir.lines.filter((line) => /rules not written|sync failed|changed by somebody else/.test(line)),
    ).toEqual([]);
    expect(changes).toBeGreaterThan(seconds);
  });

  test('no program it started is left behind', async () => {
    // One shell starts the small ones, another one holds the program that listens to changes.
    const programs = (): readonly string[] =>
      childrenOf(weir.pid)
        .flatMap((pid) => [pid, ...childrenOf(pid)])
        .map((pid) => programName(pid))
        .toSorted();
    await expect.poll(programs, patience).toEqual(['sh', 'sh', 'xtables-nft-mul']);
  });

  test('its rules are what a new start would write', { timeout: 400_000 }, async () => {
    await expect.poll(quietForMs, { timeout: 240_000, interval: 1000 }).toBeGreaterThan(quietMs);
    const left = await rules();
    expect(Object.keys(left.own).length).toBeGreaterThan(size.services);
    expect(await weir.stop()).toEqual({ code: 0, signal: null });
    weir = await start();
    // It has read the kernel and compared.
    await weir.waitForLine(/synced \(/);
    expect(weir.lines.filter((line) => /rules written/.test(line))).toEqual([]);
    expect(await rules()).toEqual(left);
  });

  let written = 0;
  let writtenAt = 0;
  /** How long ago rules were written for the last time, as far as is known. */
  function quietForMs(): number {
    const count = weir.lines.filter((line) => /rules written/.test(line)).length;
    if (count !== written) writtenAt = systemClock.now();
    written = count;
    return systemClock.now() - writtenAt;
  }
});
