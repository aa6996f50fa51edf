import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { type ApiObject, decodeObject } from '../../api/index.ts';
import { compactObject } from './compact-object.ts';
import { SharedValues } from './shared-values.ts';

const slices = 5000;

/** With five endpoints on nodes of a cloud, as a slice of a cluster with topology hints has them. */
function wireSlice(index: number): string {
  const endpoints = Array.from({ length: 5 }, (_, at) => ({
    addresses: [`10.${index >> 8}.${index & 255}.${at}`],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: `ip-10-0-${(index + at) % 250}-17.eu-west-1.compute.internal`,
    zone: `eu-west-1${'abc'[at % 3]}`,
    hints: { forZones: [{ name: `eu-west-1${'abc'[at % 3]}` }] },
  }));
  return JSON.stringify({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `service-${index}-x`,
      namespace: `namespace-${index % 50}`,
      labels: { 'kubernetes.io/service-name': `service-${index}` },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints,
  });
}

function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

// 10,000 Services and 20,000 slices have to fit into 40 MB. As decoded a slice takes 2.5 kB, with everything shared 0.8 kB.
test('a slice of five endpoints takes about a kilobyte', { timeout: 60_000 }, () => {
  const shared = new SharedValues();
  const kept: ApiObject[] = [];
  const keep = (index: number): void => {
    const result = decodeObject(JSON.parse(wireSlice(index)));
    if (result.outcome === 'object') kept.push(compactObject(result.object, shared));
  };
  for (let index = 0; index < slices; index++) keep(index);
  kept.length = 0;
  const before = heapUsed();
  for (let index = 0; index < slices; index++) keep(index);
  const bytesEach = (heapUsed() - before) / slices;
  expect(kept).toHaveLength(slices);
  expect(bytesEach).toBeLessThan(1300);
});
