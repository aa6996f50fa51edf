import { type Sysctl, setUpBridges, sysctlNames } from '../../pkg/apply/index.ts';
import type { RunConfig } from '../../pkg/config/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import type { Clock, CommandRunner } from '../../pkg/runtime/index.ts';
import { writeLocalhostGuard } from '../../pkg/service/iptables/index.ts';
import { closeAtBoot, readBootState } from '../policies/boot-guard.ts';
import { type Kernel, presentFamilies } from '../sync/families.ts';
import { applyConntrackSettings } from './conntrack-settings.ts';

export interface NodeSetUp {
  readonly config: RunConfig;
  readonly kernel: Kernel;
  readonly commands: CommandRunner;
  readonly sysctl: Sysctl;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * The part of the agent that needs more than NET_ADMIN, for an init container of its own: kernel settings, br_netfilter, the guard
 * of pods that nobody knows yet, and local node ports. Throws what can't be done.
 */
export async function setUpWithPrivilege(setUp: NodeSetUp): Promise<void> {
  const { config, kernel, commands, sysctl, log, signal } = setUp;
  const routesServices = config.parts.includes('services');
  if (routesServices) await applyConntrackSettings({ config, sysctl, log, strict: true });
  for (const problem of await setUpBridges(sysctl, commands, presentFamilies(kernel))) log.info(problem);
  await closeUnknownPods(setUp);
  const ipv4 = kernel.families.find(({ family }) => family === 'IPv4');
  if (!routesServices || ipv4 === undefined || ipv4.isAbsent || !config.iptablesLocalhostNodeports) return;
  // Only behind the guard: else neighbours could reach the node's loopback (CVE-2020-8558).
  await ipv4.writeAhead(writeLocalhostGuard, signal);
  await sysctl.ensure(sysctlNames.routeLocalnet, '1');
}

/** Policies hold from the first packet of the node on, although nobody knows yet what they say. */
export async function closeUnknownPods({
  config,
  kernel,
  clock,
  log,
  signal,
}: Pick<NodeSetUp, 'config' | 'kernel' | 'clock' | 'log' | 'signal'>): Promise<void> {
  if (config.policyClosedStart !== 'boot' || !config.parts.includes('policies')) return;
  const state = await readBootState(config.stateDir);
  if (state === undefined) return;
  const closed = await closeAtBoot(kernel.families, state, {
    clock,
    signal,
    besideProxy: !config.parts.includes('services'),
  });
  if (closed.length > 0)
    log.info(`${closed.join(' and ')} pod ranges are closed until the policies are known`);
}
