import type { Metrics } from '../../pkg/metrics/index.ts';

/** Everything that can be told, told once, so that every series is there. `now`: milliseconds since 1970. */
export function tellAll(metrics: Metrics, now: number): void {
  metrics.startFamilies(['IPv4', 'IPv6']);
  const report = { family: 'IPv4', full: true, seconds: 0.3 } as const;
  metrics.sync.queued('IPv4');
  metrics.sync.changed('Service');
  metrics.sync.synced({ ...report, written: { filter: 2, nat: 3 } });
  metrics.sync.failed({ ...report, restoreFailed: true });
  metrics.sync.verified('IPv4', 'services');
  metrics.sync.programmed('IPv4', 2);
  metrics.sync.eventApplied('IPv4', 0.01);
  metrics.sync.setRules('IPv4', { filter: { service: 1, policy: 2 }, nat: { service: 3, policy: 0 } });
  metrics.sync.setNoLocalEndpoints('IPv4', { internal: 1, external: 2 });
  metrics.policy.enforced('IPv4', 0.02);
  metrics.policy.closedStart('IPv4', 0.5);
  metrics.policy.setDrops([{ direction: 'ingress', profile: 'ABC', packets: 7 }]);
  metrics.policy.setGuardDrops([{ family: 'IPv4', direction: 'egress', packets: 3 }]);
  metrics.policy.setRangeMismatch('IPv4', true);
  metrics.policy.setProfiles([{ direction: 'ingress', profile: 'ABC', policies: 'shop/"web"\\\n' }]);
  metrics.watch.listed('Service', 120, 10);
  metrics.watch.watchStarted('Service', 'ended');
  metrics.watch.heard('Service', now - 4000);
  metrics.watch.event('Service', 'ADDED');
  metrics.watch.failed('Service', 'expired');
  metrics.node.setReady(true);
  metrics.node.setPartState('IPv4', 'services', 'in_force');
  metrics.node.driftRepaired('jump');
  metrics.node.contested();
  metrics.node.setDiagnostics('a file', [{ kind: 'Service', severity: 'error' }]);
  metrics.node.spawned('/usr/sbin/iptables-nft-restore', 0.004);
  metrics.node.conntrackReconciled('IPv4', 0.01, 3);
  metrics.node.probed('healthz', 503);
  metrics.apiCalled({ verb: 'WATCH', host: '10.0.0.1:443', code: '200', durationMs: 30 });
}
