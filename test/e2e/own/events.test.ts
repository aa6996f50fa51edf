import { readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EventDetails, EventRecorder } from '../../../controllers/events/event-recorder.ts';
import { eventsWithUids } from '../../../controllers/events/events-with-uids.ts';
import { decodeObject } from '../../../pkg/api/index.ts';
import { Store } from '../../../pkg/cache/index.ts';
import { systemClock } from '../../../pkg/runtime/index.ts';
import { createApiClient } from '../../../pkg/source/index.ts';
import { labFiles } from '../../lab/settings.ts';
import { longestEvents, longestNodeNames, longestService } from '../../support/longest-events.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { yamlOf } from './support/objects.ts';
import { type OwnLab, startOwnLab } from './support/own-lab.ts';

const { namespace, service } = longestService;

describe('events', () => {
  let lab: OwnLab;
  const kubeconfig = `${labFiles.kubeconfig}-weir`;

  beforeAll(async () => {
    lab = await startOwnLab({ nodes: 1 });
    await writeFile(kubeconfig, await kubeconfigOfWeir(), { mode: 0o600 });
    const inNamespace = { name: service, namespace };
    await lab.apply(
      yamlOf(
        ...longestNodeNames.map((name) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } })),
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
        { apiVersion: 'v1', kind: 'Service', metadata: inNamespace, spec: { ports: [{ port: 80 }] } },
      ),
    );
  });
  afterAll(async () => {
    await rm(kubeconfig, { force: true });
    await lab.stop();
  });

  /** With the rights that `manifests/` gives to Weir. */
  async function kubeconfigOfWeir(): Promise<string> {
    const token = await lab.kubectl(['-n', 'kube-system', 'create', 'token', 'weir']);
    const admin = JSON.parse(await readFile(labFiles.kubeconfig, 'utf8')) as {
      readonly users: readonly { readonly name: string }[];
    };
    return JSON.stringify({ ...admin, users: admin.users.map(({ name }) => ({ name, user: { token } })) });
  }

  async function storeOf(...objects: readonly (readonly string[])[]): Promise<Store> {
    const store = new Store();
    for (const words of objects) {
      const result = decodeObject(await lab.get<unknown>(...words));
      if (result.outcome === 'object') store.upsert(result.object);
    }
    return store;
  }

  /** Tells of each twice, so that the second time makes a series. Returns what the API server refused. */
  async function record(nodeName: string, events: readonly EventDetails[]): Promise<readonly string[]> {
    const log = recordedLog();
    const client = await createApiClient({ kubeconfig, env: {}, clock: systemClock, userAgent: 'weir' });
    const recorder = new EventRecorder({ client, nodeName, clock: systemClock, log });
    const store = await storeOf(['node', nodeName], ['-n', namespace, 'service', service]);
    const sink = eventsWithUids(recorder, store);
    for (const details of events) sink.event(details);
    await lab.waitFor('the events', async () => (await countOfEvents(nodeName)) >= events.length);
    for (const details of events) sink.event(details);
    await recorder.stop(30_000);
    await client.close();
    return log.lines;
  }

  async function countOfEvents(nodeName: string): Promise<number> {
    const { items } = await lab.get<{ readonly items: readonly { readonly reportingInstance: string }[] }>(
      'events.events.k8s.io',
      '-A',
    );
    const instance = `weir-${nodeName}`.slice(0, 128);
    return items.filter(({ reportingInstance }) => reportingInstance === instance).length;
  }

  async function described({ regarding }: EventDetails): Promise<string> {
    const where = regarding.kind === 'Node' ? [] : ['-n', regarding.namespace];
    const text = await lab.kubectl([...where, 'describe', regarding.kind, regarding.name]);
    return text.slice(text.indexOf('\nEvents:'));
  }

  /** The line in which `kubectl describe` shows an event of this reason; waits for it. */
  function eventLine(object: readonly string[], reason: string): Promise<string> {
    return lab.waitFor(`an event ${reason}`, async () => {
      const lines = (await lab.kubectl(['describe', ...object])).split('\n').map((line) => line.trim());
      return lines.find((line) => line.includes(` ${reason} `));
    });
  }

  test.each(longestNodeNames)(
    'of every kind, at their longest, are taken and described, from a node called %s',
    async (nodeName) => {
      const events = longestEvents(nodeName);
      expect(await record(nodeName, events)).toEqual([]);
      for (const details of events) {
        const line = (await described(details)).split('\n').find((one) => one.includes(details.reason)) ?? '';
        expect(line).toContain(details.type);
        expect(line).toContain(details.note.slice(0, 100));
        expect(line).toMatch(/\(x2 over /);
        expect(line.endsWith('…')).toBe(Buffer.byteLength(details.note) > 1024);
      }
    },
  );

  test('of a Weir that starts are described with its Node', async () => {
    const line = await eventLine(['node', 'node-1'], 'Starting');
    expect(line).toMatch(/^Normal .* kube-proxy.* Weir serves Services and network policies on this node$/);
  });

  test('of a Weir that finds two Services in conflict are described with the Service', async () => {
    const conflicting = ['one', 'two'].flatMap((name) => [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name },
        spec: { externalIPs: ['203.0.113.9'], ports: [{ port: 80 }] },
      },
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        ports: [{ name: '', port: 80, protocol: 'TCP' }],
        endpoints: [{ addresses: ['192.0.2.10'] }],
      },
    ]);
    await lab.apply(yamlOf(...conflicting));
    const line = await eventLine(['service', 'two'], 'AddressConflict');
    expect(line).toMatch(/^Warning .* default\/one.* has it already/);
  });
});
