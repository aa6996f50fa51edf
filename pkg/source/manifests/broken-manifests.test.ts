import { describe, expect, it } from 'vitest';
import { ManifestFiles } from './manifest-files.ts';

/**
 * Broken documents as people write them. `line` is where the diagnostic must point, counted in the document; `kept` tells that
 * the object is still there, without its bad part.
 */
interface Broken {
  readonly what: string;
  readonly text: (name: string) => string;
  readonly line: number;
  readonly kept?: string;
}

const service = (name: string, spec: string): string =>
  `apiVersion: v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n${spec}`;
const slice = (name: string, rest: string): string =>
  `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: ${name}\n  labels: {kubernetes.io/service-name: ${name}}\n${rest}`;
const policy = (name: string, spec: string): string =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: ${name}\nspec:\n${spec}`;

const kinds: readonly Broken[] = [
  { what: 'open bracket', text: (name) => `kind: Service\nmetadata: {name: ${name}\n`, line: 3 },
  {
    what: 'bad indentation',
    text: (name) => `kind: Service\nmetadata:\n  name: ${name}\n bad: x\n`,
    line: 4,
  },
  { what: 'tab', text: () => 'kind: Service\nmetadata:\n\tname: x\n', line: 3 },
  { what: 'text', text: () => 'just some words\n', line: 1 },
  { what: 'list', text: () => '- kind: Service\n', line: 1 },
  { what: 'no kind', text: (name) => `apiVersion: v1\nmetadata: {name: ${name}}\n`, line: 1 },
  { what: 'no name', text: () => 'apiVersion: v1\nkind: Service\nmetadata: {}\nspec: {}\n', line: 3 },
  { what: 'name too long', text: () => service('x'.repeat(254), '  clusterIP: 10.0.0.1\n'), line: 4 },
  { what: 'spec is a list', text: (name) => service(name, '  - a\n'), line: 5 },
  {
    what: 'impossible port',
    text: (name) =>
      service(name, '  clusterIP: 10.0.0.1\n  ports:\n    - port: 99999\n    - {name: b, port: 80}\n'),
    line: 8,
    kept: 'Service',
  },
  {
    what: 'port in quotes',
    text: (name) => service(name, '  clusterIP: 10.0.0.1\n  ports: [{port: "80"}]\n'),
    line: 7,
    kept: 'Service',
  },
  {
    what: 'port twice',
    text: (name) =>
      service(
        name,
        '  clusterIP: 10.0.0.1\n  ports:\n    - {name: a, port: 80}\n    - {name: a, port: 81}\n',
      ),
    line: 9,
    kept: 'Service',
  },
  {
    what: 'leading zeros',
    text: (name) => service(name, '  clusterIP: 10.0.0.010\n'),
    line: 6,
    kept: 'Service',
  },
  {
    what: 'endpoint with leading zeros',
    text: (name) =>
      slice(name, 'addressType: IPv4\nendpoints:\n  - addresses: [10.0.0.1]\n  - addresses: [10.0.0.01]\n'),
    line: 9,
    kept: 'EndpointSlice',
  },
  { what: 'address type', text: (name) => slice(name, 'addressType: ip\n'), line: 6 },
  {
    what: 'pod selector',
    text: (name) => policy(name, '  podSelector: app=web\n'),
    line: 6,
    kept: 'NetworkPolicy',
  },
  {
    what: 'misspelt from',
    text: (name) => policy(name, '  podSelector: {}\n  ingress:\n    - form: []\n'),
    line: 8,
    kept: 'NetworkPolicy',
  },
  {
    what: 'block with leading zeros',
    text: (name) => policy(name, '  ingress:\n    - from:\n        - ipBlock: {cidr: 010.0.0.0/8}\n'),
    line: 8,
    kept: 'NetworkPolicy',
  },
  { what: 'policy without spec', text: (name) => policy(name, ''), line: 5, kept: 'NetworkPolicy' },
  {
    what: 'pod address',
    text: (name) => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nstatus:\n  podIP: 300.0.0.1\n`,
    line: 5,
    kept: 'Pod',
  },
];

const documentsPerFile = 10;
const brokenCount = 200;

function good(index: number): string {
  return service(`good-${index}`, `  clusterIP: 10.1.0.${index}\n  ports: [{port: 80}]\n`);
}

describe('a folder with 200 broken documents', () => {
  const files = new Map<string, string>();
  const wanted: string[] = [];
  const kept: string[] = [];
  for (let index = 0; index < brokenCount; index++) {
    const kind = kinds[index % kinds.length];
    if (kind === undefined) throw new Error('no kinds');
    const file = `file-${String(Math.floor(index / documentsPerFile)).padStart(2, '0')}.yaml`;
    const before = `${files.get(file) ?? ''}${good(index)}---\n`;
    wanted.push(`${file}:${before.split('\n').length - 1 + kind.line} ${kind.what}`);
    files.set(file, `${before}${kind.text(`bad-${index}`)}---\n`);
    if (kind.kept !== undefined) kept.push(`${kind.kept} bad-${index}`);
    kept.push(`Service good-${index}`);
  }

  const state = new ManifestFiles();
  for (const [file, text] of files) state.read(file, text);
  const { objects, diagnostics } = state.settle();

  it('names each of them by file and line, and nothing else as an error', () => {
    const found = [...diagnostics].flatMap(([file, list]) =>
      list.filter(({ severity }) => severity === 'error').map(({ location }) => `${file}:${location?.line}`),
    );
    const places = wanted.map((place) => place.split(' ', 1).join(''));
    expect(found.toSorted()).toEqual(places.toSorted());
  });

  it('still has everything that is valid', () => {
    const present = objects.map(({ after }) => `${after?.kind} ${after?.name}`);
    expect(present.toSorted()).toEqual(kept.toSorted());
  });
});

describe('valid extremes', () => {
  it('are read: a name of 253 characters and 10,000 endpoints in one Service', () => {
    const name = 'x'.repeat(253);
    const endpoints = Array.from({ length: 10_000 }, (_, i) => ({
      addresses: [`10.2.${i >> 8}.${i & 255}`],
    }));
    const metadata = { name, labels: { 'kubernetes.io/service-name': name } };
    const items = [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name },
        spec: { clusterIP: '10.0.0.1', ports: [{ port: 80 }] },
      },
      { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata, addressType: 'IPv4', endpoints },
    ];
    const state = new ManifestFiles();
    state.read('big.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    const { objects, diagnostics } = state.settle();
    expect(diagnostics.size).toBe(0);
    const found = objects.map(({ after }) =>
      after?.kind === 'EndpointSlice' ? after.endpoints.length : after?.name,
    );
    expect(found).toEqual([name, 10_000]);
  });
});
