import { describe, expect, it } from 'vitest';
import { problemsOf, wire } from '../../test/support/wire-objects.ts';
import { decodeAs, decodeObject } from './decode.ts';

const namespaceBody = { metadata: { name: 'shop' } };

describe('decodeObject', () => {
  it.each([
    ['another kind', { apiVersion: 'apps/v1', kind: 'Deployment' }, 'kind Deployment'],
    ['Endpoints', { apiVersion: 'v1', kind: 'Endpoints' }, 'kind Endpoints'],
    [
      'the same kind of another group',
      { apiVersion: 'serving.knative.dev/v1', kind: 'Service' },
      'kind Service of serving.knative.dev/v1',
    ],
    [
      'another NetworkPolicy',
      { apiVersion: 'crd.projectcalico.org/v1', kind: 'NetworkPolicy' },
      'kind NetworkPolicy of crd.projectcalico.org/v1',
    ],
    [
      'a kind called like a part of JavaScript',
      { apiVersion: 'v1', kind: 'constructor' },
      'kind constructor',
    ],
  ])('ignores %s', (_case, raw, reason) => {
    expect(decodeObject(raw)).toEqual({ outcome: 'ignored', reason });
  });

  it.each([
    ['text', 'hello', 'error '],
    ['a list', [], 'error '],
    ['null', null, 'error '],
    ['an object without kind', { apiVersion: 'v1' }, 'error kind'],
    ['a kind that is no string', { kind: 5 }, 'error kind'],
  ])('refuses %s', (_case, raw, problem) => {
    const result = decodeObject(raw);
    expect(result.outcome).toBe('invalid');
    expect(problemsOf(result)).toEqual([problem]);
  });

  it.each([
    ['missing', undefined],
    ['of another version', 'networking.k8s.io/v1beta1'],
  ])('reads a known kind whose apiVersion is %s, with a warning', (_case, apiVersion) => {
    const result = decodeObject(wire('NetworkPolicy', { apiVersion, spec: { podSelector: {} } }));
    expect(result.outcome).toBe('object');
    expect(problemsOf(result)).toEqual(['warning apiVersion']);
  });

  it.each([
    ['no metadata', undefined, 'error metadata'],
    ['metadata that is a list', [], 'error metadata'],
    ['no name', { namespace: 'shop' }, 'error metadata.name'],
    ['an empty name', { name: '' }, 'error metadata.name'],
    ['a name that is a number', { name: 5 }, 'error metadata.name'],
    ['a name of 254 characters', { name: 'x'.repeat(254) }, 'error metadata.name'],
    ['a name with a slash', { name: 'a/b' }, 'error metadata.name'],
    ['a name that would end a quoted comment', { name: 'a" -j ACCEPT' }, 'error metadata.name'],
    ['a name of two lines', { name: 'a\n-A FORWARD' }, 'error metadata.name'],
    ['a namespace that is a number', { name: 'web', namespace: 5 }, 'error metadata.namespace'],
    ['a namespace with a space', { name: 'web', namespace: 'a b' }, 'error metadata.namespace'],
  ])('drops an object with %s', (_case, metadata, problem) => {
    const result = decodeObject(wire('Pod', { metadata }));
    expect(result.outcome).toBe('invalid');
    expect(problemsOf(result)).toEqual([problem]);
  });

  it.each([
    ['no namespace', { name: 'web' }, 'default'],
    ['an empty namespace', { name: 'web', namespace: '' }, 'default'],
    ['a namespace', { name: 'web', namespace: 'shop' }, 'shop'],
  ])('puts an object with %s into its place', (_case, metadata, namespace) => {
    expect(decodeObject(wire('Pod', { metadata }))).toMatchObject({ object: { namespace }, diagnostics: [] });
  });

  it('pays no attention to a namespace of a cluster-wide object', () => {
    const result = decodeObject(wire('Namespace', { metadata: { name: 'shop', namespace: 'x' } }));
    expect(result).toMatchObject({ object: { namespace: '' }, diagnostics: [] });
  });

  it('takes a name of 253 characters', () => {
    const name = 'x'.repeat(253);
    expect(decodeObject(wire('Pod', { metadata: { name } }))).toMatchObject({
      object: { name },
      diagnostics: [],
    });
  });

  it('keeps a harmless name that the API server would refuse, with a warning', () => {
    const result = decodeObject(wire('NetworkPolicy', { metadata: { name: 'Deny_All' }, spec: {} }));
    expect(result).toMatchObject({ outcome: 'object', object: { name: 'Deny_All' } });
    expect(problemsOf(result)).toEqual(['warning metadata.name']);
  });

  it('names the object in every diagnostic, and says what it found', () => {
    const result = decodeObject(wire('Service', { spec: { clusterIP: '10.0.0.01' } }));
    expect(result).toMatchObject({
      diagnostics: [
        {
          severity: 'error',
          kind: 'Service',
          namespace: 'shop',
          name: 'web',
          field: 'spec.clusterIP',
          message:
            '"10.0.0.01" is not an IP address; leading zeros are refused because programs read them differently',
        },
      ],
    });
  });

  it('is not led astray by a label called __proto__', () => {
    const raw = JSON.parse(
      '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","labels":{"__proto__":"x"}}}',
    ) as unknown;
    const result = decodeObject(raw);
    expect(
      result.outcome === 'object' && result.object.kind === 'Pod' && Object.keys(result.object.labels),
    ).toEqual(['__proto__']);
  });
});

describe('decodeAs', () => {
  it('reads the items of a list, which say nothing about their kind', () => {
    expect(decodeAs('Namespace', namespaceBody)).toMatchObject({
      outcome: 'object',
      object: { kind: 'Namespace' },
      diagnostics: [],
    });
  });

  it('refuses what is no object', () => {
    expect(problemsOf(decodeAs('Pod', 5))).toEqual(['error ']);
  });
});
