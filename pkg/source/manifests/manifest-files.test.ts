import { describe, expect, it } from 'vitest';
import { ManifestFiles } from './manifest-files.ts';

function namespace(name: string, team = 'a'): string {
  return `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${name}\n  labels: {team: ${team}}\n`;
}

/** What a handler would hear, in words. */
function settle(files: ManifestFiles) {
  const { objects, diagnostics } = files.settle();
  const changes = objects.map(({ before, after }) => {
    const object = after ?? before;
    const team = after?.kind === 'Namespace' ? ` team ${after.labels['team']}` : '';
    return `${after === undefined ? '-' : '+'}${object?.name}${team}`;
  });
  const problems = Object.fromEntries(
    [...diagnostics].map(([file, list]) => [
      file,
      list.map(({ severity, location }) => `${severity} ${location?.line}`),
    ]),
  );
  return { changes: changes.toSorted(), problems };
}

describe('ManifestFiles', () => {
  it('tells only objects that changed', () => {
    const files = new ManifestFiles();
    files.read('a.yaml', `${namespace('shop')}---\n${namespace('web')}`);
    expect(settle(files)).toEqual({ changes: ['+shop team a', '+web team a'], problems: {} });
    files.read('a.yaml', `# changed\n${namespace('web')}---\n${namespace('shop', 'b')}`);
    expect(settle(files)).toEqual({ changes: ['+shop team b'], problems: {} });
    files.read('a.yaml', namespace('shop', 'b'));
    expect(settle(files)).toEqual({ changes: ['-web'], problems: {} });
    expect(settle(files)).toEqual({ changes: [], problems: {} });
  });

  it('takes the objects of a removed file away, and its diagnostics', () => {
    const files = new ManifestFiles();
    files.read('a.yaml', `${namespace('shop')}---\nkind: [\n`);
    expect(settle(files).changes).toEqual(['+shop team a']);
    files.remove('a.yaml');
    expect(settle(files)).toEqual({ changes: ['-shop'], problems: { 'a.yaml': [] } });
  });

  it('tells nothing when an object moves to another file within one look', () => {
    const files = new ManifestFiles();
    files.read('a.yaml', namespace('shop'));
    settle(files);
    files.remove('a.yaml');
    files.read('b.yaml', namespace('shop'));
    expect(settle(files)).toEqual({ changes: [], problems: {} });
  });

  it('lets the first file by name win, whatever came first, and says so at the other', () => {
    const files = new ManifestFiles();
    files.read('b.yaml', namespace('shop', 'b'));
    expect(settle(files).changes).toEqual(['+shop team b']);
    files.read('a.yaml', `# one line down\n${namespace('shop', 'a')}`);
    const { objects, diagnostics } = files.settle();
    expect(objects.map(({ after }) => after?.kind === 'Namespace' && after.labels['team'])).toEqual(['a']);
    expect([...diagnostics]).toEqual([
      [
        'b.yaml',
        [
          expect.objectContaining({
            severity: 'error',
            kind: 'Namespace',
            name: 'shop',
            message: 'the same object stands at a.yaml:2:1, which counts',
            location: { file: 'b.yaml', line: 1, column: 1 },
          }),
        ],
      ],
    ]);
    files.remove('a.yaml');
    expect(settle(files)).toEqual({ changes: ['+shop team b'], problems: { 'b.yaml': [] } });
  });

  it('keeps what a file gave before while it does not parse', () => {
    const files = new ManifestFiles();
    files.read('a.yaml', `${namespace('shop')}---\n${namespace('web')}`);
    settle(files);
    files.read('a.yaml', `${namespace('shop', 'b')}---\napiVersion: v1\nkind: "Names`);
    const half = settle(files);
    expect(half.changes).toEqual(['+shop team b']);
    expect(half.problems['a.yaml']).toEqual(['warning 7', 'error 8']);
    files.read('a.yaml', namespace('shop', 'b'));
    expect(settle(files)).toEqual({ changes: ['-web'], problems: { 'a.yaml': [] } });
  });

  it('keeps an object that can still be named but no longer be used', () => {
    const files = new ManifestFiles();
    const service = 'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.1}\n';
    files.read('a.yaml', `${service}---\n${namespace('shop')}`);
    settle(files);
    files.read('a.yaml', 'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n');
    expect(settle(files)).toEqual({ changes: ['-shop'], problems: { 'a.yaml': ['warning 1', 'error 4'] } });
  });

  it('takes an empty file for a half-saved one, but not one without objects', () => {
    const files = new ManifestFiles();
    files.read('a.yaml', namespace('shop'));
    settle(files);
    files.read('a.yaml', '\n');
    expect(settle(files)).toEqual({ changes: [], problems: { 'a.yaml': ['error 1'] } });
    files.read('a.yaml', '# nothing any more\n');
    expect(settle(files)).toEqual({ changes: ['-shop'], problems: { 'a.yaml': [] } });
  });

  it('keeps the objects of a file that can not be read', () => {
    const files = new ManifestFiles();
    files.read('a.yaml', namespace('shop'));
    settle(files);
    files.readFailed('a.yaml', 'permission denied');
    expect(settle(files)).toEqual({ changes: [], problems: { 'a.yaml': ['error 1'] } });
  });

  it('derives slices from the files, however the objects are spread over them', () => {
    const files = new ManifestFiles();
    const pod = (ip: string) => `apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
status: {podIPs: [{ip: ${ip}}]}
`;
    files.read(
      'service.yaml',
      'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}\n',
    );
    files.read('pod.yaml', pod('10.0.0.1'));
    expect(settle(files).changes).toEqual(['+web', '+web-1', '+web-derived-IPv4-80']);
    files.read('pod.yaml', pod('10.0.0.2'));
    expect(settle(files).changes).toEqual(['+web-1', '+web-derived-IPv4-80']);
    files.remove('pod.yaml');
    expect(settle(files).changes).toEqual(['-web-1', '-web-derived-IPv4-80']);
  });
});
