import { stringify } from 'yaml';

/** What is wrong on a node, as series that begin at the epoch with a value each minute. */
interface AlertCase {
  readonly alert: string;
  readonly series: Readonly<Record<string, string>>;
}

const node = 'instance="node-1",job="kube-proxy"';
const healthy = { [`up{${node}}`]: '1x60', 'up{instance="node-2",job="kube-proxy"}': '1x60' };
const rising = '0+1x60';

/** Of ten observations each minute, all above the bound. */
function slow(name: string, bound: number): Readonly<Record<string, string>> {
  return {
    [`${name}_bucket{${node},ip_family="IPv4",le="${bound}"}`]: '0x60',
    [`${name}_bucket{${node},ip_family="IPv4",le="${bound * 4}"}`]: '0+10x60',
    [`${name}_bucket{${node},ip_family="IPv4",le="+Inf"}`]: '0+10x60',
  };
}

/** Each alert with a fault it is there for. */
export const alertCases: readonly AlertCase[] = [
  { alert: 'KubeProxyDown', series: { 'up{instance="node-1",job="other"}': '1x60' } },
  {
    alert: 'KubeProxyInstanceUnreachable',
    series: { ...healthy, [`up{${node}}`]: '0x60' },
  },
  { alert: 'WeirNotReady', series: { ...healthy, [`weir_ready{${node}}`]: '0x60' } },
  {
    alert: 'WeirRulesStale',
    series: {
      ...healthy,
      [`weir_last_sync_success_timestamp_seconds{${node},ip_family="IPv4",part="services"}`]: '60x60',
    },
  },
  {
    alert: 'WeirPoliciesNotInForce',
    series: {
      ...healthy,
      [`weir_part_state{${node},ip_family="IPv6",part="policies",state="in_force"}`]: '0x60',
      [`weir_part_state{${node},ip_family="IPv6",part="services",state="in_force"}`]: '0x60',
    },
  },
  {
    alert: 'WeirStandsBack',
    // Now and then it tries to take over.
    series: {
      ...healthy,
      [`weir_part_state{${node},ip_family="IPv4",part="services",state="standing_back"}`]:
        '1x8 0 1x8 0 1x8 0 1x8 0 1x24',
    },
  },
  {
    alert: 'WeirChangesNotApplied',
    series: {
      ...healthy,
      [`kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{${node},ip_family="IPv4"}`]: '300x60',
      [`kubeproxy_sync_proxy_rules_last_timestamp_seconds{${node},ip_family="IPv4"}`]: '60x60',
    },
  },
  {
    alert: 'WeirRestoreFailures',
    series: {
      ...healthy,
      [`kubeproxy_sync_proxy_rules_iptables_restore_failures_total{${node},ip_family="IPv4"}`]: rising,
    },
  },
  {
    alert: 'WeirPartialSyncFailures',
    series: {
      ...healthy,
      [`kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total{${node},ip_family="IPv4"}`]:
        rising,
    },
  },
  {
    alert: 'WeirProgrammingSlow',
    series: { ...healthy, ...slow('kubeproxy_network_programming_duration_seconds', 30) },
  },
  {
    alert: 'WeirEventToAppliedSlow',
    series: { ...healthy, ...slow('weir_event_to_applied_seconds', 5.12) },
  },
  {
    alert: 'WeirPolicyEnforcementSlow',
    series: { ...healthy, ...slow('weir_policy_enforcement_seconds', 5.12) },
  },
  {
    alert: 'WeirRulesChangedByOthers',
    series: { ...healthy, [`weir_drift_repairs_total{${node},kind="chain"}`]: rising },
  },
  { alert: 'WeirJumpContested', series: { ...healthy, [`weir_contests_total{${node}}`]: rising } },
  {
    alert: 'WeirWatchStale',
    series: { ...healthy, [`weir_watch_age_seconds{${node},kind="Service"}`]: '0+60x60' },
  },
  {
    alert: 'WeirApiErrors',
    series: {
      ...healthy,
      [`rest_client_requests_total{${node},code="200",method="GET"}`]: rising,
      [`rest_client_requests_total{${node},code="503",method="GET"}`]: rising,
    },
  },
  {
    alert: 'WeirObjectsInError',
    series: { ...healthy, [`weir_diagnostics{${node},kind="NetworkPolicy",severity="error"}`]: '1x60' },
  },
  {
    alert: 'WeirFileDescriptors',
    series: {
      ...healthy,
      [`process_open_fds{${node}}`]: '900x60',
      [`process_max_fds{${node}}`]: '1000x60',
    },
  },
];

/**
 * A file for `promtool test rules`: by minute 40 each fault has fired its alert and no other, and where nothing is wrong
 * nothing fires.
 */
export function alertTests(ruleFile: string): string {
  const firing = (alerts: readonly string[]) => [
    {
      expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
      eval_time: '40m',
      exp_samples: alerts.map((alert) => ({ labels: `{alertname="${alert}"}`, value: 1 })),
    },
  ];
  const test = (series: Readonly<Record<string, string>>, alerts: readonly string[]) => ({
    interval: '1m',
    input_series: Object.entries(series).map(([series, values]) => ({ series, values })),
    promql_expr_test: firing(alerts),
  });
  return stringify({
    rule_files: [ruleFile],
    evaluation_interval: '1m',
    tests: [test(healthy, []), ...alertCases.map(({ alert, series }) => test(series, [alert]))],
  });
}
