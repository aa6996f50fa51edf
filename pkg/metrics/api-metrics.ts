import { Counter, Histogram, type Registry } from 'prom-client';
import { requestBuckets } from './buckets.ts';

/** One call to the API server. */
export interface ApiCallReport {
  /** GET, LIST, WATCH, POST or PATCH. */
  readonly verb: string;
  readonly host: string;
  /** HTTP status, or `<error>` when there was no answer. */
  readonly code: string;
  /** Until the headers were there, in milliseconds. */
  readonly durationMs: number;
}

/** client-go's metrics of its calls, so that its dashboards show Weir's. Returns what to tell of each call. */
export function createApiMetrics(registry: Registry): (call: ApiCallReport) => void {
  const registers = [registry];
  const requests = new Counter({
    name: 'rest_client_requests_total',
    help: 'Calls to the API server, by HTTP status.',
    labelNames: ['code', 'method', 'host'],
    registers,
  });
  const durations = new Histogram({
    name: 'rest_client_request_duration_seconds',
    help: 'How long the API server took to answer a call.',
    labelNames: ['verb', 'host'],
    buckets: [...requestBuckets],
    registers,
  });
  return ({ verb, host, code, durationMs }) => {
    const method = httpMethod(verb);
    requests.inc({ code, method, host });
    durations.observe({ verb: method, host }, durationMs / 1000);
  };
}

/** client-go counts lists and watches as what they are on the wire. */
function httpMethod(verb: string): string {
  return verb === 'LIST' || verb === 'WATCH' ? 'GET' : verb;
}
