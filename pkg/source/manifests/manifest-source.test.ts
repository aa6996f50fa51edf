import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ApiObject, Diagnostic, ObjectKind } from '../../api/index.ts';
import { type Clock, systemClock } from '../../runtime/index.ts';
import type { SourceHandler } from '../source.ts';
import { createManifestSource, type ManifestSource } from './manifest-source.ts';

/** Remembers what it was told. */
class Recorder implements SourceHandler {
  readonly objects = new Map<string, ApiObject>();
  readonly problems = new Map<string, readonly Diagnostic[]>();
  readonly events: string[] = [];

  upsert(object: ApiObject): void {
    this.objects.set(`${object.kind} ${object.name}`, object);
    this.events.push(`+${object.name}`);
  }

  delete(kind: ObjectKind, _namespace: string, name: string): void {
    this.objects.delete(`${kind} ${name}`);
    this.events.push(`-${name}`);
  }

  synced(): void {
    this.events.push('synced');
  }

  settled(): void {
    this.events.push('settled');
  }

  diagnostics(origin: string, diagnostics: readonly Diagnostic[]): void {
    if (diagnostics.length === 0) this.problems.delete(origin);
    else this.problems.set(origin, diagnostics);
  }

  team(name: string): string | undefined {
    const object = this.objects.get(`Namespace ${name}`);
    return object?.kind === 'Namespace' ? object.labels['team'] : undefined;
  }
}

function namespace(name: string, team = 'a'): string {
  return `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {team: ${team}}}\n`;
}

let folder: string;
let source: ManifestSource | undefined;
let told: Recorder;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'manifests-'));
  told = new Recorder();
});

afterEach(async () => {
  await source?.stop();
  source = undefined;
  await rm(folder, { recursive: true, force: true });
});

/** In one step: nobody sees half a file. */
async function save(name: string, text: string): Promise<void> {
  const file = join(folder, name);
  const draft = join(dirname(file), '.draft');
  await writeFile(draft, text);
  await rename(draft, file);
}

async function follow(path = folder, clock: Clock = systemClock): Promise<void> {
  source = createManifestSource({ path, clock });
  await source.start(told);
}

/** The source works on real files in real time; how long it takes is not what is tested. */
function eventually(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 10_000, interval: 5 });
}

describe('a manifest source', { timeout: 30_000 }, () => {
  it('has told everything, synced and settled when it has started', async () => {
    await save('b.yml', namespace('web'));
    await save('a.yaml', namespace('shop'));
    await save('c.json', JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bank' } }));
    await save('notes.txt', namespace('text'));
    await save('.hidden.yaml', namespace('hidden'));
    await mkdir(join(folder, 'folder.yaml'));
    await mkdir(join(folder, 'below'));
    await save('below/d.yaml', namespace('below'));
    await save('deployment.yaml', 'apiVersion: apps/v1\nkind: Deployment\n');
    await follow();
    expect(told.events).toEqual(['+shop', '+web', '+bank', 'synced', 'settled']);
    expect(told.problems.size).toBe(0);
    expect(source?.ignored).toEqual(new Map([['kind Deployment', 1]]));
  });

  it('rejects a path where there is nothing', async () => {
    const path = join(folder, 'nowhere');
    await expect(createManifestSource({ path, clock: systemClock }).start(told)).rejects.toMatchObject({
      code: 'WEIR_MANIFESTS_UNREADABLE',
      message: `can't read manifests from ${path}: there is no such file or folder`,
    });
    expect(told.events).toEqual([]);
  });

  it('says that a folder has no manifests, until it has', async () => {
    await follow();
    expect(told.events).toEqual(['synced', 'settled']);
    expect(told.problems.get(`manifests ${folder}`)?.[0]?.message).toContain('there is no manifest');
    await save('a.yaml', namespace('shop'));
    await eventually(() => expect(told.team('shop')).toBe('a'));
    expect(told.problems.size).toBe(0);
  });

  it('follows files that come, change and go, and settles after each', async () => {
    await save('a.yaml', namespace('shop'));
    await follow();
    told.events.length = 0;
    await save('b.yaml', namespace('web'));
    await eventually(() => expect(told.events).toEqual(['+web', 'settled']));
    told.events.length = 0;
    await writeFile(join(folder, 'b.yaml'), namespace('web', 'b'));
    await eventually(() => expect(told.events).toContain('+web'));
    expect(told.team('web')).toBe('b');
    told.events.length = 0;
    await rm(join(folder, 'a.yaml'));
    await eventually(() => expect(told.events).toEqual(['-shop', 'settled']));
  });

  it('tells nothing when a file is saved without a change that matters', async () => {
    await save('a.yaml', namespace('shop'));
    await follow();
    told.events.length = 0;
    await save('a.yaml', `# touched\n${namespace('shop')}`);
    await save('b.yaml', namespace('web'));
    await eventually(() => expect(told.events).toEqual(['+web', 'settled']));
  });

  it('keeps what a half-saved file gave, with a diagnostic that names the place', async () => {
    await save('a.yaml', namespace('shop'));
    await follow();
    await save('a.yaml', `${namespace('shop')}---\nkind: {`);
    const file = join(folder, 'a.yaml');
    await eventually(() => expect(told.problems.get(file)?.[0]?.location).toMatchObject({ file, line: 5 }));
    expect(told.team('shop')).toBe('a');
    await save('a.yaml', '');
    await eventually(() => expect(told.problems.get(file)?.[0]?.message).toContain('half-saved'));
    expect(told.team('shop')).toBe('a');
    await save('a.yaml', namespace('shop', 'b'));
    await eventually(() => expect(told.team('shop')).toBe('b'));
    expect(told.problems.size).toBe(0);
  });

  it('waits a moment before it believes that a file is gone: editors move the old one aside', async () => {
    let now = 0;
    await save('a.yaml', namespace('shop'));
    await follow(folder, { now: () => now, sleep: (ms, signal) => systemClock.sleep(ms, signal) });
    await rename(join(folder, 'a.yaml'), join(folder, 'a.yaml~'));
    await save('b.yaml', namespace('web'));
    await eventually(() => expect(told.team('web')).toBe('a'));
    expect(told.team('shop')).toBe('a');
    await save('a.yaml', namespace('shop', 'b'));
    await eventually(() => expect(told.team('shop')).toBe('b'));
    expect(told.events).not.toContain('-shop');
    await rm(join(folder, 'a.yaml'));
    await save('b.yaml', namespace('web', 'b'));
    await eventually(() => expect(told.team('web')).toBe('b'));
    expect(told.team('shop')).toBe('b');
    now += 50;
    await eventually(() => expect(told.events).toContain('-shop'));
  });

  it('follows a mounted ConfigMap, whose files change by a swap of one link', async () => {
    await mkdir(join(folder, '..one'));
    await mkdir(join(folder, '..two'));
    await save('..one/a.yaml', namespace('shop'));
    await save('..one/b.yaml', namespace('web'));
    await save('..two/a.yaml', namespace('shop', 'b'));
    await save('..two/b.yaml', namespace('web'));
    await symlink('..one', join(folder, '..data'));
    await symlink('..data/a.yaml', join(folder, 'a.yaml'));
    await symlink('..data/b.yaml', join(folder, 'b.yaml'));
    await follow();
    told.events.length = 0;
    await symlink('..two', join(folder, '..data_tmp'));
    await rename(join(folder, '..data_tmp'), join(folder, '..data'));
    await eventually(() => expect(told.events).toEqual(['+shop', 'settled']));
    expect(told.team('shop')).toBe('b');
  });

  it('follows a single file, also when another is renamed over it, and minds nothing beside it', async () => {
    await save('a.yaml', namespace('shop'));
    await save('b.yaml', namespace('web'));
    await follow(join(folder, 'a.yaml'));
    expect(told.events).toEqual(['+shop', 'synced', 'settled']);
    await save('new', namespace('shop', 'b'));
    await rename(join(folder, 'new'), join(folder, 'a.yaml'));
    await eventually(() => expect(told.team('shop')).toBe('b'));
    await rm(join(folder, 'a.yaml'));
    await eventually(() => expect(told.team('shop')).toBe(undefined));
    await save('a.yaml', namespace('shop', 'c'));
    await eventually(() => expect(told.team('shop')).toBe('c'));
    expect(told.team('web')).toBe(undefined);
  });

  it('keeps everything when the whole folder goes, and goes on when it is back', async () => {
    await save('a.yaml', namespace('shop'));
    await follow();
    await rename(folder, `${folder}-aside`);
    await eventually(() => expect(told.problems.has(`manifests ${folder}`)).toBe(true));
    expect(told.team('shop')).toBe('a');
    await mkdir(folder);
    await rm(`${folder}-aside`, { recursive: true });
    await save('a.yaml', namespace('shop', 'b'));
    await eventually(() => expect(told.team('shop')).toBe('b'));
    expect(told.problems.size).toBe(0);
  });

  it('says nothing after it was stopped', async () => {
    await save('a.yaml', namespace('shop'));
    await follow();
    const before = told.events.length;
    await save('a.yaml', namespace('shop', 'b'));
    await source?.stop();
    const after = told.events.length;
    await save('a.yaml', namespace('shop', 'c'));
    await source?.stop();
    expect(told.events.length).toBe(after);
    expect(after).toBeGreaterThanOrEqual(before);
  });

  it('can be stopped before it was started', async () => {
    await expect(createManifestSource({ path: folder, clock: systemClock }).stop()).resolves.toBeUndefined();
  });
});
