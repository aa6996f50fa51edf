import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  kubeconfig,
  serviceAccountFolder,
  writeServiceAccount,
} from '../../../test/support/api-credentials.ts';
import { createCertificateAuthority } from '../../../test/support/certificates.ts';
import { FakeClock } from '../../../test/support/fake-clock.ts';
import { type ApiIdentity, Credentials } from './credentials.ts';
import type { CredentialsOptions } from './open-kube-config.ts';

type Json = Readonly<Record<string, unknown>>;

const authority = createCertificateAuthority('cluster');
const own = authority.issue(['weir']);
const other = authority.issue(['other']);
const server = 'https://10.0.0.1:6443';
const inPod = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };

let folder = '';
let clock = new FakeClock();
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-credentials-'));
  clock = new FakeClock();
});
afterEach(() => rm(folder, { recursive: true }));

function load(options: Partial<CredentialsOptions>): Promise<Credentials> {
  return Credentials.load({ env: {}, serviceAccountRoot: folder, ...options }, clock);
}

async function write(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

async function fromKubeconfig(cluster: Json, user: Json = {}, master?: string): Promise<ApiIdentity> {
  const path = await write('kubeconfig', kubeconfig(cluster, user));
  return (await load({ kubeconfig: path, master })).identity;
}

async function problem(options: Partial<CredentialsOptions>): Promise<string> {
  const outcome = await load(options).catch((error: unknown) => error);
  expect(outcome).toMatchObject({ code: 'WEIR_API_CREDENTIALS' });
  return (outcome as Error).message.replaceAll(folder, '…');
}

describe('a kubeconfig', () => {
  test.each<[string, Json, Json, Partial<ApiIdentity>]>([
    ['a token', { server }, { token: 'abc' }, { headers: { authorization: 'Bearer abc' }, tls: {} }],
    [
      'a token file beside it',
      { server },
      { tokenFile: 'token' },
      { headers: { authorization: 'Bearer from-file' } },
    ],
    [
      'a token file and an older token',
      { server },
      { token: 'abc', tokenFile: 'token' },
      { headers: { authorization: 'Bearer from-file' } },
    ],
    [
      'a password',
      { server },
      { username: 'u', password: 'p' },
      { headers: { authorization: `Basic ${btoa('u:p')}` } },
    ],
    ['nobody', { server }, {}, { headers: {}, tls: {} }],
    [
      'a certificate authority in it',
      { server, 'certificate-authority-data': btoa(authority.cert) },
      {},
      { tls: { ca: authority.cert } },
    ],
    [
      'a certificate authority beside it',
      { server, 'certificate-authority': 'ca.crt' },
      {},
      { tls: { ca: authority.cert } },
    ],
    [
      'a client certificate in it',
      { server },
      { 'client-certificate-data': btoa(own.cert), 'client-key-data': btoa(own.key) },
      { tls: { cert: own.cert, key: own.key } },
    ],
    [
      'a client certificate beside it',
      { server },
      { 'client-certificate': 'client.crt', 'client-key': 'client.key' },
      { tls: { cert: own.cert, key: own.key } },
    ],
    [
      'no verification',
      { server, 'insecure-skip-tls-verify': true },
      {},
      { tls: { rejectUnauthorized: false } },
    ],
    [
      'another name in the certificate',
      { server, 'tls-server-name': 'api' },
      {},
      { tls: { servername: 'api' } },
    ],
    ['plain http', { server: 'http://10.0.0.1:8080' }, {}, { server: 'http://10.0.0.1:8080', tls: {} }],
    ['a slash at the end', { server: `${server}/` }, {}, { server }],
    ['an IPv6 address', { server: 'https://[fd00::1]:6443' }, {}, { server: 'https://[fd00::1]:6443' }],
    [
      'a plugin',
      { server },
      { exec: { command: 'sh', args: ['-c', `echo '{"status":{"token":"from-plugin"}}'`] } },
      { headers: { authorization: 'Bearer from-plugin' } },
    ],
  ])('may name %s', async (_, cluster, user, expected) => {
    await write('token', 'from-file\n');
    await write('ca.crt', authority.cert);
    await write('client.crt', own.cert);
    await write('client.key', own.key);
    expect(await fromKubeconfig(cluster, user)).toMatchObject(expected);
  });

  test('keeps its credentials when --master names another server', async () => {
    const cluster = { server, 'certificate-authority-data': btoa(authority.cert) };
    expect(await fromKubeconfig(cluster, { token: 'abc' }, '10.9.9.9:6443')).toMatchObject({
      server: 'https://10.9.9.9:6443',
      headers: { authorization: 'Bearer abc' },
      tls: { ca: authority.cert },
    });
  });

  test('is not asked for the server again when only the file of the token changes', async () => {
    const token = await write('token', 'one');
    const path = await write('kubeconfig', kubeconfig({ server }, { tokenFile: token }));
    const credentials = await load({ kubeconfig: path });
    const before = credentials.identity;
    await write('token', 'two');
    await clock.advance(61_000);
    const after = await credentials.current();
    expect(after.headers).toEqual({ authorization: 'Bearer two' });
    expect(after.connectionKey).toBe(before.connectionKey);
  });

  test('is read again itself when its credentials are refused', async () => {
    const path = await write('kubeconfig', kubeconfig({ server }, { token: 'one' }));
    const credentials = await load({ kubeconfig: path });
    const refused = credentials.identity;
    expect(await credentials.renew(refused)).toBe(refused);
    await write('kubeconfig', kubeconfig({ server }, { token: 'two' }));
    const renewed = await credentials.renew(refused);
    expect(renewed.headers).toEqual({ authorization: 'Bearer two' });
    expect(await credentials.renew(refused)).toBe(renewed);
  });

  test('keeps its last good certificate while a new one has no key yet', async () => {
    await write('client.crt', own.cert);
    await write('client.key', own.key);
    const user = { 'client-certificate': 'client.crt', 'client-key': 'client.key' };
    const credentials = await load({ kubeconfig: await write('kubeconfig', kubeconfig({ server }, user)) });
    const before = credentials.identity;
    await write('client.crt', other.cert);
    await clock.advance(61_000);
    expect(await credentials.current()).toBe(before);
    expect(credentials.problem).toContain('key');
    await write('client.key', other.key);
    await clock.advance(61_000);
    const after = await credentials.current();
    expect(after.tls).toMatchObject({ cert: other.cert });
    expect(after.connectionKey).not.toBe(before.connectionKey);
    expect(credentials.problem).toBeUndefined();
  });

  const named = (changes: Json): string =>
    JSON.stringify({ ...(JSON.parse(kubeconfig({ server })) as Json), ...changes });
  test.each([
    ['empty', '', /^kubeconfig …\/kubeconfig: it is not a kubeconfig$/],
    ['no YAML', 'a: [', /^kubeconfig …\/kubeconfig: .*line 1/],
    [
      'without contexts',
      'kind: Config',
      /: its current-context names none of its contexts \(it has no contexts\); set it$/,
    ],
    [
      'without a current context',
      named({ 'current-context': 'x' }),
      /\(it has the contexts default\); set it$/,
    ],
    [
      'without the cluster',
      named({ clusters: [] }),
      /: there is no cluster "default", which the context "default" names$/,
    ],
    [
      'without the user',
      named({ users: [] }),
      /: there is no user "default", which the context "default" names$/,
    ],
    [
      'with a server that is none',
      kubeconfig({ server: 'ftp://x' }),
      /names the API server "ftp:\/\/x": an address like/,
    ],
    ['with a proxy', kubeconfig({ server, 'proxy-url': 'http://p' }), /proxy-url is not supported/],
    [
      'with a missing CA',
      kubeconfig({ server, 'certificate-authority': 'none' }),
      /no such file .*'…\/none'$/,
    ],
    [
      'with a CA that is none',
      kubeconfig({ server, 'certificate-authority-data': btoa('x') }),
      /authority is not in PEM/,
    ],
    ['with a missing token file', kubeconfig({ server }, { tokenFile: 'none' }), /no such file .*'…\/none'$/],
    [
      'with a plugin that is not there',
      kubeconfig({ server }, { exec: { command: '/none/plugin' } }),
      /spawn \/none\/plugin ENOENT$/,
    ],
  ])('that is %s is told', async (_, text, message) => {
    expect(await problem({ kubeconfig: await write('kubeconfig', text) })).toMatch(message);
  });

  test('that is not there is told', async () => {
    expect(await problem({ kubeconfig: join(folder, 'none') })).toBe(
      "kubeconfig …/none: ENOENT: no such file or directory, open '…/none'",
    );
  });
});

describe('a pod', () => {
  test('has the server of its variables and the token and authority of its service account', async () => {
    await writeServiceAccount(folder, { token: 'abc\n', ca: authority.cert, namespace: 'kube-system' });
    expect((await load({ env: inPod })).identity).toMatchObject({
      server: 'https://10.96.0.1:443',
      headers: { authorization: 'Bearer abc' },
      tls: { ca: authority.cert },
    });
  });

  test('may be sent to another server with the same credentials', async () => {
    await writeServiceAccount(folder, { token: 'abc', ca: authority.cert });
    const master = 'https://192.168.1.10:6443';
    expect((await load({ env: inPod, master })).identity).toMatchObject({
      server: master,
      headers: { authorization: 'Bearer abc' },
      tls: { ca: authority.cert },
    });
  });

  test('without a token is told what to do', async () => {
    expect(await problem({ env: inPod })).toBe(
      `the token …/${serviceAccountFolder}/token of the pod's service account is missing; ` +
        'set automountServiceAccountToken: true for the pod, or give --kubeconfig',
    );
  });

  test('with an empty token or without an authority is told', async () => {
    await writeServiceAccount(folder, { token: '\n', ca: authority.cert });
    expect(await problem({ env: inPod })).toMatch(/^the pod's service account: the token file .* is empty$/);
    await writeServiceAccount(folder, { token: 'abc' });
    await rm(join(folder, serviceAccountFolder, 'ca.crt'));
    expect(await problem({ env: inPod })).toMatch(/^the pod's service account: ENOENT: .*ca\.crt'$/);
  });
});

test('a server that --master alone names is called anonymously outside of a pod', async () => {
  expect((await load({ master: 'http://127.0.0.1:8080' })).identity).toMatchObject({
    server: 'http://127.0.0.1:8080',
    headers: {},
    tls: {},
  });
});

test('nothing that names a server is no reason to guess one', async () => {
  expect(await problem({})).toBe(
    'no API server is known, as this is no pod (KUBERNETES_SERVICE_HOST is not set): give --kubeconfig or --master',
  );
});
