import { WeirError } from '../../runtime/index.ts';

/**
 * The API server of the cluster whose pod this runs in, from the variables that kubelet sets; always https, IPv6 addresses in
 * brackets. `undefined` outside of pods.
 */
export function inClusterAddress(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '';
  if (host === '' || port === '') return undefined;
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * The address of an API server without a slash at its end; it may have a path. Without a scheme it is https where there is
 * anything to speak TLS with, else http, as kubectl takes it. Throws WEIR_API_CREDENTIALS; `origin` says who named it.
 */
export function serverAddress(text: string, origin: string, speaksTls: boolean): string {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${speaksTls ? 'https' : 'http'}://${text}`;
  const url = URL.parse(full);
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.search !== '' || url.hash !== '') {
    const wanted = 'an address like https://10.0.0.1:6443 is needed';
    throw new WeirError('WEIR_API_CREDENTIALS', `${origin} names the API server "${text}": ${wanted}`);
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}
