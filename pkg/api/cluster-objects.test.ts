import { describe, expect, it } from 'vitest';
import { decoded, problemsOf, wire } from '../../test/support/wire-objects.ts';
import { decodeObject } from './decode.ts';

const metadata = { name: 'node-a' };

describe('a Node', () => {
  it('may say nothing', () => {
    const { object, problems } = decoded('Node', { metadata });
    expect(problems).toEqual([]);
    expect(object).toEqual({
      kind: 'Node',
      name: 'node-a',
      namespace: '',
      uid: '',
      addresses: [],
      podCIDRs: [],
      zone: undefined,
      beingDeleted: false,
      toBeDeletedTaint: false,
    });
  });

  it('tells that it is being deleted', () => {
    const { object } = decoded('Node', {
      metadata: { name: 'node-a', deletionTimestamp: '2026-01-01T00:00:00Z' },
    });
    expect(object).toMatchObject({ beingDeleted: true, toBeDeletedTaint: false });
  });

  it.each([
    [
      true,
      [
        { key: 'a', effect: 'NoExecute' },
        { key: 'ToBeDeletedByClusterAutoscaler', value: '1700000000' },
      ],
    ],
    [false, [{ key: 'DeletionCandidateOfClusterAutoscaler' }]],
    [false, []],
  ])('tells whether the autoscaler is about to take it away: %s', (expected, taints) => {
    expect(decoded('Node', { metadata, spec: { taints } }).object.toBeDeletedTaint).toBe(expected);
  });

  it('looks at the other taints where one can not be read', () => {
    const taints = [1, { key: 2 }, { key: 'ToBeDeletedByClusterAutoscaler' }];
    const { object, problems } = decoded('Node', { metadata, spec: { taints } });
    expect(object.toBeDeletedTaint).toBe(true);
    expect(problems).toHaveLength(2);
  });

  it('gives its internal addresses before its external ones, each once', () => {
    const { object, problems } = decoded('Node', {
      metadata: { name: 'node-a', uid: 'u-1', labels: { 'topology.kubernetes.io/zone': 'zone-a' } },
      spec: { podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24', 'FD01::/64'] },
      status: {
        addresses: [
          { type: 'ExternalIP', address: '198.51.100.7' },
          { type: 'Hostname', address: 'node-a' },
          { type: 'InternalIP', address: '192.0.2.7' },
          { type: 'InternalIP', address: 'FD00::7' },
          { type: 'ExternalIP', address: '192.0.2.7' },
        ],
      },
    });
    expect(problems).toEqual([]);
    expect(object).toMatchObject({
      uid: 'u-1',
      addresses: ['192.0.2.7', 'fd00::7', '198.51.100.7'],
      podCIDRs: ['10.1.0.0/24', 'fd01::/64'],
      zone: 'zone-a',
    });
  });

  it('takes the single podCIDR where there is no list', () => {
    expect(decoded('Node', { metadata, spec: { podCIDR: '10.1.0.9/24' } }).object.podCIDRs).toEqual([
      '10.1.0.0/24',
    ]);
  });

  it.each([
    [
      'address',
      { status: { addresses: [{ type: 'InternalIP', address: '192.0.02.7' }] } },
      'status.addresses[0].address',
    ],
    ['podCIDR', { spec: { podCIDR: '10.1.0.0' } }, 'spec.podCIDR'],
    ['podCIDR in the list', { spec: { podCIDRs: ['10.1.0.0/33'] } }, 'spec.podCIDRs[0]'],
    ['spec', { spec: 1 }, 'spec'],
    ['status', { status: 1 }, 'status'],
  ])('goes on without a bad %s', (_case, body, field) => {
    const { object, problems } = decoded('Node', { metadata, ...body });
    expect(problems).toEqual([`error ${field}`]);
    expect(object).toMatchObject({ addresses: [], podCIDRs: [] });
  });
});

describe('a Namespace', () => {
  it('always carries its name among its labels, whatever it says', () => {
    const labels = { team: 'a', 'kubernetes.io/metadata.name': 'other' };
    expect(decoded('Namespace', { metadata: { name: 'shop', labels } }).object).toEqual({
      kind: 'Namespace',
      name: 'shop',
      namespace: '',
      labels: { team: 'a', 'kubernetes.io/metadata.name': 'shop' },
    });
  });

  it('goes on without a bad label', () => {
    const { object, problems } = decoded('Namespace', { metadata: { name: 'shop', labels: { team: true } } });
    expect(problems).toEqual(['error metadata.labels.team']);
    expect(object.labels).toEqual({ 'kubernetes.io/metadata.name': 'shop' });
  });
});

describe('a ServiceCIDR', () => {
  it('goes on without a bad range', () => {
    const { object, problems } = decoded('ServiceCIDR', {
      spec: { cidrs: ['10.96.0.0/12', '10.096.0.0/12', 'FD00::/108'] },
    });
    expect(object).toMatchObject({ namespace: '', cidrs: ['10.96.0.0/12', 'fd00::/108'] });
    expect(problems).toEqual(['error spec.cidrs[1]']);
  });

  it('is dropped when its spec is no object', () => {
    const result = decodeObject(wire('ServiceCIDR', { spec: 'x' }));
    expect(result.outcome).toBe('invalid');
    expect(problemsOf(result)).toEqual(['error spec']);
  });
});
