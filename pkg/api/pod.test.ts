import { describe, expect, it } from 'vitest';
import { decoded, problemsOf, wire } from '../../test/support/wire-objects.ts';
import { decodeObject } from './decode.ts';

type Json = Readonly<Record<string, unknown>>;

function pod({
  metadata = {},
  spec = {},
  status = {},
}: {
  metadata?: Json;
  spec?: Json;
  status?: Json;
} = {}) {
  return decoded('Pod', { metadata: { name: 'web-1', namespace: 'shop', ...metadata }, spec, status });
}

const container = { ports: [{ name: 'http', containerPort: 8080 }] };

describe('a Pod', () => {
  it('has the defaults of the API server', () => {
    const { object, problems } = decoded('Pod', { metadata: { name: 'web-1' } });
    expect(problems).toEqual([]);
    expect(object).toEqual({
      kind: 'Pod',
      namespace: 'default',
      name: 'web-1',
      uid: '',
      labels: {},
      nodeName: undefined,
      hostNetwork: false,
      addresses: [],
      phase: 'Pending',
      ready: false,
      terminating: false,
      namedPorts: [],
    });
  });

  it('keeps everything that is said', () => {
    const { object, problems } = pod({
      metadata: { uid: 'u-1', labels: { app: 'web' }, deletionTimestamp: '2026-11-21T10:00:00Z' },
      spec: {
        nodeName: 'node-a',
        hostNetwork: true,
        containers: [
          { ports: [{ name: 'http', containerPort: 8080 }, { containerPort: 9090 }] },
          { ports: null },
        ],
        initContainers: [
          { restartPolicy: 'Always', ports: [{ name: 'mesh', protocol: 'UDP', containerPort: 15_000 }] },
          { ports: [{ name: 'setup', containerPort: 1 }] },
        ],
      },
      status: {
        phase: 'Running',
        podIP: '10.0.0.1',
        podIPs: [{ ip: '10.0.0.1' }, { ip: 'FD00::1' }],
        conditions: [
          { type: 'Initialized', status: 'False' },
          { type: 'Ready', status: 'True' },
        ],
      },
    });
    expect(problems).toEqual([]);
    expect(object).toMatchObject({
      uid: 'u-1',
      labels: { app: 'web' },
      nodeName: 'node-a',
      hostNetwork: true,
      addresses: [
        { family: 'IPv4', ip: '10.0.0.1' },
        { family: 'IPv6', ip: 'fd00::1' },
      ],
      phase: 'Running',
      ready: true,
      terminating: true,
      namedPorts: [
        { name: 'http', protocol: 'TCP', port: 8080 },
        { name: 'mesh', protocol: 'UDP', port: 15_000 },
      ],
    });
  });

  it('takes the single podIP where there is no list', () => {
    expect(pod({ status: { podIP: '10.0.0.1' } }).object.addresses).toEqual([
      { family: 'IPv4', ip: '10.0.0.1' },
    ]);
  });

  it.each([
    [
      'label',
      { metadata: { labels: { app: 1, tier: 'x' } } },
      'metadata.labels.app',
      { labels: { tier: 'x' } },
    ],
    ['uid', { metadata: { uid: 1 } }, 'metadata.uid', { uid: '' }],
    ['node', { spec: { nodeName: true } }, 'spec.nodeName', { nodeName: undefined }],
    ['hostNetwork', { spec: { hostNetwork: 'true' } }, 'spec.hostNetwork', { hostNetwork: false }],
    ['phase', { status: { phase: 'running' } }, 'status.phase', { phase: 'Unknown' }],
    [
      'address',
      { status: { podIPs: [{ ip: '10.0.0.01' }, { ip: 'fd00::1' }] } },
      'status.podIPs[0].ip',
      { addresses: [{ family: 'IPv6', ip: 'fd00::1' }] },
    ],
    ['single address', { status: { podIP: 'x' } }, 'status.podIP', { addresses: [] }],
    [
      'second address of a family',
      { status: { podIPs: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }] } },
      'status.podIPs[1].ip',
      { addresses: [{ family: 'IPv4', ip: '10.0.0.1' }] },
    ],
    [
      'Ready condition',
      { status: { conditions: [{ type: 'Ready', status: true }] } },
      'status.conditions[0].status',
      { ready: false },
    ],
    [
      'port number',
      { spec: { containers: [{ ports: [{ name: 'x', containerPort: 0 }] }, container] } },
      'spec.containers[0].ports[0].containerPort',
      { namedPorts: [{ name: 'http', protocol: 'TCP', port: 8080 }] },
    ],
    [
      'missing port number',
      { spec: { containers: [{ ports: [{ name: 'x' }] }] } },
      'spec.containers[0].ports[0].containerPort',
      { namedPorts: [] },
    ],
    [
      'port protocol',
      { spec: { containers: [{ ports: [{ name: 'x', containerPort: 1, protocol: 'tcp' }] }] } },
      'spec.containers[0].ports[0].protocol',
      { namedPorts: [] },
    ],
    [
      'container',
      { spec: { containers: ['x', container] } },
      'spec.containers[0]',
      { namedPorts: [{ name: 'http', protocol: 'TCP', port: 8080 }] },
    ],
  ])('goes on without a bad %s', (_case, parts, field, expected) => {
    const { object, problems } = pod(parts);
    expect(problems).toEqual([`error ${field}`]);
    expect(object).toMatchObject(expected);
  });

  it.each(['spec', 'status'])('is dropped when its %s is no object', (part) => {
    const result = decodeObject(wire('Pod', { [part]: 'x' }));
    expect(result.outcome).toBe('invalid');
    expect(problemsOf(result)).toEqual([`error ${part}`]);
  });
});
