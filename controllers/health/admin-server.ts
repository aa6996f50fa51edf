import type { Metrics } from '../../pkg/metrics/index.ts';
import { type HttpHandler, jsonAnswer, notFound, textAnswer } from './http-listener.ts';
import { type HttpServer, type HttpServerOptions, startHttpServer } from './http-server.ts';

export interface AdminServerOptions
  extends Pick<HttpServerOptions, 'address' | 'clock' | 'log' | 'hardFail' | 'onBindFailure'> {
  readonly metrics: Pick<Metrics, 'text' | 'contentType' | 'sli'>;
  /** A KubeProxyConfiguration, as it is in effect. */
  readonly configuration: () => unknown;
  /** By which tools recognise a kube-proxy: only where Weir is in its place. */
  readonly isProxy: boolean;
}

/** Port 10249: metrics and what people and tools ask kube-proxy for. Resolves and rejects as `startHttpServer`. */
export function startAdminServer(options: AdminServerOptions): Promise<HttpServer> {
  return startHttpServer({ ...options, name: 'metrics', handler: adminHandler(options) });
}

function adminHandler({ metrics, configuration, isProxy }: AdminServerOptions): HttpHandler {
  return async (path) => {
    switch (path) {
      case '/metrics':
        return { status: 200, headers: { 'Content-Type': metrics.contentType }, body: await metrics.text() };
      case '/metrics/slis':
        return {
          status: 200,
          headers: { 'Content-Type': metrics.contentType },
          body: await metrics.sli.text(),
        };
      case '/healthz':
        // Only that the process answers; whether the rules keep up is what 10256 says.
        metrics.sli.pinged();
        return textAnswer(200, 'ok');
      case '/proxyMode':
        return isProxy ? textAnswer(200, 'iptables') : notFound;
      case '/configz':
        return jsonAnswer(200, JSON.stringify({ 'kubeproxy.config.k8s.io': configuration() }));
      default:
        return notFound;
    }
  };
}
