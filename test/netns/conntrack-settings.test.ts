import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { applyConntrackSettings, type ConntrackConfig } from '../../controllers/node/conntrack-settings.ts';
import { createSysctl, type SysctlName, sysctlNames } from '../../pkg/apply/index.ts';
import { capabilities } from '../support/capabilities.ts';
import { recordedLog } from '../support/recorded-log.ts';

const sysctl = createSysctl();
const { conntrackMax, tcpTimeoutEstablished, udpTimeout, tcpBeLiberal } = sysctlNames;
const config: ConntrackConfig = {
  conntrackMaxPerCore: 32_768,
  conntrackMin: 131_072,
  conntrackTcpTimeoutEstablished: 7_200_000,
  conntrackTcpTimeoutCloseWait: 0,
  conntrackUdpTimeout: 45_000,
  conntrackUdpTimeoutStream: 0,
  conntrackTcpBeLiberal: true,
};

/** The tests' own network namespace, which is not the host's: the size of the table is not theirs to set. */
describe.skipIf(!capabilities.netns || !capabilities.conntrack)('the kernel’s settings of conntrack', () => {
  const before = new Map<SysctlName, string>();

  beforeAll(async () => {
    for (const name of Object.values(sysctlNames)) {
      const value = await sysctl.read(name);
      if (value !== undefined) before.set(name, value);
    }
  });
  afterAll(async () => {
    for (const name of [tcpTimeoutEstablished, udpTimeout, tcpBeLiberal])
      await sysctl.ensure(name, before.get(name) ?? '');
  });

  test('are set without an error, and the host’s own is passed over', async () => {
    const log = recordedLog();
    await applyConntrackSettings({ config, sysctl, log, strict: true });
    expect(await sysctl.read(tcpTimeoutEstablished)).toBe('7200');
    expect(await sysctl.read(udpTimeout)).toBe('45');
    expect(await sysctl.read(tcpBeLiberal)).toBe('1');
    expect(await sysctl.read(conntrackMax)).toBe(before.get(conntrackMax));
    const changes = log.lines.filter((line) => !line.startsWith('DEBUG'));
    expect(changes).toHaveLength(3);
    await applyConntrackSettings({ config, sysctl, log, strict: true });
    expect(log.lines.filter((line) => !line.startsWith('DEBUG'))).toEqual(changes);
  });
});
