import { describe, expect, test } from 'vitest';
import { type Flags, loadPlanConfig, loadRunConfig, parseCleanupConfig } from '../pkg/config/index.ts';
import { WeirError } from '../pkg/runtime/index.ts';
import { commandErrorLine, createProgram } from './program.ts';

interface Parsed {
  /** What was called, with which flags. */
  readonly called: readonly (readonly [command: string, flags: Flags])[];
  readonly printed: string;
  readonly error: string | undefined;
}

async function parse(...args: readonly string[]): Promise<Parsed> {
  const called: [string, Flags][] = [];
  let printed = '';
  const note =
    (command: string) =>
    (flags: Flags): Promise<void> => {
      called.push([command, flags]);
      return Promise.resolve();
    };
  const program = createProgram('1.2.3', {
    run: note('run'),
    plan: note('plan'),
    config: note('config'),
    cleanup: note('cleanup'),
  });
  for (const command of [program, ...program.commands]) {
    command.configureOutput({
      writeOut: (text) => {
        printed += text;
      },
      writeErr: (text) => {
        printed += text;
      },
    });
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return { called, printed, error: undefined };
  } catch (error) {
    return { called, printed, error: commandErrorLine(error) };
  }
}

describe('flags', () => {
  test.each<[readonly string[], Flags]>([
    [['--manifests', 'x', '--node-name', 'y'], { manifests: 'x', nodeName: 'y' }],
    [['--manifests=x', '--hostname-override=y'], { manifests: 'x', hostnameOverride: 'y' }],
    [['--masquerade-all'], { masqueradeAll: true }],
    [['--masquerade-all=false'], { masqueradeAll: 'false' }],
    [['-v=4'], { v: '4' }],
    [['-v', '4'], { v: '4' }],
    [['--v=4'], { v: '4' }],
    [['--oom-score-adj', '-999'], { oomScoreAdj: '-999' }],
    [['--init-only'], { initOnly: true }],
    [['--cleanup=false'], { cleanup: 'false' }],
    [['--ipvs-strict-arp', '--ipvs-scheduler=rr'], { ipvsStrictArp: true, ipvsScheduler: 'rr' }],
  ])('run %j', async (args, flags) => {
    expect((await parse('run', ...args)).called).toEqual([['run', flags]]);
  });

  test.each<[readonly string[], string, Flags]>([
    [['--write-config-to=f', '--v=4', '--cleanup'], 'config', { writeConfigTo: 'f', v: '4', cleanup: true }],
    [['--write-config-to='], 'run', { writeConfigTo: '' }],
    [['--cleanup', '--iptables-backend=nft', '--v=4'], 'cleanup', { iptablesBackend: 'nft' }],
    [['--cleanup=true'], 'cleanup', {}],
    [['--cleanup', '--parts=policies'], 'cleanup', { parts: 'policies' }],
  ])('run %j does what %s does', async (args, command, flags) => {
    expect((await parse('run', ...args)).called).toEqual([[command, flags]]);
  });

  test('config takes what run takes', async () => {
    const args = ['--config=c', '--manifests=x', '--vmodule=y'];
    const [[, flags] = []] = (await parse('run', ...args)).called;
    expect((await parse('config', ...args)).called).toEqual([['config', flags]]);
  });

  test.each<[readonly string[], Flags]>([
    [['-o', 'json'], { output: 'json' }],
    [['-o=json'], { output: 'json' }],
    [['--summary'], { summary: true }],
    [['--against', 'a', 'b'], { against: ['a', 'b'] }],
    [['--against=a', '--against=b'], { against: ['a', 'b'] }],
  ])('plan %j', async (args, flags) => {
    expect((await parse('plan', ...args)).called).toEqual([['plan', flags]]);
  });

  test.each<[readonly string[], Flags]>([
    [[], {}],
    [['--force'], { force: true }],
    [['--hand-back=true'], { handBack: 'true' }],
  ])('cleanup %j', async (args, flags) => {
    expect((await parse('cleanup', ...args)).called).toEqual([['cleanup', flags]]);
  });
});

describe('mistakes', () => {
  test.each([
    ['run --nodename x', "unknown option '--nodename' (Did you mean --node-name?)"],
    ['run --no-such=x', "unknown option '--no-such=x' (--help lists all)"],
    ['run --proxy-port-range=x', "unknown option '--proxy-port-range=x' (--help lists all)"],
    ['pla', "unknown command 'pla' (Did you mean plan?)"],
    ['something', "unknown command 'something'"],
    ['run --manifests', "option '--manifests <path>' argument missing"],
    ['plan more', "too many arguments for 'plan'. Expected 0 arguments but got 1: more."],
    [
      'run --node-name a --hostname-override b',
      "option '--node-name <name>' cannot be used with option '--hostname-override <name>'",
    ],
  ])('%s: %s', async (line, error) => {
    expect(await parse(...line.split(' '))).toEqual({ called: [], printed: '', error });
  });

  test.each<[unknown, string]>([
    [new WeirError('WEIR_BAD_FLAG', '--v: must be a number'), '--v: must be a number'],
    [new WeirError('WEIR_BAD_FLAG', 'c:1:2: x\nc:3:4: y'), 'c:1:2: x\nerror: c:3:4: y'],
    [new WeirError('WEIR_RESTORE_FAILED', 'refused\n  3: -A X'), 'refused; 3: -A X'],
    [
      new WeirError('WEIR_NOT_PRIVILEGED', 'iptables-save: exit code 4'),
      'Weir must run as root, or with the capabilities NET_ADMIN and NET_RAW (iptables-save: exit code 4)',
    ],
    [new WeirError('WEIR_BUG', 'impossible'), 'WEIR_BUG: impossible'],
    [new TypeError('x is undefined'), 'x is undefined'],
  ])('%s reads %s', (error, line) => {
    expect(commandErrorLine(error)).toBe(line);
  });
});

describe('help', () => {
  test('of the program lists its commands', async () => {
    const { printed, error } = await parse('--help');
    expect(error).toBeUndefined();
    expect(printed).toContain('Commands:\n  run      ');
    expect(printed).toContain('\nUsage:\n  weir COMMAND [options]\n');
  });

  test('is printed where no command is given', async () => {
    expect((await parse()).printed).toContain('Commands:');
  });

  test('the version is the version', async () => {
    expect((await parse('--version')).printed).toBe('1.2.3\n');
  });

  test.each(['run', 'plan', 'config', 'cleanup'])(
    'of %s has examples and every option, within 80 columns',
    async (command) => {
      const { printed } = await parse(command, '--help');
      expect(printed).toMatch(/\nExamples:\n {2}# .*\n {2}weir /);
      expect(printed).toMatch(/\n {4}--iptables-backend=auto:\n {8}legacy, nft, or auto/);
      expect(printed).toContain(`Usage:\n  weir ${command} `);
      expect(printed.split('\n').filter((line) => line.length > 80 && !line.startsWith('  weir'))).toEqual(
        [],
      );
      const options = [...printed.matchAll(/^ {4}(?:-\w, )?--([a-z-]+)[=:]/gm)].map(
        (match) => match[1] ?? '',
      );
      expect(options).toEqual(options.toSorted());
    },
  );

  test('of run names what it accepts and has no use for', async () => {
    const { printed } = await parse('run', '--help');
    expect(printed).toMatch(
      /\nAccepted for kube-proxy's sake, without effect:\n {4}--boot-id-file, [^]*--vmodule\n/,
    );
    expect((await parse('plan', '--help')).printed).not.toContain('Accepted');
  });

  const host = { hostname: 'machine', readFile: () => Promise.resolve('') };

  test.each([
    ['run', (flags: Flags) => loadRunConfig(flags, host)],
    ['config', (flags: Flags) => loadRunConfig(flags, host)],
    ['plan', (flags: Flags) => loadPlanConfig(flags, host)],
    ['cleanup', (flags: Flags) => parseCleanupConfig(flags)],
  ] as const)('of %s shows the defaults that are in effect', async (command, loadConfig) => {
    const { printed } = await parse(command, '--help');
    const shown = [...printed.matchAll(/^ {4}(?:-\w, )?(--[a-z-]+)=(.*):$/gm)]
      .map(([, flag = '', value = '']) => `${flag}=${value === "''" ? '' : value}`)
      .filter((argument) => !argument.endsWith('=[]'));
    const required = command === 'cleanup' ? [] : ['--manifests=x', '--node-name=y'];
    const [without] = (await parse(command, ...required)).called;
    const [withAll] = (await parse(command, ...required, ...shown)).called;
    expect(shown.length).toBeGreaterThan(2);
    const expected = await loadConfig(without?.[1] ?? {});
    expect(expected).toHaveProperty('config');
    expect(await loadConfig(withAll?.[1] ?? {})).toHaveProperty(
      'config',
      'config' in expected && expected.config,
    );
  });
});
