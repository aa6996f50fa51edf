import { expect, test } from 'vitest';
import { inClusterAddress, serverAddress } from './server-address.ts';

test.each([
  ['https://10.0.0.1:6443', false, 'https://10.0.0.1:6443'],
  ['https://10.0.0.1:6443/', false, 'https://10.0.0.1:6443'],
  ['https://api.example.com:443', false, 'https://api.example.com'],
  ['https://rancher.example.com/k8s/clusters/c-1/', false, 'https://rancher.example.com/k8s/clusters/c-1'],
  ['http://127.0.0.1:8080', true, 'http://127.0.0.1:8080'],
  ['https://[fd00::1]:6443', false, 'https://[fd00::1]:6443'],
  ['127.0.0.1:8080', false, 'http://127.0.0.1:8080'],
  ['localhost:8080', false, 'http://localhost:8080'],
  ['api.example.com:6443', true, 'https://api.example.com:6443'],
  ['[fd00::1]:6443', true, 'https://[fd00::1]:6443'],
])('%s (with TLS settings: %s) is the server %s', (text, speaksTls, expected) => {
  expect(serverAddress(text, '--master', speaksTls)).toBe(expected);
});

test.each([
  '',
  'https://',
  'ftp://10.0.0.1',
  'unix:///run/api.sock',
  'https://fd00::1:6443',
  'https://a/?b=c',
])('%j is no server', (text) => {
  const expected = `--master names the API server "${text}": an address like https://10.0.0.1:6443 is needed`;
  expect(() => serverAddress(text, '--master', true)).toThrow(expected);
});

test.each([
  ['10.96.0.1', '443', 'https://10.96.0.1:443'],
  ['fd00:96::1', '443', 'https://[fd00:96::1]:443'],
  ['api.example.com', '8080', 'https://api.example.com:8080'],
  ['', '443', undefined],
  [undefined, undefined, undefined],
])('a pod with the variables %s and %s finds the server %s', (host, port, expected) => {
  const env = { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port };
  expect(inClusterAddress(env)).toBe(expected);
});
