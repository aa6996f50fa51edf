import { describe, expect, it } from 'vitest';
import { readManifest } from './read-manifest.ts';

/** `severity line:column field`. */
function read(text: string) {
  const { objects, diagnostics, ignored, broken } = readManifest('shop.yaml', text);
  const problems = diagnostics.map(({ severity, location, field }) =>
    `${severity} ${location?.line}:${location?.column} ${field}`.trimEnd(),
  );
  return { keys: [...objects.keys()], problems, diagnostics, ignored: Object.fromEntries(ignored), broken };
}

const web = `apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  clusterIP: 10.96.0.1
  ports:
    - port: 80
`;
const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n';

describe('readManifest', () => {
  it('reads several documents, empty ones and comments between them', () => {
    const text = `# a shop\n%YAML 1.2\n---\n${web}---\n---\n# nothing here\n--- # a comment\n${namespace}...\n`;
    expect(read(text)).toMatchObject({ keys: ['Service default/web', 'Namespace /shop'], problems: [] });
  });

  it('reads Windows line ends and a byte order mark', () => {
    const text = `\uFEFF${web}---\n${namespace}`.replaceAll('\n', '\r\n');
    expect(read(text)).toMatchObject({ keys: ['Service default/web', 'Namespace /shop'], problems: [] });
  });

  it('reads anchors and merge keys', () => {
    const text = `apiVersion: v1
kind: List
items:
  - &web {apiVersion: v1, kind: Namespace, metadata: {name: web}}
  - <<: *web
    metadata: {name: shop}
`;
    expect(read(text).keys).toEqual(['Namespace /web', 'Namespace /shop']);
  });

  it.each([
    ['List', { apiVersion: 'v1', kind: 'Namespace' }],
    ['NamespaceList', {}],
  ])('reads the items of a %s, as YAML and as JSON', (kind, type) => {
    const list = {
      apiVersion: 'v1',
      kind,
      items: [
        { ...type, metadata: { name: 'a' } },
        { ...type, metadata: { name: 'b' } },
      ],
    };
    const json = JSON.stringify(list);
    expect(read(json).keys).toEqual(['Namespace /a', 'Namespace /b']);
    expect(read(`# as YAML\n${json}`).keys).toEqual(['Namespace /a', 'Namespace /b']);
  });

  it('counts what is nothing for Weir, and says nothing about it', () => {
    const text =
      'apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: Endpoints\n';
    expect(read(text)).toMatchObject({
      problems: [],
      ignored: { 'kind Deployment': 2, 'kind Endpoints': 1 },
    });
  });

  it.each([
    ['a value', 'clusterIP: 10.96.0.01', 6, 'error 6:14 spec.clusterIP'],
    ['a list element', '  - port: 99999', 8, 'error 8:13 spec.ports[0].port'],
  ])('finds %s in YAML', (_case, bad, line, problem) => {
    const lines = web.split('\n');
    lines[line - 1] = `  ${bad}`;
    expect(read(lines.join('\n')).problems).toEqual([problem]);
    const shifted = read(`${namespace}---\n${lines.join('\n')}`).problems[0];
    expect(shifted).toBe(problem.replace(/\d+:/, (place) => `${Number.parseInt(place, 10) + 4}:`));
  });

  it('points to what is nearest where the field itself is missing', () => {
    expect(read('apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {}\n').problems).toEqual([
      'error 3:1 metadata.name',
    ]);
  });

  it('finds fields behind an alias', () => {
    const text =
      'apiVersion: v1\nkind: List\nitems:\n  - &pod\n    apiVersion: v1\n    kind: Pod\n    metadata: {name: 5}\n  - *pod\n';
    expect(read(text).problems).toEqual([
      'error 7:22 items'.replace(' items', ' metadata.name'),
      'error 7:22 metadata.name',
    ]);
  });

  it('finds fields in JSON, past strings and brackets that mislead', () => {
    const list = {
      kind: 'List',
      note: 'a "}" and a ] and a \\',
      items: [
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { 'a/b': '{[' } } },
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'web', labels: { 'x/y': true } } },
      ],
    };
    const text = JSON.stringify(list, undefined, 2);
    const line = text.split('\n').findIndex((row) => row.includes('"x/y"')) + 1;
    const column = (text.split('\n')[line - 1] ?? '').indexOf('true') + 1;
    expect(read(text).problems).toEqual([`error ${line}:${column} metadata.labels[x/y]`]);
  });

  it('finds the error in broken JSON', () => {
    const { keys, problems, broken } = read('{\n  "kind": "List",\n  "items": [}\n}\n');
    expect({ keys, broken }).toEqual({ keys: [], broken: true });
    expect(problems[0]).toMatch(/^error 3:/);
  });

  it.each([
    ['an open quote', 'kind: "Service\nname: x\n', 2],
    ['an open bracket', 'metadata: {name: x\nkind: [\n', 2],
    ['bad indentation', 'metadata:\n  name: x\n name: y\n', 3],
    ['a tab', 'metadata:\n\tname: x\n', 2],
    ['one key twice', 'kind: Service\nkind: Pod\n', 2],
    ['an alias without anchor', 'kind: *nothing\n', 1],
  ])('does not let %s hide the neighbours', (_case, bad, line) => {
    const { keys, problems, broken } = read(`${namespace}---\n${bad}---\n${web}`);
    expect(keys).toEqual(['Namespace /shop', 'Service default/web']);
    expect(problems).toHaveLength(1);
    const place = Number(/^error (\d+):/.exec(problems[0] ?? '')?.[1]) - 4;
    expect(place).toBeGreaterThanOrEqual(1);
    expect(place).toBeLessThanOrEqual(line + 1);
    expect(broken).toBe(true);
  });

  it('refuses a document whose aliases would explode', () => {
    const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i}, `.repeat(9)}]`);
    const { problems, keys } = read(`${namespace}---\nl0: &l0 [x]\n${levels.join('\n')}\n`);
    expect(keys).toEqual(['Namespace /shop']);
    expect(problems).toHaveLength(1);
  });

  it.each(['hello', '- a\n- b', '5', '[]'])('refuses a document that is no object: %s', (text) => {
    expect(read(text)).toMatchObject({ keys: [], problems: ['error 1:1'], broken: true });
  });

  it('keeps the first of two objects of one name, and says where it is', () => {
    const { keys, problems, diagnostics } = read(`${web}---\n${web}`);
    expect(keys).toEqual(['Service default/web']);
    expect(problems).toEqual(['error 10:1']);
    expect(diagnostics[0]?.message).toBe('the same object stands at shop.yaml:1:1, which counts');
  });

  it('lists its diagnostics by place', () => {
    const text = `${web.replace('10.96.0.1', 'x')}---\nkind: [\n---\n${web.replace('80', '0').replace('name: web', 'name: db')}`;
    expect(read(text).problems.map((problem) => problem.split(' ')[1])).toEqual([
      '6:14',
      expect.stringMatching(/^1[12]:/),
      '19:13',
    ]);
  });
});
