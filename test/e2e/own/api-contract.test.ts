import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { labFiles } from '../../lab/settings.ts';
import { FakeApiServer } from '../../support/fake-api-server.ts';
import { type ApiQuestion, type AskedServer, ask, metadataOf } from './support/api-question.ts';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';

/** What differs between two servers that have the same objects. */
interface Marks {
  /** The version of a list. */
  readonly now: string;
  /** The version in which a Service was written last. */
  readonly written: string;
  /** One that no server has come to yet. */
  readonly future: string;
  /** Where a list of Services goes on. */
  readonly more: string;
  /** Where a list of namespaces goes on. */
  readonly foreign: string;
}

const services = '/api/v1/namespaces/default/services';
const ours = { labelSelector: 'contract=yes' };
const streaming = {
  watch: 'true',
  timeoutSeconds: '1',
  allowWatchBookmarks: 'true',
  sendInitialEvents: 'true',
  resourceVersionMatch: 'NotOlderThan',
  ...ours,
};
const list = (query: Readonly<Record<string, string>>, path = services): ApiQuestion => ({ path, query });
const watch = (query: Readonly<Record<string, string>>, path = services): ApiQuestion => ({
  path,
  query: { watch: 'true', timeoutSeconds: '1', ...ours, ...query },
});

const questions: Readonly<Record<string, (marks: Marks) => ApiQuestion>> = {
  'a list': () => list(ours),
  'a list of what has a cluster IP': () => list({ ...ours, fieldSelector: 'spec.clusterIP!=None' }),
  'a list of one name': () => list({ fieldSelector: 'metadata.name=contract-b' }),
  'a list of one Node': () => list({ fieldSelector: 'metadata.name=none' }, '/api/v1/nodes'),
  'a list without a label': () =>
    list({ labelSelector: 'contract,!service.kubernetes.io/service-proxy-name' }),
  'a page': () => list({ ...ours, limit: '1' }),
  'a page of all namespaces': () => list({ limit: '1' }, '/api/v1/namespaces'),
  'the next page': ({ more }) => list({ ...ours, limit: '1', continue: more }),
  'the rest': ({ more }) => list({ ...ours, continue: more }),
  'the next page of another kind': ({ foreign }) => list({ ...ours, continue: foreign }),
  'a continue that is no token': () => list({ continue: 'nonsense' }),
  'a continue without a version': () =>
    list({ continue: Buffer.from('{"v":"meta.k8s.io/v1","start":"x"}').toString('base64url') }),
  'a continue and a version': ({ more, now }) => list({ continue: more, resourceVersion: now }),
  'a continue and a match': ({ more }) => list({ continue: more, resourceVersionMatch: 'NotOlderThan' }),
  'a match without a version': () => list({ resourceVersionMatch: 'NotOlderThan' }),
  'an exact match of version 0': () => list({ resourceVersion: '0', resourceVersionMatch: 'Exact' }),
  'a match that is none': ({ now }) => list({ resourceVersion: now, resourceVersionMatch: 'Nonsense' }),
  // One not older than a list before it may fail: the cache of a kind that is quiet does not come to that version with such an etcd.
  'a list not older than an object of it': ({ written }) =>
    list({ ...ours, resourceVersion: written, resourceVersionMatch: 'NotOlderThan' }),
  'a list of exactly now': ({ now }) =>
    list({ ...ours, resourceVersion: now, resourceVersionMatch: 'Exact' }),
  'a list not older than the future': ({ future }) =>
    list({ resourceVersion: future, resourceVersionMatch: 'NotOlderThan' }),
  'a list of version 0 has no pages': () => list({ ...ours, resourceVersion: '0', limit: '1' }),
  'a version that is none': () => list({ resourceVersion: 'x' }),
  'a limit that is none': () => list({ limit: 'x' }),
  'a list that is to stream': () => list({ sendInitialEvents: 'true' }),
  'a field of Services that nobody knows': () => list({ fieldSelector: 'spec.unknown=x' }),
  'a field of pods that nobody knows': () => list({ fieldSelector: 'spec.clusterIP=x' }, '/api/v1/pods'),
  'a field of Nodes that nobody knows': () =>
    list({ fieldSelector: 'metadata.namespace=x' }, '/api/v1/nodes'),
  'a field of namespaces that nobody knows': () =>
    list({ fieldSelector: 'spec.unknown=x' }, '/api/v1/namespaces'),
  'a field of policies that nobody knows': () =>
    list({ fieldSelector: 'spec.unknown=x' }, '/apis/networking.k8s.io/v1/networkpolicies'),
  'a field of slices that nobody knows': () =>
    list({ fieldSelector: 'addressType=IPv4' }, '/apis/discovery.k8s.io/v1/endpointslices'),
  'a field of ServiceCIDRs that nobody knows': () =>
    list({ fieldSelector: 'spec.unknown=x' }, '/apis/networking.k8s.io/v1/servicecidrs'),
  'a field selector that is none': () => list({ fieldSelector: 'nonsense' }),
  'a label selector that is none': () => list({ labelSelector: '=(' }),
  'a kind that does not exist': () => list({}, '/api/v1/services2'),
  'a group that does not exist': () => list({}, '/apis/none.example.org/v1/services'),
  'a token that nobody has': () => ({ path: services, token: 'nobody' }),
  'a watch from now': ({ now }) => watch({ resourceVersion: now, allowWatchBookmarks: 'true' }),
  'a watch from version 0': () => watch({ resourceVersion: '0' }),
  'a watch from a version long gone': () => watch({ resourceVersion: '1' }),
  'a watch from the future': ({ future }) => watch({ resourceVersion: future }),
  'a watch from a version that is none': () => watch({ resourceVersion: 'x' }),
  'a watch by a field that nobody knows': ({ now }) =>
    watch({ resourceVersion: now, fieldSelector: 'spec.unknown=x' }),
  'a watch with a match': ({ now }) => watch({ resourceVersion: now, resourceVersionMatch: 'NotOlderThan' }),
  'a watch for half a second': ({ now }) => watch({ resourceVersion: now, timeoutSeconds: '0.5' }),
  'a stream': () => list(streaming),
  'a stream from the future': ({ future }) =>
    list({ ...streaming, resourceVersion: future, timeoutSeconds: '5' }),
  'a stream without a match': () => list({ ...streaming, resourceVersionMatch: '' }),
  'a stream with an exact match': () => list({ ...streaming, resourceVersionMatch: 'Exact' }),
  'an object': () => ({ path: `${services}/contract-a` }),
  'an object that is not there': () => ({ path: `${services}/none` }),
  'an object that is there already': () => ({ method: 'POST', path: services, body: service('contract-a') }),
  'a change': () => ({
    method: 'PATCH',
    path: `${services}/contract-a`,
    body: { metadata: { labels: { a: 'b' } } },
  }),
  'a change of what is not there': () => ({ method: 'PATCH', path: `${services}/none`, body: {} }),
};

describe('the fake API server answers as a real one', () => {
  let lab: OwnLab;
  let real: { readonly server: AskedServer; readonly marks: Marks };
  let fake: { readonly server: AskedServer; readonly marks: Marks };
  const fakeServer = new FakeApiServer({ token: 'known', watchList: 'no-progress' });

  beforeAll(async () => {
    lab = await startOwnLab({ nodes: 1, proxy: 'none' });
    const { clusters, users } = JSON.parse(await readFile(labFiles.kubeconfig, 'utf8')) as {
      readonly clusters: readonly [
        { readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string } },
      ];
      readonly users: readonly [{ readonly user: { readonly token: string } }];
    };
    const { server: url, 'certificate-authority-data': ca } = clusters[0].cluster;
    await fakeServer.start();
    for (const name of ['default', 'kube-system']) fakeServer.put({ kind: 'Namespace', metadata: { name } });
    real = await seeded({ url, token: users[0].user.token, ca: Buffer.from(ca, 'base64').toString() });
    // Whether streams come to their end is up to the etcd of this machine.
    const { events = [] } = await ask(real.server, list(streaming));
    if (events.includes('BOOKMARK of the end')) fakeServer.setWatchList('on');
    fake = await seeded({ url: fakeServer.url, token: 'known' });
  });
  afterAll(async () => {
    await fakeServer.close();
    await lab.stop();
  });

  test.each(Object.keys(questions))('%s', async (name) => {
    const question = questions[name];
    if (question === undefined) throw new Error(`no question: ${name}`);
    const [said, expected] = await Promise.all([
      ask(fake.server, question(fake.marks)),
      ask(real.server, question(real.marks)),
    ]);
    expect(said).toEqual(expected);
  });
});

function service(name: string, clusterIP?: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, labels: { contract: 'yes' } },
    spec: { ports: [{ port: 80 }], ...(clusterIP === undefined ? {} : { clusterIP }) },
  };
}

async function seeded(server: AskedServer): Promise<{ readonly server: AskedServer; readonly marks: Marks }> {
  for (const body of [service('contract-a'), service('contract-b', 'None'), service('contract-c')])
    await ask(server, { method: 'POST', path: services, body });
  const page = await metadataOf(server, list({ ...ours, limit: '1' }));
  const namespaces = await metadataOf(server, list({ limit: '1' }, '/api/v1/namespaces'));
  const now = (await metadataOf(server, list(ours))).resourceVersion ?? '';
  const last = await metadataOf(server, { path: `${services}/contract-c` });
  const marks = {
    now,
    written: last.resourceVersion ?? '',
    future: String(Number(now) + 1_000_000),
    more: page.continue ?? '',
    foreign: namespaces.continue ?? '',
  };
  return { server, marks };
}
