import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { KernelWriter } from '../../pkg/apply/index.ts';
import {
  CanarySignal,
  type ChangeSignal,
  canaryState,
  RulesetListener,
  type Table,
} from '../../pkg/change-signal/index.ts';
import { BuiltinChains } from '../../pkg/kernel/index.ts';
import { createCommandRunner, systemClock } from '../../pkg/runtime/index.ts';
import { capabilities } from '../support/capabilities.ts';
import { childrenOf } from '../support/process-facts.ts';

const families = ['IPv4', 'IPv6'] as const;
const patience = { timeout: 20_000, interval: 20 };

function sh(script: string, input = ''): string {
  return execFileSync('sh', ['-ec', script], { encoding: 'utf8', input });
}

function program(family: (typeof families)[number], backend: string): string {
  return `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${backend} -w 30`;
}

/** All tables as after the boot of the machine. */
function clear(backend: string): void {
  for (const family of families) {
    const iptables = program(family, backend);
    for (const table of ['filter', 'nat', 'raw'])
      sh(`${iptables} -t ${table} -F; ${iptables} -t ${table} -X`);
    for (const chain of ['INPUT', 'FORWARD', 'OUTPUT']) sh(`${iptables} -P ${chain} ACCEPT`);
  }
}

/** What the signal says of one table. */
async function ask(signal: ChangeSignal, family: Table['family'], table: Table['table']): Promise<string> {
  return (await signal.ask([{ family, table }]))({ family, table });
}

describe.skipIf(!capabilities['iptables-nft'] || !capabilities.ipv6)('the listener to nf_tables', () => {
  let problems: string[];
  let listener: RulesetListener;

  beforeEach(async () => {
    problems = [];
    listener = new RulesetListener({
      clock: systemClock,
      onProblem: (problem) => problems.push(problem),
    });
    await expect.poll(news, patience).toBe('unchanged');
  });
  afterEach(() => {
    listener.stop();
  });
  afterAll(() => clear('nft'));

  function news(): Promise<string> {
    return ask(listener, 'IPv4', 'nat');
  }

  test.each([
    'iptables-nft -t nat -N ONE',
    'iptables-nft -t nat -A ONE -p tcp -j RETURN',
    'iptables-nft -t nat -D ONE 1',
    'iptables-nft -t nat -X ONE',
    'ip6tables-nft -P FORWARD DROP',
    'iptables-nft -I FORWARD -j RETURN',
    'iptables-nft -F',
    'ip6tables-nft -t nat -I OUTPUT -j RETURN',
    'ip6tables-nft -t nat -F',
    "printf '*filter\\n:TWO - [0:0]\\n-A TWO -j DROP\\nCOMMIT\\n' | iptables-nft-restore --noflush",
    'iptables-nft-save > /run/saved; iptables-nft-restore < /run/saved',
  ])('notices %s, once', async (script) => {
    sh('iptables-nft -t nat -S; iptables-nft -t filter -S');
    expect(await news()).toBe('unchanged');
    sh(script);
    expect(await news()).toBe('changed');
    expect(await news()).toBe('unchanged');
  });

  test('goes on to notice when more has changed than fits into its socket', async () => {
    const rules = Array.from(
      { length: 5000 },
      (_, index) => `-A MANY -d 10.1.${index >> 8}.${index & 255} -j RETURN\n`,
    );
    sh('iptables-nft-restore --noflush', `*nat\n:MANY - [0:0]\n${rules.join('')}COMMIT\n`);
    expect(await news()).toBe('changed');
    expect(await news()).toBe('unchanged');
    for (let time = 0; time < 3; time += 1) {
      sh('iptables-nft -t nat -A MANY -j RETURN');
      expect(await news()).toBe('changed');
    }
    expect(await news()).toBe('unchanged');
    expect(problems).toEqual([]);
  });

  test('uses no processor time while others write', async () => {
    const monitor = listeningProgram();
    const before = cpuTicks(monitor);
    sh('for i in $(seq 50); do iptables-nft -t nat -N BUSY-$i; done');
    expect(cpuTicks(monitor)).toBe(before);
  });

  test('tells that its program was killed', async () => {
    const monitor = listeningProgram();
    process.kill(monitor, 'SIGKILL');
    await expect.poll(news, patience).toBe('unknown');
    expect(problems).toEqual(['the program that listens has ended']);
  });
});

/** Behind its shell. */
function listeningProgram(): number {
  const shell = childrenOf(process.pid).find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('xtables-monitor'),
  );
  return childrenOf(shell ?? 0)[0] ?? 0;
}

function cpuTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

describe.skipIf(!capabilities['iptables-legacy'] || !capabilities.ipv6).each(families)(
  'the canary of legacy %s rules',
  (family) => {
    const iptables = program(family, 'legacy');
    const [name = ''] = iptables.split(' ');
    const writer = new KernelWriter({
      tools: { family, backend: 'legacy', save: `${name}-save`, restore: `${name}-restore`, list: name },
      commands: createCommandRunner(),
      clock: systemClock,
      onContention: () => undefined,
    });
    let problems: string[];
    let signal: CanarySignal;

    beforeAll(() => clear('legacy'));
    beforeEach(async () => {
      problems = [];
      await writer.apply(canaryState(family, ['filter', 'nat'], new BuiltinChains()).plan());
      signal = new CanarySignal({ onProblem: (problem) => problems.push(problem) });
      await both();
      expect(await both()).toEqual(['unchanged', 'unchanged']);
    });
    afterEach(() => {
      signal.stop();
      clear('legacy');
    });

    /** What it says of nat and of filter. */
    async function both(): Promise<readonly string[]> {
      const tables = (['nat', 'filter'] as const).map((table) => ({ family, table }));
      return tables.map(await signal.ask(tables));
    }

    test('says nothing while others only look', async () => {
      sh(
        `${iptables} -t nat -S; ${iptables} -S; ${iptables} -t mangle -N ELSEWHERE; ${iptables} -t mangle -X`,
      );
      expect(await both()).toEqual(['unchanged', 'unchanged']);
      for (let time = 0; time < 50; time += 1) expect(await both()).toEqual(['unchanged', 'unchanged']);
      expect(sh('cat /proc/sys/net/ipv4/conf/all/route_localnet')).toBe('0\n');
    });

    test.each([
      ['a chain is made', '-t nat -N ONE', ['changed', 'unchanged']],
      [
        'a rule is added to a chain without packets',
        '-t nat -A POSTROUTING -o eth9 -j RETURN',
        ['changed', 'unchanged'],
      ],
      ['the counters are zeroed', '-t nat -Z', ['changed', 'unchanged']],
      ['a rule is added where nothing local comes by', '-A FORWARD -j ACCEPT', ['unchanged', 'changed']],
      ['a policy is changed', '-P FORWARD DROP', ['unchanged', 'changed']],
      ['another chain is flushed', '-F FORWARD', ['unchanged', 'changed']],
      ['its chain in nat is flushed', '-t nat -F WEIR-CANARY', ['unknown', 'unchanged']],
      ['its chain in filter is flushed', '-F WEIR-CANARY', ['unchanged', 'unknown']],
      ['nat is flushed', '-t nat -F', ['unknown', 'unchanged']],
      ['filter is flushed', '-F', ['unchanged', 'unknown']],
      ['everything that leaves is dropped', '-P OUTPUT DROP', ['unknown', 'unknown']],
      ['filter is flushed and drops everything', '-F; $iptables -P OUTPUT DROP', ['unknown', 'unknown']],
      ['loopback is let through before it', '-I OUTPUT -o lo -j ACCEPT', ['unchanged', 'unknown']],
      ['loopback is not tracked', '-t raw -I OUTPUT -o lo -j NOTRACK', ['unknown', 'unchanged']],
    ])('is silent when %s', async (_, args, expected) => {
      sh(`iptables="${iptables}"; $iptables ${args}`);
      expect(await both()).toEqual(expected);
      const works = (news: string): string => (news === 'unknown' ? news : 'unchanged');
      expect(await both()).toEqual(expected.map(works));
    });

    test('notices that the same rules were put into the kernel again', async () => {
      sh(`${name}-save > /run/saved; ${name}-restore -w 30 < /run/saved`);
      expect(await both()).toEqual(['changed', 'changed']);
      expect(await both()).toEqual(['unchanged', 'unchanged']);
    });

    test('does without where its port is taken, and sings when it is free', async () => {
      signal.stop();
      const other = createSocket({ type: family === 'IPv4' ? 'udp4' : 'udp6', ipv6Only: family === 'IPv6' });
      await new Promise<void>((resolve) => other.bind(10_256, resolve));
      for (let time = 0; time < 6; time += 1) expect(await both()).toEqual(['unknown', 'unknown']);
      expect(problems).toHaveLength(2);
      expect(problems[0]).toMatch(/EADDRINUSE/);
      await new Promise<void>((resolve) => other.close(() => resolve()));
      expect(await both()).toEqual(['unchanged', 'unchanged']);
    });
  },
);
