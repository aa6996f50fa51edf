import { describe, expect, test } from 'vitest';
import { type Sysctl, type SysctlName, type SysFs, sysctlNames } from '../../pkg/apply/index.ts';
import { WeirError } from '../../pkg/runtime/index.ts';
import { recordedLog } from '../../test/support/recorded-log.ts';
import { applyConntrackSettings, type ConntrackConfig } from './conntrack-settings.ts';

const nothing: ConntrackConfig = {
  conntrackMaxPerCore: 0,
  conntrackMin: 131_072,
  conntrackTcpTimeoutEstablished: 0,
  conntrackTcpTimeoutCloseWait: 0,
  conntrackUdpTimeout: 0,
  conntrackUdpTimeoutStream: 0,
  conntrackTcpBeLiberal: false,
};

interface FakeKernelSettings {
  readonly values?: Partial<Record<SysctlName, string>>;
  /** Written, but refused with this error code. */
  readonly refused?: string;
  readonly fixed?: readonly SysctlName[];
  readonly cpus?: number;
  readonly buckets?: number;
  readonly bucketsRefused?: boolean;
}

const initial: Record<SysctlName, string> = {
  ...(Object.fromEntries(Object.values(sysctlNames).map((name) => [name, '0'])) as Record<
    SysctlName,
    string
  >),
  [sysctlNames.conntrackMax]: '65536',
};

function fakeKernel({
  values,
  refused,
  fixed = [],
  cpus = 4,
  buckets = 65_536,
  bucketsRefused,
}: FakeKernelSettings) {
  const settings: Partial<Record<SysctlName, string>> = { ...initial, ...values };
  const written: string[] = [];
  const sysctl: Sysctl = {
    read: async (name) => settings[name],
    isFixed: async (name) => fixed.includes(name),
    ensure: async (name, value) => {
      if (refused !== undefined) {
        const cause = Object.assign(new Error(`${refused}: whatever`), { code: refused });
        throw new WeirError('WEIR_SYSCTL_FAILED', `${name} could not be set`, { cause });
      }
      settings[name] = value;
      written.push(`${name.slice(name.lastIndexOf('/') + 1)}=${value}`);
      return true;
    },
  };
  const sysFs: SysFs = {
    cpuCount: async () => cpus,
    conntrackBuckets: async () => buckets,
    setConntrackBuckets: async (count) => {
      if (bucketsRefused === true) throw new WeirError('WEIR_SYSCTL_FAILED', 'read-only file system');
      written.push(`hashsize=${count}`);
    },
  };
  return { sysctl, sysFs, written };
}

async function applied(
  changes: Partial<ConntrackConfig>,
  kernel: FakeKernelSettings = {},
  strict = false,
): Promise<{ readonly written: readonly string[]; readonly lines: readonly string[] }> {
  const { sysctl, sysFs, written } = fakeKernel(kernel);
  const log = recordedLog();
  await applyConntrackSettings({ config: { ...nothing, ...changes }, sysctl, log, strict, sysFs });
  return { written, lines: log.lines };
}

describe('the size of the table', () => {
  test.each([
    ['is so much for each processor', { conntrackMaxPerCore: 65_536 }, 4, ['nf_conntrack_max=262144']],
    ['is the minimum on small machines', { conntrackMaxPerCore: 32_768 }, 2, ['nf_conntrack_max=131072']],
    [
      'is never above a million by the number of processors',
      { conntrackMaxPerCore: 32_768 },
      128,
      ['nf_conntrack_max=1048576', 'hashsize=262144'],
    ],
    [
      'may be above that on request',
      { conntrackMaxPerCore: 1, conntrackMin: 2_000_000 },
      4,
      ['nf_conntrack_max=2000000', 'hashsize=500000'],
    ],
    ['is left alone with 0, whatever the minimum', { conntrackMaxPerCore: 0 }, 4, []],
    ['is not written when it is right', { conntrackMaxPerCore: 16_384, conntrackMin: 0 }, 4, []],
    ['stays where the node has more', { conntrackMaxPerCore: 1000, conntrackMin: 0 }, 4, []],
    [
      'stays where the node has more than the minimum',
      { conntrackMaxPerCore: 1, conntrackMin: 65_535 },
      4,
      [],
    ],
  ])('%s', async (_case, config, cpus, expected) => {
    expect((await applied(config, { cpus })).written).toEqual(expected);
  });

  test('stays without limit where the kernel has none', async () => {
    const values = { [sysctlNames.conntrackMax]: '0' };
    expect((await applied({ conntrackMaxPerCore: 65_536 }, { values })).written).toEqual([]);
  });

  test('needs no privilege where the node has more', async () => {
    const kernel = { values: { [sysctlNames.conntrackMax]: '1000000' }, refused: 'EROFS', buckets: 262_144 };
    expect((await applied({ conntrackMaxPerCore: 65_536 }, kernel, true)).lines).toEqual([]);
  });

  test('never takes buckets away', async () => {
    const values = { [sysctlNames.conntrackMax]: '2000000' };
    const kernel = { values, buckets: 500_000 };
    expect((await applied({ conntrackMaxPerCore: 65_536 }, kernel)).written).toEqual([]);
  });

  test('leaves a table alone that has a bucket for every four connections', async () => {
    const config = { conntrackMaxPerCore: 262_144 };
    expect((await applied(config, { cpus: 1, buckets: 65_536 })).written).toEqual([
      'nf_conntrack_max=262144',
    ]);
    expect((await applied(config, { cpus: 1, buckets: 65_535 })).written).toContain('hashsize=65536');
  });

  test('is the host’s to set: elsewhere it is passed over without a word', async () => {
    const kernel = { fixed: [sysctlNames.conntrackMax], buckets: 1024 };
    for (const strict of [false, true]) {
      const { written, lines } = await applied({ conntrackMaxPerCore: 65_536 }, kernel, strict);
      expect(written).toEqual([]);
      expect(lines.filter((line) => !line.startsWith('DEBUG'))).toEqual([]);
    }
  });

  test('is set although its buckets can not be', async () => {
    const kernel = { buckets: 1024, bucketsRefused: true };
    const { written, lines } = await applied({ conntrackMaxPerCore: 65_536 }, kernel, true);
    expect(written).toEqual(['nf_conntrack_max=262144']);
    expect(lines.at(-1)).toMatch(
      /^WARN the conntrack table should have 65536 buckets and has 1024: .*read-only/,
    );
  });
});

test('times are set in seconds, and 0 leaves them alone', async () => {
  const { written, lines } = await applied({
    conntrackTcpTimeoutEstablished: 86_400_000,
    conntrackTcpTimeoutCloseWait: 0,
    conntrackUdpTimeout: 30_900,
    conntrackUdpTimeoutStream: 500,
  });
  expect(written).toEqual([
    'nf_conntrack_tcp_timeout_established=86400',
    'nf_conntrack_udp_timeout=30',
    'nf_conntrack_udp_timeout_stream=1',
  ]);
  expect(lines[0]).toBe('INFO net.netfilter.nf_conntrack_tcp_timeout_established set to 86400; it was 0');
});

test('being liberal is switched on, and never off', async () => {
  expect((await applied({ conntrackTcpBeLiberal: true })).written).toEqual(['nf_conntrack_tcp_be_liberal=1']);
  const liberal = { values: { [sysctlNames.tcpBeLiberal]: '1' } };
  expect((await applied({ conntrackTcpBeLiberal: false }, liberal)).written).toEqual([]);
});

const config = { conntrackMaxPerCore: 65_536, conntrackTcpTimeoutCloseWait: 3_600_000 };

test('what the kernel refuses is told in one line, with what to do', async () => {
  const { lines } = await applied(config, { refused: 'EROFS', buckets: 1 });
  expect(lines).toEqual([
    expect.stringMatching(
      /^WARN .*nf_conntrack_max should be 262144 and is 65536 \(EROFS\); .*close_wait should be 3600 and is 0 \(EROFS\)\. Run "weir run --init-only"/,
    ),
  ]);
});

test('what an init step has set already needs no privilege', async () => {
  const values = {
    [sysctlNames.conntrackMax]: '262144',
    [sysctlNames.tcpTimeoutCloseWait]: '3600',
  };
  expect((await applied(config, { values, refused: 'EROFS' })).lines).toEqual([]);
});

test('what the kernel refuses is an error of the init step, with the setting and both values', async () => {
  await expect(applied(config, { refused: 'EROFS' }, true)).rejects.toMatchObject({
    code: 'WEIR_SYSCTL_FAILED',
    message: 'net.netfilter.nf_conntrack_max should be 262144 and is 65536 (EROFS)',
  });
});

test('a setting that the kernel does not have is named', async () => {
  const values = { [sysctlNames.conntrackMax]: undefined as never };
  await expect(applied(config, { values }, true)).rejects.toMatchObject({
    message: expect.stringContaining(
      'nf_conntrack_max should be 262144, but the kernel does not have it',
    ) as string,
  });
});
